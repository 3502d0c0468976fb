"""Points as 3D Slicer markups (`.mrk.json`), to be looked at beside a volume."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.points.named_points import (
    Coordinates,
    ListedPoint,
    NamedPoints,
    PointForm,
    as_ras,
    is_position,
    placed_points,
)
from anatomical_embedding.volumes.affine import lps_from_ras

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
"""The schema that Slicer looks for in the file."""
PLACED = "defined"
"""The status of a position that stands; the others are `undefined`, `preview` and `missing`."""
SYSTEMS: dict[str, Coordinates] = {"ras": "ras", "0": "ras", "lps": "lps", "1": "lps"}
"""How Slicer writes coordinate systems; by number in old files."""
MM_PER_UNIT = {"mm": 1.0, "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "cm": 10.0, "dm": 100.0, "m": 1000.0}
"""Units of length by their UCUM codes, and the two signs that are used for micro."""


def write_markups(
    points_mm: ArrayLike, names: Sequence[str], path: Path | str, *, descriptions: Sequence[str] | None = None
) -> None:
    """Write points as a list of fiducials that 3D Slicer opens by drag and drop.

    Parameters
    ----------
    points_mm : (N, 3) world mm RAS+. The file holds LPS, Slicer's own default, and says so.
    names : N labels shown beside the points.
    path : file to write, ending in `.mrk.json`.
    descriptions : N texts that Slicer lists beside the names; None for none.

    Raises
    ------
    InputFileError
        if the name does not end in `.mrk.json`, by which Slicer knows the format, or a point is not finite.
    ValueError
        if there are not as many names, or descriptions, as points.
    """
    write_markup_file([markup_of(points_mm, names, path=path, descriptions=descriptions)], path)


def markup_of(
    points_mm: ArrayLike,
    names: Sequence[str],
    *,
    path: Path | str,
    kind: Literal["Fiducial", "Line"] = "Fiducial",
    name: str = "",
    descriptions: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return a list of points as it stands in a markups file, to be written by `write_markup_file`.

    Parameters
    ----------
    points_mm : (N, 3) world mm RAS+; two of a line.
    names : N labels.
    path : named in errors.
    kind : of the markup.
    name : of the list; empty leaves it to Slicer.
    descriptions : N texts that Slicer lists beside the names; None for none.

    Raises
    ------
    InputFileError
        if a point is not finite.
    """
    points_lps = lps_from_ras(np.reshape(np.asarray(points_mm, dtype=np.float64), (-1, 3)))
    control_points = []
    texts = [""] * len(points_lps) if descriptions is None else descriptions
    for number, (label, text, point) in enumerate(zip(names, texts, points_lps, strict=True), start=1):
        if not np.isfinite(point).all():
            raise InputFileError(
                path, f"point {label!r} is not finite; leave failed points out of the markups"
            )
        described = {"description": text} if text else {}
        place = {"position": point.tolist(), "positionStatus": "defined"}
        control_points.append({"id": str(number), "label": label} | described | place)
    return {
        "type": kind,
        **({"name": name} if name else {}),
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": control_points,
    }


def write_markup_file(markups: Sequence[dict[str, Any]], path: Path | str) -> None:
    """Write lists of points, one after the other.

    Raises
    ------
    InputFileError
        if the name does not end in `.mrk.json`, by which Slicer knows the format.
    """
    if not str(path).endswith(".mrk.json"):
        raise InputFileError(path, "does not end in .mrk.json, by which 3D Slicer knows markups")
    write_json(path, {"@schema": SCHEMA, "markups": list(markups)})


def read_markups(path: Path | str) -> NamedPoints:
    """Return the points of all lists in a markups file, of whatever kind of markup.

    The coordinate system of a list is LPS or RAS as it states, and LPS where it states none; its unit is what it
    states, and mm where it states none. Points whose position is not `defined` are left out and named.

    Raises
    ------
    InputFileError
        if the file is not a markups file, or naming the list or point at fault: a coordinate system or unit that is
        not known, or a position that is not three finite numbers.
    """
    path = Path(path)
    try:
        lists = json.loads(path.read_text(encoding="utf-8-sig"))["markups"]
        controls = [list(markup.get("controlPoints", [])) for markup in lists]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputFileError(
            path,
            "is not a markups file of 3D Slicer, lists of control points, nor points of grand-challenge.org; points of "
            "other programs are read as tables (x_mm, y_mm, z_mm)",
        ) from error
    listed: list[ListedPoint] = []
    remarks = []
    for markup, points in zip(lists, controls, strict=True):
        coordinates = coordinates_of(markup.get("coordinateSystem", "LPS"), path=path)
        unit, mm_per_unit = _unit_of(markup.get("coordinateUnits", "mm"), path=path)
        if points and mm_per_unit != 1.0:
            remarks.append(f"{path}: positions in {unit} are converted to mm")
        for point in points:
            place = len(listed) + 1
            listed.append(_listed_point(point, coordinates, mm_per_unit=mm_per_unit, path=path, place=place))
    return replace(placed_points(listed, path=path, remarks=remarks), form=PointForm("markups", "lps"))


def coordinates_of(system: Any, *, path: Path) -> Coordinates:
    """Return the coordinates that Slicer names LPS or RAS, or 1 or 0.

    Raises
    ------
    InputFileError
        if it is another system, such as that of voxel indices.
    """
    try:
        return SYSTEMS[str(system).strip().lower()]
    except KeyError:
        raise InputFileError(path, f"has the coordinate system {system!r}, expected LPS or RAS") from None


def _unit_of(stated: Any, *, path: Path) -> tuple[str, float]:
    """Return a unit and its length in mm; it may be stated with its coding scheme and meaning behind it."""
    code = stated[0] if isinstance(stated, list) and stated else stated
    try:
        return str(code), MM_PER_UNIT[str(code).strip()]
    except KeyError:
        raise InputFileError(
            path, f"has positions in {stated!r}, expected a unit of length such as mm; export it in mm"
        ) from None


def _listed_point(
    point: Any, coordinates: Coordinates, *, mm_per_unit: float, path: Path, place: int
) -> ListedPoint:
    if not isinstance(point, dict):
        raise InputFileError(path, f"point {place}: expected an object with a position, got {point!r}")
    name = str(point.get("label") or "")
    status = point.get("positionStatus", PLACED)
    position = point.get("position")
    if status != PLACED:
        return ListedPoint(name, None, f"its position is {status}")
    if position is None or position == "":
        return ListedPoint(name, None, "it has no position")
    if not is_position(position):
        raise InputFileError(
            path, f"point {name or place!r}: expected a position of three numbers, got {position!r}"
        )
    position_mm = as_ras(np.array(position, dtype=np.float64) * mm_per_unit, coordinates=coordinates)
    return ListedPoint(name, position_mm.tolist())
