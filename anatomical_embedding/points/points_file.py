"""Lists of named points as a user keeps them: the one door for tables, and for points of 3D Slicer.

Every command that takes points reads them here. A point that its file lists but that was never placed is left out and
named in the remarks; everything else that cannot be read as three finite numbers is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.csv_table import csv_text
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.points.named_points import Coordinates, NamedPoints, as_ras
from anatomical_embedding.points.point_table import NAME_COLUMN, POINT_COLUMNS, read_point_table
from anatomical_embedding.points.slicer_fcsv import read_fcsv
from anatomical_embedding.points.slicer_markups import read_markups

POINT_FILES = ".csv (x_mm,y_mm,z_mm,name), .mrk.json or .fcsv"
"""What can be read, in the words of help and messages."""


def read_points(path: Path | str, *, coordinates: Coordinates) -> NamedPoints:
    """Return the points of a table (`.csv`, `.tsv`), or of 3D Slicer's `.mrk.json` or `.fcsv`.

    Parameters
    ----------
    coordinates : of the numbers in a table; the files of 3D Slicer say their own.

    Raises
    ------
    InputFileError
        naming the line or the point at fault, or if the file holds no point or is of another kind.
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if name.endswith(".json"):
            found = read_markups(path)
        elif name.endswith(".fcsv"):
            found = read_fcsv(path)
        elif name.endswith((".csv", ".tsv")):
            table = read_point_table(path)
            found = NamedPoints(as_ras(table.points_mm, coordinates=coordinates), table.names, table.remarks)
        else:
            raise InputFileError(path, f"expected a list of points: {POINT_FILES}")
    except OSError as error:
        raise InputFileError(path, f"cannot be read as a list of points ({error.strerror})") from error
    if not len(found.points_mm):
        raise InputFileError(path, "holds no point, expected one or more")
    return found


def write_point_table(
    points_mm: ArrayLike, names: Sequence[str], path: Path | str, *, coordinates: Coordinates
) -> None:
    """Write (N, 3) points, RAS+ mm, as the table that `read_points` reads; names may hold anything."""
    shown = as_ras(np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3)), coordinates=coordinates)
    rows = [[*(f"{value:.6f}" for value in point), name] for point, name in zip(shown, names, strict=True)]
    with written_atomically(path) as temporary:
        temporary.write_bytes(csv_text([*POINT_COLUMNS, NAME_COLUMN], rows).encode("utf-8"))
