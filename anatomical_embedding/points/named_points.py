"""Points with their names, and what was left out while they were read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import Points, lps_from_ras

Coordinates = Literal["ras", "lps"]


@dataclass(frozen=True)
class NamedPoints:
    """Points with their names.

    Attributes
    ----------
    points_mm : (N, 3) world mm RAS+.
    names : N labels.
    remarks : what was left out or converted, a sentence each.
    """

    points_mm: Points
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()


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


def as_ras(points_mm: Points, *, coordinates: Coordinates) -> Points:
    """Return points in RAS+; the map is its own inverse, so it also turns RAS+ into `coordinates`."""
    return lps_from_ras(points_mm) if coordinates == "lps" else np.asarray(points_mm, dtype=np.float64)
