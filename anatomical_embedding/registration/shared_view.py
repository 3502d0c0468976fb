"""The field of view that two volumes share once a start is known."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import grid_planes, invert_affine, transform_points
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


def body_both_show(body: Volume, other: Volume, matrix: NDArray[np.float64], *, margin_mm: float) -> Volume:
    """Return the part of a body mask that a start carries into the field of view of another volume, or near it.

    Parameters
    ----------
    body : positive inside the body.
    other : volume of any geometry; only its shape and affine are looked at.
    matrix : (4, 4) from the world of the body to that of the other volume, mm RAS+.
    margin_mm : how far outside the field of view a place may come to lie along the axes of its array.
    """
    inside_vox = np.argwhere(body.array > 0)
    places_vox = other.voxel_from_world(transform_points(matrix, body.world_from_voxel(inside_vox)))
    margin_vox = margin_mm / other.spacing_mm
    is_near = (places_vox >= -margin_vox) & (places_vox <= np.array(other.shape) - 1 + margin_vox)
    array = np.zeros(body.shape, dtype=np.uint8)
    array[tuple(inside_vox[is_near.all(axis=1)].T)] = 1
    return Volume(array, body.affine)


def seen_from(moving: Volume, matrix: NDArray[np.float64]) -> Volume:
    """Return the moving volume placed in the fixed world by a start: same voxels, another affine.

    Parameters
    ----------
    moving : in its own world.
    matrix : (4, 4) fixed to moving, world mm RAS+.
    """
    return Volume(moving.array, invert_affine(matrix) @ moving.affine)
