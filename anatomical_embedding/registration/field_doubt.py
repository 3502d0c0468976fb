"""How far a registered place may be off, from what the last step of the descent saw around it.

Three things tell: how weakly the images hold the field along the direction in which they hold it least, how far the
last step still moved it, and how much the field stretches there. Their product, each to a fitted power, is the radius
around the answer that holds the true place in four of five cases on real CTs warped by known fields
(`docs/accuracy.md`).

That holds for two scans of one patient. Between two patients the field may fit well and still be far off, as nothing
says which places correspond; there the images agree less under the field than any known warp of one scan did. So the
radius is told only where they agree enough.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.registration.descent_pair import LocalMoments
from anatomical_embedding.settings.field_descent import FieldDoubtSettings
from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points
from anatomical_embedding.volumes.nifti import VolumeHeader
from anatomical_embedding.volumes.volume import Volume

SMALLEST_VARIANCE = 1e-3
"""HU^2, below which an image is uniform."""
NO_HOLD = 1e-12
"""In 1/mm^2; rounding can leave less, and less than nothing, of a matrix that holds nothing along a direction."""
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
    hold = np.sqrt(np.maximum(smallest_eigenvalue(matrix), NO_HOLD))
    last = np.sqrt(np.sum(step**2, axis=0)) + settings.step_floor_mm
    stretch = strain(shift, spacing_mm) + settings.strain_floor
    radius = (
        settings.scale
        * hold**-settings.hold_power
        * last**settings.step_power
        * stretch**settings.strain_power
    )
    return np.minimum(radius, settings.largest_mm).astype(np.float32)


def smallest_eigenvalue(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (...,) smallest eigenvalues of (..., 3, 3) symmetric matrices, by the cosines of a third of an angle.

    Notes
    -----
    A tenth of the time of `eigvalsh`, which goes from matrix to matrix.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    mean = np.trace(matrix, axis1=-2, axis2=-1) / 3
    left = matrix - mean[..., None, None] * np.eye(3)
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = np.moveaxis(left, (-2, -1), (0, 1))
    size = np.sqrt((xx**2 + yy**2 + zz**2 + 2 * (xy**2 + xz**2 + yz**2)) / 6)
    determinant = xx * (yy * zz - yz**2) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    cosine = np.clip(determinant / np.maximum(2 * size**3, np.finfo(float).tiny), -1, 1)
    return mean + 2 * size * np.cos((np.arccos(cosine) + 2 * np.pi) / 3)


def strain(shift: Floats, spacing_mm: NDArray[np.float64]) -> Floats:
    """Return the root of the sum of the squared slopes of a field of (3, A, B, C) mm, (A, B, C)."""
    return np.sqrt(sum(slope**2 for part in shift for slope in np.gradient(part, *spacing_mm)))


def correlation(moments: LocalMoments, *, is_seen: NDArray[np.bool_], noise: float) -> Floats:
    """Return the (A, B, C) local correlation of two images, NaN where it means nothing.

    Parameters
    ----------
    moments : of both images.
    is_seen : where both images reach.
    noise : standard deviation that at least one of them has to exceed, HU.
    """
    _, _, fixed, moved, covariance = moments
    is_textured = np.maximum(fixed, moved) > noise**2
    found = covariance / np.sqrt(np.maximum(fixed, SMALLEST_VARIANCE) * np.maximum(moved, SMALLEST_VARIANCE))
    return np.where(is_seen & is_textured, found, np.nan).astype(np.float32)


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
