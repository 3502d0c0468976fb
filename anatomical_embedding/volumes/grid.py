"""Grids of voxels in the world: what lies inside, where the centre is, and how far two grids of one shape lie apart."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.volumes.affine import (
    Points,
    invert_affine,
    spacing_from_affine,
    transform_points,
)

EDGE_TOLERANCE_VOX = 1e-6
"""Beyond its outermost voxels a grid still contains what rounding has moved out."""


class Grid:
    """Voxels placed in the world: the base of all that has a shape and an affine.

    Attributes
    ----------
    shape : number of voxels along X, Y and Z.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """(3,) distance between voxel centres along each array axis, in mm."""
        return spacing_from_affine(self.affine)

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """(3,) middle of the grid, mm RAS+."""
        return self.world_from_voxel((np.array(self.shape) - 1) / 2.0)

    def world_from_voxel(self, points_vox: ArrayLike) -> Points:
        """Return (..., 3) mm RAS+ of (..., 3) voxel coordinates."""
        return transform_points(self.affine, points_vox)

    def voxel_from_world(self, points_mm: ArrayLike) -> Points:
        """Return (..., 3) voxel coordinates of (..., 3) mm RAS+."""
        return transform_points(invert_affine(self.affine), points_mm)

    def nearest_inside(self, points_mm: ArrayLike) -> Points:
        """Return (..., 3) points in mm RAS+, those outside the outermost voxel centres moved onto them."""
        last = np.array(self.shape) - 1.0
        return self.world_from_voxel(np.clip(self.voxel_from_world(points_mm), 0.0, last))

    def contains(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """Return whether (..., 3) points in mm RAS+ lie in voxels, which reach half way to their neighbours."""
        return self.holds(self.voxel_from_world(points_mm))

    def holds(self, points_vox: ArrayLike) -> NDArray[np.bool_]:
        """Return whether each of (..., 3) voxel coordinates lies in a voxel."""
        return np.min(self._steps_from_edge(points_vox), axis=-1) >= -EDGE_TOLERANCE_VOX

    def spans(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """Return whether (..., 3) points in mm RAS+ lie between the centres of the outermost voxels."""
        places = self.voxel_from_world(points_mm)
        return np.all((places >= 0) & (places <= np.array(self.shape) - 1), axis=-1)

    def nearest_voxels(self, points_mm: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the (N, 3) index nearest to each of (N, 3) finite points in mm RAS+, and whether the grid has it."""
        nearest = np.rint(self.voxel_from_world(points_mm)).astype(np.int64)
        return nearest, np.all((nearest >= 0) & (nearest < np.array(self.shape)), axis=-1)

    def depth_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Return how deep inside the voxels (..., 3) points lie, in mm; negative outside, NaN stays NaN."""
        return np.min(self._steps_from_edge(self.voxel_from_world(points_mm)) * self.spacing_mm, axis=-1)

    def _steps_from_edge(self, points_vox: ArrayLike) -> NDArray[np.float64]:
        """Return (..., 3) voxels between each place and the nearer end of each axis."""
        steps_from_corner = np.asarray(points_vox) + 0.5
        return np.minimum(steps_from_corner, np.array(self.shape) - steps_from_corner)


def corners_vox(shape: Sequence[int]) -> Points:
    """Return (8, 3) voxel coordinates of the corner voxels of a grid of this (3,) shape."""
    return np.array(list(product(*[(0.0, size - 1.0) for size in shape])))


def largest_distance_mm(
    first: NDArray[np.float64], second: NDArray[np.float64], *, shape: Sequence[int]
) -> float:
    """Return the largest distance in mm between equal voxels of two grids, which a corner voxel has.

    Parameters
    ----------
    first, second : (4, 4) affines of the grids.
    shape : (3,) size of both.

    Examples
    --------
    >>> largest_distance_mm(np.eye(4), np.diag([1.0, 1.0, 1.1, 1.0]), shape=(5, 5, 11))
    1.0
    """
    corners = corners_vox(shape)
    apart = transform_points(first, corners) - transform_points(second, corners)
    return round(float(np.linalg.norm(apart, axis=1).max()), 9)
