"""Point files of elastix and transformix: a word, a count, and a line of numbers a point.

The word is `point` (LPS mm) or `index` (voxels of the fixed image). Without a word elastix 5.3.1 takes indices.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.points.named_points import NUM_COORDINATES, finite_numbers

ELASTIX_SUFFIXES = (".txt", ".pts")
WORDS = {"point": False, "index": True}


def read_elastix_points(path: Path) -> tuple[NDArray[np.float64], bool, list[str]]:
    """Return the (N, 3) numbers of an elastix point file, whether they are voxels, and what is to be said.

    Raises
    ------
    InputFileError
        naming the line at fault, or if there are other than as many points as the file counts.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputFileError(path, f"is not text in UTF-8 ({error.reason})") from error
    word = lines[0][0].lower() if lines else ""
    is_index, remarks = WORDS.get(word, True), []
    if word in WORDS:
        lines = lines[1:]
    else:
        remarks.append(
            f"{path}: does not begin with point or index; taken as indices of voxels, as elastix does"
        )
    if not lines or len(lines[0]) != 1 or not lines[0][0].isdigit():
        raise InputFileError(
            path,
            "is not a point file of elastix: expected a line with point or index, then one with the count",
        )
    count, rows = int(lines[0][0]), lines[1:]
    if count != len(rows):
        raise InputFileError(path, f"counts {count} points and holds {len(rows)}; correct its second line")
    points = [_numbers(row, place, path=path) for place, row in enumerate(rows, start=1)]
    return np.reshape(np.array(points, dtype=np.float64), (-1, NUM_COORDINATES)), is_index, remarks


def write_elastix_points(points: NDArray[np.float64], path: Path, *, is_index: bool) -> None:
    """Write (N, 3) LPS mm, or indices of voxels."""
    rows = [" ".join(f"{value:.6f}" for value in point) for point in points]
    text = "\n".join(["index" if is_index else "point", str(len(rows)), *rows]) + "\n"
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _numbers(row: Sequence[str], place: int, *, path: Path) -> list[float]:
    numbers = finite_numbers(row)
    if len(numbers) != NUM_COORDINATES:
        raise InputFileError(path, f"point {place}: expected three numbers, got {' '.join(row)!r}")
    return numbers
