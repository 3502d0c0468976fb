"""How far a registered place may be off, from what the last step of the descent saw around it.

Three things tell: how weakly the images hold the field along the direction in which they hold it least, how far the
last step still moved it, and how much the field stretches there. Their product, each to a fitted power, is the radius
around the answer that holds the true place in four of five cases on real CTs warped by known fields
(`docs/accuracy/registration.md`).

That holds for two scans of one patient. Between two patients the field may fit well and still be far off, as nothing
says which places correspond; there the images agree less under the field than any known warp of one scan did. So the
radius is told only where they agree enough.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.settings.field_descent import FieldDoubtSettings
from anatomical_embedding.volumes.affine import Points, invert_affine, spacing_from_affine, transform_points
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

LEAST_HOLD = 1e-6
"""In 1/mm; nothing holds the field along a direction where there is less."""
DOUBT_SHARE = 0.8
"""Of the true places that lie within the radius, by the fit."""
INSIDE = 0.5
"""Share of the body at a control point whose agreement counts."""

Floats = NDArray[np.float32]


class FieldDoubt(NamedTuple):
    """How far a field may be off at its control points, and how well the images agree there.

    Attributes
    ----------
    radius_mm : around the answer; it holds for two scans of one patient.
    agreement : local correlation of the two images under the field, NaN where they show nothing or one ends.
    """

    radius_mm: Volume
    agreement: Volume


def doubt_mm(
    hold: NDArray[np.floating],
    last_step_mm: NDArray[np.floating],
    field: DisplacementField,
    *,
    settings: FieldDoubtSettings,
) -> Floats:
    """Return the (A, B, C) mm by which the field may be off at its control points.

    Parameters
    ----------
    hold : (A, B, C) roots of the smallest eigenvalues of the stiffened normal matrices of the last step, 1/mm.
    last_step_mm : (A, B, C) lengths of that step.
    field : after it, (A, B, C) control points.
    settings : scale and powers.
    """
    last = last_step_mm + np.float32(settings.step_floor_mm)
    stretch = strain(field) + np.float32(settings.strain_floor)
    radius = (
        settings.scale
        * np.maximum(hold, LEAST_HOLD) ** -settings.hold_power
        * last**settings.step_power
        * stretch**settings.strain_power
    )
    return np.minimum(radius, settings.largest_mm).astype(np.float32)


def strain(field: DisplacementField) -> NDArray[np.floating]:
    """Return the root of the sum of the squared slopes of a field along the axes of its grid, (X, Y, Z)."""
    parts = np.moveaxis(field.displacements_mm, -1, 0)
    spacing_mm = spacing_from_affine(field.affine)
    return np.sqrt(sum(slope**2 for part in parts for slope in np.gradient(part, *spacing_mm)))


def agreement_in(doubt: FieldDoubt, body: Volume) -> float:
    """Return the median agreement in a body, NaN where the images show nothing of it.

    Parameters
    ----------
    doubt : of a registration.
    body : mask in the same world, on a grid of its own.
    """
    inside = doubt.agreement.array[share_of_body(doubt.agreement, body) > INSIDE]
    inside = inside[np.isfinite(inside)]
    return float(np.median(inside)) if inside.size else float("nan")


def within_body(doubt: Volume, body: Volume, *, largest_mm: float) -> Volume:
    """Return the doubt with `largest_mm` outside the body, where nothing shows and so no step would move the field.

    Parameters
    ----------
    doubt : at control points.
    body : mask in the same world, on a grid of its own; control points beside one of its voxels count as inside.
    """
    inside = share_of_body(doubt, body) > 0
    return Volume(np.where(inside, doubt.array, np.float32(largest_mm)), doubt.affine)


def share_of_body(grid: Volume | VolumeHeader, body: Volume) -> Floats:
    """Return how much of the voxels of a body lies at those of a grid in its world, linear between them."""
    voxels = transform_points(
        invert_affine(body.affine) @ grid.affine, np.indices(grid.shape).reshape(3, -1).T
    )
    return map_coordinates((body.array > 0).astype(np.float32), voxels.T, order=1).reshape(grid.shape)


def doubt_at(doubt: Volume, points_mm: Points) -> NDArray[np.float64]:
    """Return the (N,) mm at (N, 3) fixed points, NaN where nothing was registered."""
    voxels = doubt.voxel_from_world(points_mm)
    found = map_coordinates(doubt.array, voxels.T, order=1, mode="nearest", output=np.float64)
    return np.where(doubt.holds(voxels), found, np.nan)
