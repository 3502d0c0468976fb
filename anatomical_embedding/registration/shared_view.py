"""The field of view that two volumes share once a start is known."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.prepare import Box
from anatomical_embedding.volumes.volume import Volume


def shared_box(fixed: Volume, moving: Volume, matrix: NDArray[np.float64]) -> Box | None:
    """Return the box of fixed voxels that the moving volume reaches, None if it reaches none.

    Parameters
    ----------
    fixed, moving : any geometry; only shapes and affines are looked at.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    """
    moving_from_fixed = invert_affine(moving.affine) @ matrix @ fixed.affine
    indices = np.stack(np.meshgrid(*[np.arange(size) for size in fixed.shape], indexing="ij"), axis=-1)
    voxels = transform_points(moving_from_fixed, indices)
    inside = np.all((voxels >= -0.5) & (voxels <= np.array(moving.shape) - 0.5), axis=-1)
    if not inside.any():
        return None
    sides = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return sides[0], sides[1], sides[2]


def seen_from(moving: Volume, matrix: NDArray[np.float64]) -> Volume:
    """Return the moving volume placed in the fixed world by a start: same voxels, another affine.

    Parameters
    ----------
    moving : in its own world.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    """
    return Volume(moving.array, invert_affine(matrix) @ moving.affine)
