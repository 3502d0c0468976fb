"""The landmarks of a data set: a CSV file of points in world mm, and one that accounts for every landmark."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from anatomical_embedding.csv_table import FINITE, TEXT, read_table, write_csv_table


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


def write_landmarks(landmarks: Iterable[Landmark], path: Path | str) -> None:
    """Write landmarks atomically, sorted by volume and name, to 0.1 µm."""
    rows = [
        (point.volume_id, point.landmark, *(f"{value:.4f}" for value in (point.x_mm, point.y_mm, point.z_mm)))
        for point in landmarks
    ]
    write_csv_table(LANDMARK_COLUMNS, sorted(rows), path)


def write_landmark_status(statuses: Iterable[LandmarkStatus], path: Path | str) -> None:
    """Write what became of every wanted landmark, atomically, sorted by volume and name."""
    write_csv_table(STATUS_COLUMNS, sorted(astuple(status) for status in statuses), path)


def read_landmarks(path: Path | str) -> list[Landmark]:
    """Return the landmarks in a file, in its order.

    Raises
    ------
    InputFileError
        naming the line: other columns than expected, coordinates that are not finite numbers, a landmark twice
        in one volume.
    """
    columns = dict.fromkeys(LANDMARK_COLUMNS, FINITE) | {"volume_id": TEXT, "landmark": TEXT}
    rows = read_table(path, columns, unique=("volume_id", "landmark"))
    return [Landmark(**cells) for _, cells in rows]
