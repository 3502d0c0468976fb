"""A displacement field below a voxel: Gauss-Newton steps on both images after the search, which moves by whole voxels.

At every control point the images around it say by how much the field should still move there: within a Gaussian window
the fixed image is compared with the moving one, seen through the field and brought to its local mean and contrast. The
weighted squares of the difference become smallest by one Gauss-Newton step, with the gradient of the mean of both
images, so that neither is preferred; voxels that differ much more than noise lose their weight. A term of stiffness
keeps the field where it is where the images show nothing. A step that would fold the field is halved.

The field lives on its control points alone; the images are compared on a grid whose voxels fill the cells round them.

Source: Lucas and Kanade, An iterative image registration technique (1981); the mean gradient as in Vercauteren et al.,
Diffeomorphic demons (NeuroImage 2009).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from anatomical_embedding.registration.cell_blocks import block_means
from anatomical_embedding.registration.descent_pair import DescentPair, gaussian
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_doubt import FieldDoubt, correlation, doubt_mm, share_of_body
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import VolumeHeader
from anatomical_embedding.volumes.volume import Volume

NUM_HALVINGS = 3
"""Of a step that folds; then the field stays as it is."""
SMALLEST_GAIN, LARGEST_GAIN = 0.5, 2.0
"""Of the local contrast of one image over that of the other."""
OUTLIER_SCALES = 2.0
"""A voxel that differs by so many standard deviations has a quarter of its weight left."""
LEAST_CONTROL_POINTS = 2
"""Along an axis: slopes are differences."""
BODY_MARGIN_MM = 12.0
"""About the body, where its skin and the other image's may lie."""
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Entries of a symmetric matrix that are kept."""

Floats = NDArray[np.float32]


class DescendedField(NamedTuple):
    """A field below a voxel.

    Attributes
    ----------
    field : at the control points.
    doubt : how far it may be off there; None where the settings do not ask.
    """

    field: DisplacementField
    doubt: FieldDoubt | None


def descend_field(
    field: DisplacementField,
    fixed: Volume,
    moving: Volume,
    *,
    settings: FieldDescentSettings,
    body: Volume | None = None,
) -> DescendedField:
    """Return a field that fits two images of one contrast better.

    Parameters
    ----------
    field : from the fixed image to the moving one, within the fixed world, at the control points; it does not fold.
    fixed, moving : in one world, any grids.
    settings : grid, windows and steps.
    body : mask in the fixed world, on a grid of its own; farther than `BODY_MARGIN_MM` from it the images are not
        compared. None compares them everywhere.

    Notes
    -----
    About 100 bytes and 0.15 CPU microseconds a voxel of a pass and step, half of that where no body is near.
    """
    shape_x, shape_y, shape_z, _ = field.displacements_mm.shape
    grid = VolumeHeader((shape_x, shape_y, shape_z), field.affine)
    spacing_mm = spacing_from_affine(grid.affine)
    axes = grid.affine[:3, :3] / spacing_mm
    shift = np.moveaxis(field.displacements_mm @ axes, -1, 0).astype(np.float32)  # along the grid's axes
    if settings.start_smooth_mm > 0.0:
        shift = np.stack([gaussian(part, settings.start_smooth_mm / spacing_mm) for part in shift])
    is_wanted = np.ones(grid.shape, dtype=bool) if body is None else near_body(grid, body)
    for chosen in settings.passes:
        pair = DescentPair.on_grid(grid, fixed, moving, is_wanted=is_wanted, chosen=chosen, settings=settings)
        for _ in range(chosen.num_steps):
            seen = _compare(pair, shift, settings=settings)
            step = _limited(_solved(seen.matrix, seen.right, stiffness=settings.stiffness), settings)
            shift = _without_folds(shift, step, spacing_mm)
    in_world = (axes @ shift.reshape(3, -1)).reshape(shift.shape)
    found = DisplacementField(np.moveaxis(in_world, 0, -1).astype(np.float32), grid.affine)
    if settings.doubt is None:
        return DescendedField(found, None)
    radius_mm = doubt_mm(
        _matrices(seen.matrix, settings.stiffness),
        step,
        shift,
        spacing_mm=spacing_mm,
        settings=settings.doubt,
    )
    # Smoothed as for the first pass, against noise.
    pair = DescentPair.on_grid(
        grid, fixed, moving, is_wanted=is_wanted, chosen=settings.passes[0], settings=settings
    )
    agreement = _agreement(pair, shift, settings=settings)
    return DescendedField(found, FieldDoubt(Volume(radius_mm, grid.affine), Volume(agreement, grid.affine)))


def _agreement(pair: DescentPair, shift: Floats, *, settings: FieldDescentSettings) -> Floats:
    """Return the local correlation of the images under the field."""
    moved, is_inside = pair.moved(shift)
    return correlation(
        pair.moments(moved),
        is_seen=block_means(is_inside.astype(np.float32), pair.stride) == 1,
        noise=settings.noise,
    )


def near_body(grid: VolumeHeader, body: Volume) -> NDArray[np.bool_]:
    """Return which control points lie within `BODY_MARGIN_MM`, along each axis, of those in a body.

    Parameters
    ----------
    grid : the control points.
    body : mask in the same world, on a grid of its own.
    """
    reach = np.ceil(BODY_MARGIN_MM / spacing_from_affine(grid.affine)).astype(int)
    return np.asarray(maximum_filter(share_of_body(grid, body) > 0, size=(2 * reach + 1).tolist()))


def control_grid(fixed: Volume, *, settings: FieldDescentSettings) -> VolumeHeader:
    """Return the control points in the box of the fixed image; its axes are at right angles."""
    spacing_mm = settings.spacing_mm * settings.control_step_vox
    sizes = np.maximum(np.rint(np.array(fixed.shape) * fixed.spacing_mm / spacing_mm), LEAST_CONTROL_POINTS)
    size_x, size_y, size_z = sizes.astype(int).tolist()
    affine = affine_of_cells(fixed.affine, stride_vox=spacing_mm / fixed.spacing_mm)
    return VolumeHeader((size_x, size_y, size_z), affine)


class _Seen(NamedTuple):
    """What two images say of a field around every control point.

    Attributes
    ----------
    matrix : the six entries of the means of the weighted products of slopes, each (A, B, C), 1/mm^2.
    right : means of the weighted differences and slopes along each axis, 1/mm.
    """

    matrix: list[Floats]
    right: list[Floats]


def _compare(pair: DescentPair, shift: Floats, *, settings: FieldDescentSettings) -> _Seen:
    """Return what the images say of (3, A, B, C) mm along the axes of the grid."""
    fixed = pair.fixed
    moved, is_inside = pair.moved(shift)
    noise = np.float32(settings.noise**2)
    mean_fixed, mean_moved, fixed_variance, variance, covariance = pair.moments(moved)
    gain: Floats = np.clip((covariance + noise) / (variance + noise), SMALLEST_GAIN, LARGEST_GAIN)
    left: Floats = np.maximum(fixed_variance - 2 * gain * covariance + gain**2 * variance, 0)
    fitted = pair.at_voxels(gain) * moved + pair.at_voxels(mean_fixed - gain * mean_moved)
    precision = pair.at_voxels(np.reciprocal(left + noise))
    difference = fixed - fitted
    weight = precision * is_inside / (1 + precision * difference**2 / OUTLIER_SCALES**2) ** 2
    slopes = np.gradient((fixed + fitted) / 2, *pair.spacing_mm)
    weighted = [weight * slope for slope in slopes]
    matrix = [pair.around(weighted[row] * slopes[column], pair.window_vox) for row, column in PAIRS]
    right = [pair.around(slope * difference, pair.window_vox) for slope in weighted]
    return _Seen(matrix, right)


def _limited(step: Floats, settings: FieldDescentSettings) -> Floats:
    """Return a step of (3, A, B, C) mm, nowhere longer than the settings allow."""
    length = np.sqrt(np.sum(step**2, axis=0))
    return step * (settings.largest_step_mm / np.maximum(length, settings.largest_step_mm))


def _solved(matrix: list[Floats], right: list[Floats], *, stiffness: float) -> Floats:
    """Return the (3, A, B, C) solutions of a stiffened symmetric 3 x 3 system at every control point."""
    xx, xy, xz, yy, yz, zz = matrix
    xx, yy, zz = xx + stiffness, yy + stiffness, zz + stiffness
    first = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy)
    second = (first[1], xx * zz - xz * xz, xy * xz - xx * yz)
    third = (first[2], second[2], xx * yy - xy * xy)
    determinant = xx * first[0] + xy * first[1] + xz * first[2]
    return np.stack(
        [
            sum(part * b for part, b in zip(row, right, strict=True)) / determinant
            for row in (first, second, third)
        ]
    ).astype(np.float32)


def _matrices(entries: list[Floats], stiffness: float) -> NDArray[np.float32]:
    """Return the (A, B, C, 3, 3) stiffened matrices of their six entries."""
    matrix = np.empty((*entries[0].shape, 3, 3), np.float32)
    for (row, column), entry in zip(PAIRS, entries, strict=True):
        matrix[..., row, column] = matrix[..., column, row] = entry + (stiffness if row == column else 0.0)
    return matrix


def _without_folds(shift: Floats, step: Floats, spacing_mm: NDArray[np.float64]) -> Floats:
    """Return the field after a step, or after a part of it that folds nothing."""
    for _ in range(1 + NUM_HALVINGS):
        if smallest_jacobian(shift + step, spacing_mm) > 0.0:
            return shift + step
        step = (step / 2).astype(np.float32)
    return shift


def smallest_jacobian(shift: Floats, spacing_mm: NDArray[np.float64]) -> float:
    """Return the smallest share of its volume that a voxel keeps under (3, X, Y, Z) mm along the axes of its grid."""
    slopes = [np.gradient(part, *spacing_mm) for part in shift]
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = slopes
    xx, yy, zz = xx + 1, yy + 1, zz + 1
    determinant = xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
    return float(determinant.min())
