"""Points in 3D Slicer's older text format (`.fcsv`)."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.csv_table import csv_text
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.points.named_points import (
    Coordinates,
    ListedPoint,
    NamedPoints,
    PointForm,
    as_ras,
    finite_numbers,
    placed_points,
)
from anatomical_embedding.points.slicer_markups import coordinates_of

COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID".split(",")
"""The columns where the file does not name them."""
HEADER_LINE = re.compile(r"#\s*(\w+)\s*=(.*)")
STATUS_PLACE = len(COLUMNS)
"""Slicer 5 writes the status of the position behind the columns that it names, as a number."""
STATUSES = {"0": "undefined", "1": "preview", "3": "missing"}
"""Those that are no real position; 2 is `defined`."""


def read_fcsv(path: Path) -> NamedPoints:
    """Return the points of an `.fcsv` file, in the coordinate system that it names: LPS or RAS, or by number.

    Raises
    ------
    InputFileError
        naming the line at fault, or if the file does not say its coordinate system.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputFileError(path, f"is not text in UTF-8 ({error.reason})") from error
    stated = {found[1]: found[2].strip() for found in map(HEADER_LINE.match, lines) if found}
    if "CoordinateSystem" not in stated:
        raise InputFileError(
            path,
            "does not say its coordinate system; add the line '# CoordinateSystem = LPS' (or RAS) at its head",
        )
    coordinates = coordinates_of(stated["CoordinateSystem"], path=path)
    columns = [name.strip() for name in stated.get("columns", ",".join(COLUMNS)).split(",")]
    listed = [
        _listed_point(line, columns, path=path, number=number)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]
    found = placed_points(listed, path=path)
    form = PointForm("fcsv", coordinates)
    return NamedPoints(as_ras(found.points_mm, coordinates=coordinates), found.names, found.remarks, form)


def write_fcsv(
    points_mm: ArrayLike,
    names: Sequence[str],
    path: Path,
    *,
    coordinates: Coordinates = "lps",
    descriptions: Sequence[str] | None = None,
) -> None:
    """Write (N, 3) points, RAS+ mm, as 3D Slicer reads them, in LPS or RAS; texts stand beside the names."""
    shown = as_ras(np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3)), coordinates=coordinates)
    head = ["# Markups fiducial file version = 5.0", f"# CoordinateSystem = {coordinates.upper()}"]
    texts = [""] * len(shown) if descriptions is None else descriptions
    rows = [
        [str(number), *(f"{value:.6f}" for value in point), *"0001110", name, text, "", "2", "0"]
        for number, (name, text, point) in enumerate(zip(names, texts, shown, strict=True), start=1)
    ]
    table = csv_text(COLUMNS, rows).partition("\n")[2]
    text = "\n".join([*head, f"# columns = {','.join(COLUMNS)}", table])
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _listed_point(line: str, columns: list[str], *, path: Path, number: int) -> ListedPoint:
    cells = next(csv.reader([line]))
    row = dict(zip(columns, cells, strict=False))
    name = row.get("label", "")
    status = cells[STATUS_PLACE] if columns == COLUMNS and len(cells) > STATUS_PLACE else ""
    if status in STATUSES:
        return ListedPoint(name, None, f"its position is {STATUSES[status]}")
    position = finite_numbers(row.get(column, "") for column in ("x", "y", "z"))
    if not position:
        raise InputFileError(path, f"line {number}: expected x, y and z in mm, got {line!r}")
    return ListedPoint(name, position)
