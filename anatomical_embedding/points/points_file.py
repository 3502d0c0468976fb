"""Lists of named points as a user keeps them: the one door for tables, and for points of 3D Slicer.

Every command that takes points reads them here. A point that its file lists but that was never placed is left out and
named in the remarks; everything else that cannot be read as three finite numbers is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.csv_table import write_csv_table
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.challenge_points import challenge_content, challenge_points
from anatomical_embedding.points.dicom_points import read_dicom_points
from anatomical_embedding.points.elastix_points import (
    ELASTIX_SUFFIXES,
    read_elastix_points,
    write_elastix_points,
)
from anatomical_embedding.points.mitk_points import MITK_SUFFIX, read_mitk_points
from anatomical_embedding.points.named_points import (
    Coordinates,
    GridOf,
    NamedPoints,
    PointForm,
    as_ras,
    coordinates_in_mm,
    world_points,
)
from anatomical_embedding.points.point_table import (
    ANTS_COLUMNS,
    COORDINATES_COLUMN,
    NAME_COLUMN,
    POINT_COLUMNS,
    TIME_COLUMN,
    VOXEL_COLUMNS,
    read_point_table,
)
from anatomical_embedding.points.slicer_fcsv import read_fcsv, write_fcsv
from anatomical_embedding.points.slicer_markups import read_markups, write_markups
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.dicom_mark import is_marked_dicom
from anatomical_embedding.volumes.grid import Grid

POINT_FILES = ".csv (x_mm,y_mm,z_mm,name), .mrk.json, .fcsv, .mps of MITK, .txt and .pts of elastix, or DICOM"
"""What can be read, in words."""
CARRIED_ENDINGS = (".csv", ".mrk.json", ".fcsv", *ELASTIX_SUFFIXES)
"""Of files that `write_carried_points` writes."""
READERS_IN_MM = {".json": read_markups, ".fcsv": read_fcsv, MITK_SUFFIX: read_mitk_points}
VOXEL_TABLE = "points_voxels.csv"
NAMES_OF_FORMS = {
    "ants": "points_ants.csv",
    "elastix": "points.txt",
    "markups": "points.mrk.json",
    "fcsv": "points.fcsv",
}


def read_points(path: Path | str, *, coordinates: Coordinates, grid: GridOf | None = None) -> NamedPoints:
    """Return the points of a table, of 3D Slicer (`.mrk.json`, `.fcsv`), of ANTs, elastix, MITK, DICOM and others.

    Parameters
    ----------
    coordinates : of the numbers in a table, or in JSON of grand-challenge.org; other files say their own.
    grid : gives the voxels of the scan that they belong to; called where the numbers are voxels.

    Raises
    ------
    InputFileError
        naming the line or the point at fault, or if the file holds no point or is of another kind.
    UserError
        if the points are voxels, and of no scan.
    """
    path = Path(path)
    try:
        found = _read(path, coordinates=coordinates, grid=grid)
    except OSError as error:
        raise InputFileError(path, f"cannot be read as a list of points ({error.strerror})") from error
    if not len(found.points_mm):
        raise InputFileError(path, "holds no point, expected one or more")
    return found


def _read(path: Path, *, coordinates: Coordinates, grid: GridOf | None) -> NamedPoints:
    name = path.name.lower()
    if name.endswith(".json"):
        challenge = challenge_content(path)
        if challenge is not None:
            return challenge_points(challenge, path, coordinates=coordinates, grid=grid)
    for suffix, read in READERS_IN_MM.items():
        if name.endswith(suffix):
            return read(path)
    if name.endswith((".csv", ".tsv")):
        table = read_point_table(path, coordinates=coordinates)
        stated = table.form.coordinates if table.form else coordinates
        return replace(table, points_mm=world_points(table.points_mm, coordinates=stated, grid=grid))
    if name.endswith(ELASTIX_SUFFIXES):
        numbers, is_index, remarks = read_elastix_points(path)
        form = PointForm("elastix", "voxel" if is_index else "lps")
        points_mm = world_points(numbers, coordinates=form.coordinates, grid=grid)
        return NamedPoints(points_mm, tuple(map(str, range(1, len(numbers) + 1))), tuple(remarks), form)
    if path.is_file() and is_marked_dicom(path):
        return read_dicom_points(path)
    raise InputFileError(path, f"expected a list of points: {POINT_FILES}")


def name_of_form(form: PointForm) -> str:
    """Return what a file of points in a form is called; empty for a plain table in mm, which is `points.csv`."""
    if form.kind == "table":
        return VOXEL_TABLE if form.coordinates == "voxel" else ""
    return NAMES_OF_FORMS[form.kind]


def write_points(
    points_mm: ArrayLike,
    names: Sequence[str],
    path: Path,
    *,
    form: PointForm,
    grid: Grid,
    descriptions: Sequence[str] | None = None,
) -> None:
    """Write (N, 3) points, RAS+ mm, in a form that they came in.

    Parameters
    ----------
    path : its ending is that of the form.
    form : of the file.
    grid : voxels of the scan that the points lie in, for forms that count voxels.
    descriptions : a text for each point, for the forms of 3D Slicer, which list them; None for none.
    """
    points_mm = np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3))
    is_index = form.coordinates == "voxel"
    shown = grid.voxel_from_world(points_mm) if is_index else as_ras(points_mm, coordinates=form.coordinates)
    if form.kind == "markups":
        write_markups(points_mm, names, path, descriptions=descriptions)
    elif form.kind == "fcsv":
        write_fcsv(points_mm, names, path, coordinates=form.coordinates, descriptions=descriptions)
    elif form.kind == "elastix":
        write_elastix_points(shown, path, is_index=is_index)
    elif form.kind == "ants":
        _write_ants_table(shown, names, path)
    else:
        columns = VOXEL_COLUMNS if is_index else POINT_COLUMNS
        _write_table([*columns, NAME_COLUMN], shown, [[name] for name in names], path)


def write_carried_points(points: NamedPoints, path: Path, *, coordinates: Coordinates) -> None:
    """Write points, RAS+ mm, in the form that the ending of a file names: those of `CARRIED_ENDINGS`.

    A table has the columns of ANTs where the points came with them, else millimetres in `coordinates`; voxels of the
    scan that they came from mean nothing in the other one, so they are written as RAS+.

    Parameters
    ----------
    coordinates : of a table, and of `.fcsv`.
    """
    name = path.name.lower()
    in_mm = coordinates_in_mm(coordinates)
    if name.endswith(".json"):
        write_markups(points.points_mm, points.names, path)
    elif name.endswith(".fcsv"):
        write_fcsv(points.points_mm, points.names, path, coordinates=in_mm)
    elif name.endswith(ELASTIX_SUFFIXES):
        write_elastix_points(as_ras(points.points_mm, coordinates="lps"), path, is_index=False)
    elif points.form is not None and points.form.kind == "ants":
        _write_ants_table(as_ras(points.points_mm, coordinates="lps"), points.names, path)
    else:
        write_point_table(points.points_mm, points.names, path, coordinates=in_mm)


def write_point_table(
    points_mm: ArrayLike,
    names: Sequence[str],
    path: Path | str,
    *,
    coordinates: Coordinates,
    more: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write (N, 3) points, RAS+ mm, as the table that `read_points` reads; names may hold anything.

    A table in LPS says so in a column of its own, else it would be read as RAS+.

    Parameters
    ----------
    more : further columns, a text for each point; None for none.
    """
    shown = as_ras(np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3)), coordinates=coordinates)
    columns = {NAME_COLUMN: names} | dict(more or {})
    if coordinates == "lps":
        columns[COORDINATES_COLUMN] = [coordinates.upper()] * len(names)
    others = list(zip(*columns.values(), strict=True))
    _write_table([*POINT_COLUMNS, *columns], shown, others, Path(path))


def _write_ants_table(shown: Points, names: Sequence[str], path: Path) -> None:
    _write_table([*ANTS_COLUMNS, TIME_COLUMN, "label"], shown, [["0", name] for name in names], path)


def _write_table(header: Sequence[str], shown: Points, others: Sequence[Sequence[str]], path: Path) -> None:
    rows = [[*(f"{value:.6f}" for value in point), *rest] for point, rest in zip(shown, others, strict=True)]
    write_csv_table(header, rows, path)
