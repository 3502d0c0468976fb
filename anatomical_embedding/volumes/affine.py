"""Affine arithmetic: the only place where voxel indices and world millimetres meet.

World is RAS+ millimetres, as in NIfTI. Voxel coordinates are those of an `(X, Y, Z)` array; integers are voxel
centres. ITK's LPS appears only at the border of the program (`lps_from_ras`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
"""Points as (N, 3) float64."""

LPS_SIGNS = (-1.0, -1.0, 1.0)
"""Of LPS+ coordinates in RAS+, and back."""


def transform_points(matrix: NDArray[np.floating], points: ArrayLike) -> Points:
    """Apply a (4, 4) affine matrix to (..., 3) points.

    Examples
    --------
    >>> matrix = np.diag([2.0, 2.0, 5.0, 1.0])
    >>> transform_points(matrix, [[1, 0, 1]])
    array([[2., 0., 5.]])
    """
    points = np.asarray(points, dtype=np.float64)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def invert_affine(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the inverse of a (4, 4) affine matrix, its last row exact.

    Raises
    ------
    numpy.linalg.LinAlgError
        if the matrix is singular.
    """
    inverse = np.linalg.inv(np.asarray(matrix, dtype=np.float64))
    inverse[3] = (0.0, 0.0, 0.0, 1.0)
    return inverse


def grid_planes(shape: tuple[int, ...], affine: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Give the (Y, Z, 3) places of the voxels of a grid under an affine, plane by plane along the first axis.

    Examples
    --------
    >>> [plane.tolist() for plane in grid_planes((2, 1, 1), np.diag([3.0, 1.0, 1.0, 1.0]))]
    [[[[0.0, 0.0, 0.0]]], [[[3.0, 0.0, 0.0]]]]
    """
    x, y, z = (
        np.arange(size)[:, None] * column for size, column in zip(shape, affine[:3, :3].T, strict=True)
    )
    for along_x in x:
        yield along_x + y[:, None] + z + affine[:3, 3]


def spacing_from_affine(affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (3,) voxel spacing in mm: the lengths of the columns of the affine."""
    return np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)


def lps_from_ras(points_mm: ArrayLike) -> Points:
    """Turn (..., 3) RAS+ points into LPS+ points, or back: the map is its own inverse."""
    return np.asarray(points_mm, dtype=np.float64) * np.array(LPS_SIGNS)
