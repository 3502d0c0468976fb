"""Simple solids in atlas millimetres, and the canvas on which they are painted one over the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float32]
"""One coordinate of many points, as an (X, Y, Z) float32 array."""

Point = NDArray[np.float64] | tuple[float, float, float]
"""One point in atlas mm."""

Points = NDArray[np.float64] | Sequence[Point]
"""Points as an (N, 3) array or one by one."""

BLOCK_VOX = 6
"""Edge of the blocks of voxels by which the canvas finds where a solid may lie."""


class Solid(Protocol):
    """A set of points that knows a box around itself."""

    def bounds_mm(self) -> NDArray[np.float64]:
        """Return (2, 3) lowest and highest corner of a box that contains the solid."""
        ...

    def contains(self, x: Field, y: Field, z: Field) -> NDArray[np.bool_]:
        """Tell for each point whether the solid contains it."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid: the points p with |matrix (p - centre)| < 1.

    Attributes
    ----------
    centre_mm : (3,).
    axes_mm : (3, 3), the half axes as columns.
    """

    centre_mm: NDArray[np.float64]
    axes_mm: NDArray[np.float64]

    def bounds_mm(self) -> NDArray[np.float64]:
        """Return the (2, 3) tight box."""
        reach = np.linalg.norm(self.axes_mm, axis=1)
        return np.stack([self.centre_mm - reach, self.centre_mm + reach])

    def contains(self, x: Field, y: Field, z: Field) -> NDArray[np.bool_]:
        """Tell for each point whether the solid contains it."""
        to_ball = np.linalg.inv(self.axes_mm).astype(np.float32)
        dx, dy, dz = (a - np.float32(c) for a, c in zip((x, y, z), self.centre_mm, strict=True))
        squared = np.zeros_like(dx)
        for row in to_ball:
            squared += (row[0] * dx + row[1] * dy + row[2] * dz) ** 2
        return squared < 1.0


@dataclass(frozen=True)
class Capsule:
    """The points near a line segment, with a radius that changes linearly along it.

    Attributes
    ----------
    start_mm, end_mm : (3,) ends of the segment.
    radii_mm : radius at the start and at the end.
    """

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    radii_mm: tuple[float, float]

    def bounds_mm(self) -> NDArray[np.float64]:
        """Return a (2, 3) box."""
        reach = max(self.radii_mm)
        return np.stack(
            [np.minimum(self.start_mm, self.end_mm) - reach, np.maximum(self.start_mm, self.end_mm) + reach]
        )

    def contains(self, x: Field, y: Field, z: Field) -> NDArray[np.bool_]:
        """Tell for each point whether the solid contains it."""
        ex, ey, ez = (self.end_mm - self.start_mm).astype(np.float32)
        dx, dy, dz = (a - np.float32(s) for a, s in zip((x, y, z), self.start_mm, strict=True))
        share = np.clip((dx * ex + dy * ey + dz * ez) / (ex * ex + ey * ey + ez * ez), 0.0, 1.0)
        radius = np.float32(self.radii_mm[0]) + share * np.float32(self.radii_mm[1] - self.radii_mm[0])
        return (dx - share * ex) ** 2 + (dy - share * ey) ** 2 + (dz - share * ez) ** 2 < radius * radius


@dataclass(frozen=True)
class Drum:
    """An upright elliptic cylinder.

    Attributes
    ----------
    centre_mm : (3,).
    radii_mm : half axes left-right and front-back.
    half_height_mm : half of the extent along foot-head.
    """

    centre_mm: NDArray[np.float64]
    radii_mm: tuple[float, float]
    half_height_mm: float

    def bounds_mm(self) -> NDArray[np.float64]:
        """Return the (2, 3) tight box."""
        reach = np.array([*self.radii_mm, self.half_height_mm])
        return np.stack([self.centre_mm - reach, self.centre_mm + reach])

    def contains(self, x: Field, y: Field, z: Field) -> NDArray[np.bool_]:
        """Tell for each point whether the solid contains it."""
        u = (x - np.float32(self.centre_mm[0])) / np.float32(self.radii_mm[0])
        v = (y - np.float32(self.centre_mm[1])) / np.float32(self.radii_mm[1])
        return (u * u + v * v < 1.0) & (np.abs(z - np.float32(self.centre_mm[2])) < self.half_height_mm)


@dataclass(frozen=True)
class Part:
    """A solid with the organ and the tissue that it is painted in.

    Attributes
    ----------
    solid : where.
    organ : id in the label map.
    tissue : id that decides the look.
    over : tissue ids on which the part may be painted; None is everywhere.
    """

    solid: Solid
    organ: int
    tissue: int
    over: tuple[int, ...] | None = None


class Canvas:
    """Organ and tissue of a grid of atlas points; what is painted later covers what was painted before.

    Parameters
    ----------
    x, y, z : (X, Y, Z) float32 atlas coordinates in mm of each voxel.
    """

    def __init__(self, x: Field, y: Field, z: Field):
        self.x, self.y, self.z = x, y, z
        self.organ = np.zeros(x.shape, np.uint8)
        self.tissue = np.zeros(x.shape, np.uint8)
        self._lowest = np.stack([_reduce_blocks(np.minimum, field) for field in (x, y, z)])
        self._highest = np.stack([_reduce_blocks(np.maximum, field) for field in (x, y, z)])

    def paint(self, parts: Iterable[Part]) -> None:
        """Paint the parts in their order."""
        for part in parts:
            box = self._box_of(part.solid.bounds_mm())
            if box is None:
                continue
            inside = part.solid.contains(self.x[box], self.y[box], self.z[box])
            if part.over is not None:
                inside &= _is_one_of(part.over)[self.tissue[box]]
            self.organ[box][inside] = part.organ
            self.tissue[box][inside] = part.tissue

    def _box_of(self, bounds_mm: NDArray[np.float64]) -> tuple[slice, slice, slice] | None:
        """Return slices of the voxels that may lie in the box of atlas points, None if there is none."""
        lowest, highest = bounds_mm.astype(np.float32).reshape(2, 3, 1, 1, 1)
        is_hit = ((self._lowest <= highest) & (self._highest >= lowest)).all(axis=0)
        slices = []
        for others in ((1, 2), (0, 2), (0, 1)):
            hits = np.flatnonzero(is_hit.any(axis=others))
            if not len(hits):
                return None
            slices.append(slice(int(hits[0]) * BLOCK_VOX, (int(hits[-1]) + 1) * BLOCK_VOX))
        return slices[0], slices[1], slices[2]


def _reduce_blocks(reduction: np.ufunc, field: Field) -> Field:
    """Return the minimum or maximum of each block of voxels."""
    for axis, length in enumerate(field.shape):
        field = reduction.reduceat(field, np.arange(0, length, BLOCK_VOX), axis=axis)
    return field


@cache
def _is_one_of(ids: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (256,) True at the given ids."""
    table = np.zeros(256, np.bool_)
    table[list(ids)] = True
    return table


def ellipsoid(
    centre_mm: ArrayLike, half_axes_mm: ArrayLike, *, turn_degrees: ArrayLike = (0, 0, 0)
) -> Ellipsoid:
    """Return an ellipsoid whose half axes are turned about x, then y, then z."""
    axes = rotation_matrix(turn_degrees) @ np.diag(np.asarray(half_axes_mm, dtype=np.float64))
    return Ellipsoid(np.asarray(centre_mm, dtype=np.float64), axes)


def shrunk(solid: Ellipsoid, *, wall_mm: float) -> Ellipsoid:
    """Return an ellipsoid with a wall taken off."""
    lengths = np.linalg.norm(solid.axes_mm, axis=0)
    return Ellipsoid(solid.centre_mm, solid.axes_mm * (1 - wall_mm / lengths))


def tube(points_mm: Points, radii_mm: ArrayLike, *, step_mm: float = 12.0) -> list[Capsule]:
    """Return the capsules of a smooth tube through points.

    Parameters
    ----------
    points_mm : (N, 3), at least two.
    radii_mm : radius at each point, or one for all.
    step_mm : length of the capsules, about.
    """
    points = np.asarray(points_mm, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radii_mm, dtype=np.float64), len(points))
    path = smooth_path(np.column_stack([points, radii]), step_mm=step_mm)
    return [
        Capsule(before[:3], after[:3], (float(before[3]), float(after[3])))
        for before, after in pairwise(path)
    ]


def smooth_path(points: NDArray[np.float64], *, step_mm: float) -> NDArray[np.float64]:
    """Return points of the Catmull-Rom spline through the given ones, about `step_mm` apart.

    The first three columns are a position in mm; further columns are interpolated along.
    """
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        num_steps = max(1, round(float(np.linalg.norm((p2 - p1)[:3])) / step_mm))
        t = np.arange(num_steps)[:, None] / num_steps
        tangent_1, tangent_2 = (p2 - p0) / 2, (p3 - p1) / 2
        pieces.append(
            (2 * t**3 - 3 * t**2 + 1) * p1
            + (t**3 - 2 * t**2 + t) * tangent_1
            + (3 * t**2 - 2 * t**3) * p2
            + (t**3 - t**2) * tangent_2
        )
    return np.vstack([*pieces, points[-1]])


def rotation_matrix(degrees: ArrayLike) -> NDArray[np.float64]:
    """Return the (3, 3) rotation about x, then y, then z by the three angles."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def mirrored(points_mm: Point | Points, *, side: int) -> NDArray[np.float64]:
    """Return points given for the right side of the body, on the right (`side` 1) or the left (`side` -1)."""
    return np.asarray(points_mm, dtype=np.float64) * np.array([side, 1.0, 1.0])
