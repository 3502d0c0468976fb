"""Slices of two stacks that lie among each other: one volume, or two of different times or contrasts.

A scanner may take a volume in turns, every second slice first. Two scans whose slices happen to interleave look the
same by their places; then neighbours differ more than the slices beyond them, which are of one stack.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import STACK_TAGS, DicomFile

MOST_OF_SECOND_NEIGHBOUR = 1.1
"""By how much neighbours may differ in a volume taken in turns, in times what slices two apart do."""
FEWEST_CHANGES = 3
"""From slice to slice, from which on two stacks lie among each other."""


def how_to_part(file: DicomFile) -> str:
    """Return what to do where the images of a folder, or of a file, are of several volumes."""
    if file.frame is None:
        return "put the slices of one in a folder of its own"
    return "write the frames of one as a file of its own and name that"


def require_one_acquisition(folder: Path, files: Sequence[DicomFile]) -> None:
    """Refuse slices of several acquisitions, or reconstructions, that lie among each other at unequal distances."""
    for keyword in STACK_TAGS:
        first = _first_turn(files, keyword)
        if first is not None:
            turns = _turns_in_words(files, keyword, first, how=" at unequal distances")
            raise InputFileError(folder, f"{turns}; {how_to_part(files[0])}")


def look_at_turns(folder: Path, files: Sequence[DicomFile], array: NDArray, *, remarks: list[str]) -> None:
    """Say that a volume was taken in turns, or refuse two stacks whose images do not go together.

    Parameters
    ----------
    files : sorted by their places.
    array : (X, Y, slices) their values.
    remarks : gets a sentence.

    Raises
    ------
    InputFileError
        naming the tag and two of the slices.
    """
    for keyword in STACK_TAGS:
        first = _first_turn(files, keyword)
        if first is None:
            continue
        turns = _turns_in_words(files, keyword, first)
        if _stacks_differ(array, _values(files, keyword)):
            differ = "their images differ more than those of each alone"
            raise InputFileError(folder, f"{turns}, and {differ}; {how_to_part(files[0])}")
        remarks.append(f"{turns}; their images go together, so they are taken as one volume.")
        return


def _first_turn(files: Sequence[DicomFile], keyword: str) -> int | None:
    """Return the first slice of another value than the one before; None where values have parts of their own.

    Between two parts of one value there may be one of another: a single odd slice, or the thin slices of a neck.
    """
    values = _values(files, keyword)
    changes = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    return changes[0] if len(changes) >= max(len(set(values)), FEWEST_CHANGES) else None


def _values(files: Sequence[DicomFile], keyword: str) -> list[str | float]:
    """Return what slices have for a tag; numbers that differ by rounding or in writing alone are the same."""
    values: list[str | float] = []
    for text in (file.text(keyword) for file in files):
        try:
            values.append(round(float(text), 2))
        except ValueError:
            values.append(text)
    return values


def _turns_in_words(files: Sequence[DicomFile], keyword: str, place: int, *, how: str = "") -> str:
    num = len(set(_values(files, keyword)))
    one, other = files[place - 1], files[place]
    what = "acquisitions" if keyword == "AcquisitionNumber" else "stacks"
    return (
        f"holds {num} {what} whose slices lie among each other{how}, such as {one.name} ({keyword} "
        f"{one.text(keyword) or 'none'}) and {other.name} ({other.text(keyword) or 'none'})"
    )


def _stacks_differ(array: NDArray, values: Sequence[str | float]) -> bool:
    """Return whether slices between two of another stack differ more from these than the two from each other."""
    between = [
        place
        for place in range(1, len(values) - 1)
        if values[place - 1] == values[place + 1] != values[place]
    ]
    if not between:
        return False
    other = np.mean([_difference(array, place, place + side) for place in between for side in (-1, 1)])
    same = np.mean([_difference(array, place - 1, place + 1) for place in between])
    return bool(other > MOST_OF_SECOND_NEIGHBOUR * same)


def _difference(array: NDArray, one: int, other: int) -> float:
    return float(np.abs(array[:, :, one].astype(np.float64) - array[:, :, other]).mean())
