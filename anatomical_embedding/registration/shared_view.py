"""The field of view that two volumes share once a start is known."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import grid_planes, invert_affine
from anatomical_embedding.volumes.body_mask import body_box
from anatomical_embedding.volumes.prepare import Box
from anatomical_embedding.volumes.volume import Volume


def shared_box(fixed: Volume, moving: Volume) -> Box | None:
    """Return the box of fixed voxels that the moving volume reaches, None if it reaches none.

    Parameters
    ----------
    fixed, moving : in one world (`seen_from`), any geometry; only shapes and affines are looked at.
    """
    to_moving = invert_affine(moving.affine) @ fixed.affine
    # A plane at a time, which stays in the processor's cache.
    inside = np.stack([moving.holds(plane) for plane in grid_planes(fixed.shape, to_moving)])
    if not inside.any():
        return None
    return body_box(inside, margin_vox=np.zeros(3, dtype=int))


def seen_from(moving: Volume, matrix: NDArray[np.float64]) -> Volume:
    """Return the moving volume placed in the fixed world by a start: same voxels, another affine.

    Parameters
    ----------
    moving : in its own world.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    """
    return Volume(moving.array, invert_affine(matrix) @ moving.affine)
