"""Lists of named points as a user keeps them: CSV, or markups of 3D Slicer."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.slicer_markups import read_markups
from anatomical_embedding.volumes.affine import Points, lps_from_ras

Coordinates = Literal["ras", "lps"]
POINT_COLUMNS = ("x_mm", "y_mm", "z_mm")
NAME_COLUMN = "name"
FIRST_ROW = 2  # the header is line 1


@dataclass(frozen=True)
class NamedPoints:
    """Points with their names.

    Attributes
    ----------
    points_mm : (N, 3) world mm RAS+.
    names : N labels.
    """

    points_mm: Points
    names: tuple[str, ...]


def read_points(path: Path | str, *, coordinates: Coordinates) -> NamedPoints:
    """Return the points of a `.csv` file with the columns x_mm, y_mm, z_mm (name if there is one), or of `.mrk.json`.

    Parameters
    ----------
    coordinates : of the numbers in a CSV file; a markups file says its own.

    Raises
    ------
    InputFileError
        naming the line at fault, or if the file holds no point or is of another kind.
    """
    path = Path(path)
    if path.name.endswith(".mrk.json"):
        points_mm, names = read_markups(path)
    elif path.suffix == ".csv":
        points_mm, names = _read_csv(path)
        points_mm = as_ras(points_mm, coordinates=coordinates)
    else:
        raise InputFileError(path, "expected a list of points, a file that ends in .csv or .mrk.json")
    if not len(points_mm):
        raise InputFileError(path, "holds no point, expected one or more")
    return NamedPoints(points_mm, tuple(name or str(n) for n, name in enumerate(names, start=1)))


def as_ras(points_mm: Points, *, coordinates: Coordinates) -> Points:
    """Return points in RAS+; the map is its own inverse, so it also turns RAS+ into `coordinates`."""
    return lps_from_ras(points_mm) if coordinates == "lps" else np.asarray(points_mm, dtype=np.float64)


def _read_csv(path: Path) -> tuple[Points, list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in POINT_COLUMNS if column not in (reader.fieldnames or ())]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as a list of points ({error})") from error
    if missing:
        raise InputFileError(
            path, f"has no column {missing[0]}, expected {', '.join(POINT_COLUMNS)} and maybe name"
        )
    points, names = [], []
    for line, row in enumerate(rows, start=FIRST_ROW):
        try:
            points.append([float(row[column]) for column in POINT_COLUMNS])
        except (TypeError, ValueError) as error:
            raise InputFileError(path, f"line {line}: expected three numbers in mm ({error})") from error
        names.append(row.get(NAME_COLUMN) or "")
    return np.reshape(np.array(points, dtype=np.float64), (-1, 3)), names
