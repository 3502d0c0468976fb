"""How far a registered place may be off, from what the last step of the descent saw around it.

Three things tell: how weakly the images hold the field along the direction in which they hold it least, how far the
last step still moved it, and how much the field stretches there. Their product, each to a fitted power, is the radius
around the answer that holds the true place in four of five cases on real CTs warped by known fields
(`docs/accuracy.md`).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.settings.field_descent import FieldDoubtSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

Floats = NDArray[np.float32]


def doubt_mm(
    matrix: NDArray[np.floating],
    step: Floats,
    shift: Floats,
    *,
    spacing_mm: NDArray[np.float64],
    settings: FieldDoubtSettings,
) -> Floats:
    """Return the (A, B, C) mm by which the field may be off at its control points.

    Parameters
    ----------
    matrix : (A, B, C, 3, 3) stiffened normal matrices of the last step, 1/mm^2.
    step : (3, A, B, C) mm of the last step.
    shift : (3, A, B, C) mm of the field after it, along the axes of its grid.
    spacing_mm : (3,) between control points.
    settings : scale and powers.
    """
    hold = np.sqrt(np.linalg.eigvalsh(matrix)[..., 0])
    last = np.sqrt(np.sum(step**2, axis=0)) + settings.step_floor_mm
    stretch = strain(shift, spacing_mm) + settings.strain_floor
    radius = (
        settings.scale
        * hold**-settings.hold_power
        * last**settings.step_power
        * stretch**settings.strain_power
    )
    return np.minimum(radius, settings.largest_mm).astype(np.float32)


def strain(shift: Floats, spacing_mm: NDArray[np.float64]) -> Floats:
    """Return the root of the sum of the squared slopes of a field of (3, A, B, C) mm, (A, B, C)."""
    return np.sqrt(sum(slope**2 for part in shift for slope in np.gradient(part, *spacing_mm)))


def within_body(doubt: Volume, body: Volume, *, largest_mm: float) -> Volume:
    """Return the doubt with `largest_mm` outside the body, where nothing shows and so no step would move the field.

    Parameters
    ----------
    doubt : at control points.
    body : mask in the same world, on a grid of its own; control points beside one of its voxels count as inside.
    """
    places = np.indices(doubt.shape).reshape(3, -1).T
    voxels = body.voxel_from_world(doubt.world_from_voxel(places))
    near = map_coordinates((body.array > 0).astype(np.float32), voxels.T, order=1) > 0
    inside = near.reshape(doubt.shape)
    return Volume(np.where(inside, doubt.array, np.float32(largest_mm)), doubt.affine)


def doubt_at(doubt: Volume, points_mm: Points) -> NDArray[np.float64]:
    """Return the (N,) mm at (N, 3) fixed points, NaN where nothing was registered."""
    voxels = doubt.voxel_from_world(points_mm)
    found = map_coordinates(doubt.array, voxels.T, order=1, mode="nearest", output=np.float64)
    return np.where(doubt.holds(voxels), found, np.nan)
