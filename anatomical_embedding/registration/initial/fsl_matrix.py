"""Matrices of FSL's flirt: from the moving to the fixed image, in voxels times their size.

Where the affine of an image has a positive determinant FSL counts its x axis from the other end.
"""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.grid import Grid


def world_from_flirt(matrix: NDArray[np.float64], *, fixed: Grid, moving: Grid) -> NDArray[np.float64]:
    """Return the (4, 4) map of fixed to moving points, RAS+ mm, that a matrix of flirt states.

    Parameters
    ----------
    matrix : (4, 4) of `flirt -omat`, invertible.
    fixed, moving : grids of the images given as `-ref` and `-in`, their axes as stored.
    """
    fixed_flirt = flirt_from_voxel(fixed) @ invert_affine(fixed.affine)
    moving_world = moving.affine @ invert_affine(flirt_from_voxel(moving))
    return moving_world @ invert_affine(matrix) @ fixed_flirt


def flirt_from_voxel(grid: Grid) -> NDArray[np.float64]:
    """Return the (4, 4) map of the voxels of an image to flirt's coordinates.

    Examples
    --------
    >>> from anatomical_embedding.volumes.nifti import VolumeHeader
    >>> flirt_from_voxel(VolumeHeader((5, 4, 3), np.diag([2.0, 1.0, 1.0, 1.0])))[0]
    array([-2.,  0.,  0.,  8.])
    """
    matrix = np.diag([*grid.spacing_mm, 1.0])
    if np.linalg.det(grid.affine[:3, :3]) > 0:
        matrix[0, 3] = (grid.shape[0] - 1) * matrix[0, 0]
        matrix[0, 0] *= -1.0
    return matrix
