"""Points with their names, and what was left out while they were read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.volumes.affine import Points, lps_from_ras
from anatomical_embedding.volumes.grid import Grid

Coordinates = Literal["ras", "lps", "voxel"]
"""What numbers mean: mm in the world, or voxels of the scan, counted from 0 at the centre of the first."""
Kind = Literal["table", "ants", "elastix", "markups", "fcsv"]
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
    """

    points_mm: Points
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    form: PointForm | None = None


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
            path, f"holds no point that was placed; of {named[0][0]!r} it says: {named[0][1].why_not_placed}"
        )
    points_mm = np.reshape(np.array([position for _, position in kept], dtype=np.float64), (-1, 3))
    return NamedPoints(points_mm, tuple(name for name, _ in kept), (*remarks, *left_out))


def as_ras(points_mm: ArrayLike, *, coordinates: Coordinates) -> Points:
    """Return points in RAS+; the map is its own inverse, so it also turns RAS+ into `coordinates`, RAS+ for voxels."""
    return lps_from_ras(points_mm) if coordinates == "lps" else np.asarray(points_mm, dtype=np.float64)


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
