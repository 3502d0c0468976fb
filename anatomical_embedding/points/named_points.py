"""Points with their names, and what was left out while they were read."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.volumes.affine import Points, lps_from_ras
from anatomical_embedding.volumes.grid import Grid

Coordinates = Literal["ras", "lps", "voxel"]
"""What numbers mean: mm in the world, or voxels of the scan, counted from 0 at the centre of the first."""
Kind = Literal["table", "ants", "elastix", "markups", "fcsv"]
NUM_COORDINATES = 3
GridOf = Callable[[], Grid]
"""Gives the voxels of the scan that points belong to, where they are asked for."""


@dataclass(frozen=True)
class PointForm:
    """How a file lists points, so that others can be written as it does.

    Attributes
    ----------
    kind : format of the file.
    coordinates : of its numbers.
    """

    kind: Kind
    coordinates: Coordinates


@dataclass(frozen=True)
class NamedPoints:
    """Points with their names.

    Attributes
    ----------
    points_mm : (N, 3) world mm RAS+.
    names : N labels.
    remarks : what was left out or converted, a sentence each.
    form : how their file lists them; None for points that came from none.
    frame_of_reference : UID of the world that a DICOM object names; empty for others.
    """

    points_mm: Points
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    form: PointForm | None = None
    frame_of_reference: str = ""


@dataclass(frozen=True)
class ListedPoint:
    """A point as a file lists it.

    Attributes
    ----------
    name : label, empty where it has none.
    position_mm : three finite numbers, world mm RAS+; None where the point was never placed.
    why_not_placed : what the file says of a point without a position.
    """

    name: str
    position_mm: Sequence[float] | None
    why_not_placed: str = ""


def placed_points(listed: Iterable[ListedPoint], *, path: Path, remarks: Sequence[str] = ()) -> NamedPoints:
    """Return the points of a file that were placed; a point without a name is called by its place in the list.

    Raises
    ------
    InputFileError
        if points are listed and none of them was placed.
    """
    named = [(point.name or str(place), point) for place, point in enumerate(listed, start=1)]
    left_out = [
        f"{path}: the point {name!r} is left out, {point.why_not_placed}"
        for name, point in named
        if point.position_mm is None
    ]
    kept = [(name, point.position_mm) for name, point in named if point.position_mm is not None]
    if left_out and not kept:
        raise InputFileError(
            path, f"no point was placed ({named[0][0]!r}: {named[0][1].why_not_placed}); place one or more"
        )
    points_mm = np.reshape(np.array([position for _, position in kept], dtype=np.float64), (-1, 3))
    return NamedPoints(points_mm, tuple(name for name, _ in kept), (*remarks, *left_out))


def finite_numbers(texts: Iterable[str]) -> list[float]:
    """Return the numbers that texts hold; none where one of them is no finite number.

    Examples
    --------
    >>> finite_numbers(["1", "-2.5"]), finite_numbers(["1", "nan"]), finite_numbers(["1", ""])
    ([1.0, -2.5], [], [])
    """
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def is_position(value: Any) -> TypeGuard[list[float]]:
    """Say whether a value of a JSON file is a list of three finite numbers."""
    return (
        isinstance(value, list)
        and len(value) == NUM_COORDINATES
        and all(type(number) in (int, float) and abs(number) <= sys.float_info.max for number in value)
    )


def as_ras(points_mm: ArrayLike, *, coordinates: Coordinates) -> Points:
    """Return points in RAS+; the map is its own inverse, so it also turns RAS+ into `coordinates`, RAS+ for voxels."""
    return lps_from_ras(points_mm) if coordinates == "lps" else np.asarray(points_mm, dtype=np.float64)


def coordinates_in_mm(coordinates: Coordinates) -> Coordinates:
    """Return how points in mm are written where theirs came so: RAS+ where they came as voxels."""
    return "ras" if coordinates == "voxel" else coordinates


def world_points(numbers: ArrayLike, *, coordinates: Coordinates, grid: GridOf | None) -> Points:
    """Return (N, 3) mm RAS+ of the numbers of points.

    Raises
    ------
    UserError
        if they are voxels, and of no scan.
    """
    if coordinates != "voxel":
        return as_ras(numbers, coordinates=coordinates)
    if grid is None:
        raise UserError("points in voxels belong to a scan; name it, or give mm")
    return grid().world_from_voxel(numbers)
