"""The landmarks of a data set: a CSV file of points in world mm, and one that accounts for every landmark."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically


@dataclass(frozen=True)
class Landmark:
    """A named point of a volume; the fields are the columns of the file.

    Attributes
    ----------
    volume_id : volume in whose world the point lies.
    landmark : name, the same in every volume.
    x_mm, y_mm, z_mm : world RAS+.
    """

    volume_id: str
    landmark: str
    x_mm: float
    y_mm: float
    z_mm: float


@dataclass(frozen=True)
class LandmarkStatus:
    """Whether a wanted landmark was found; the fields are the columns of the file.

    Attributes
    ----------
    volume_id, landmark : which landmark.
    status : found or missing.
    reason : why it is missing; empty where it was found.
    """

    volume_id: str
    landmark: str
    status: Literal["found", "missing"]
    reason: str


LANDMARK_COLUMNS = tuple(field.name for field in fields(Landmark))
STATUS_COLUMNS = tuple(field.name for field in fields(LandmarkStatus))
FIRST_ROW = 2  # the header is line 1


def write_landmarks(landmarks: Iterable[Landmark], path: Path | str) -> None:
    """Write landmarks atomically, sorted by volume and name, to 0.1 µm."""
    rows = [
        (point.volume_id, point.landmark, *(f"{value:.4f}" for value in (point.x_mm, point.y_mm, point.z_mm)))
        for point in landmarks
    ]
    _write_sorted(rows, columns=LANDMARK_COLUMNS, path=path)


def write_landmark_status(statuses: Iterable[LandmarkStatus], path: Path | str) -> None:
    """Write what became of every wanted landmark, atomically, sorted by volume and name."""
    _write_sorted([astuple(status) for status in statuses], columns=STATUS_COLUMNS, path=path)


def read_landmarks(path: Path | str) -> list[Landmark]:
    """Return the landmarks in a file, in its order.

    Raises
    ------
    InputFileError
        naming the line: other columns than expected, coordinates that are no finite numbers, a landmark twice
        in one volume.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            records = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as landmarks ({error})") from error
    if not records or tuple(records[0]) != LANDMARK_COLUMNS:
        raise InputFileError(path, f"line 1: expected the columns {','.join(LANDMARK_COLUMNS)}")
    landmarks: dict[tuple[str, str], Landmark] = {}
    for line, record in enumerate(records[1:], start=FIRST_ROW):
        landmark = _parse_landmark(record, line=line, path=path)
        if landmarks.setdefault((landmark.volume_id, landmark.landmark), landmark) is not landmark:
            raise InputFileError(
                path, f"line {line}: {landmark.landmark!r} occurs twice in volume {landmark.volume_id!r}"
            )
    return list(landmarks.values())


def _parse_landmark(record: Sequence[str], *, line: int, path: Path) -> Landmark:
    try:
        volume_id, name, *coordinates = record
        x_mm, y_mm, z_mm = (float(text) for text in coordinates)
    except ValueError:
        raise InputFileError(
            path, f"line {line}: expected {len(LANDMARK_COLUMNS)} cells, the last three numbers, got {record}"
        ) from None
    if not all(math.isfinite(value) for value in (x_mm, y_mm, z_mm)):
        raise InputFileError(path, f"line {line}: expected finite coordinates, got {record}")
    return Landmark(volume_id, name, x_mm, y_mm, z_mm)


def _write_sorted(rows: Iterable[tuple[str, ...]], *, columns: Sequence[str], path: Path | str) -> None:
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(sorted(rows))
