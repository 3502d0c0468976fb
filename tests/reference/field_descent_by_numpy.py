"""The descent below a voxel by whole arrays of NumPy, which `deeds descend` is held to."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.settings.field_descent import FieldDescentPassSettings, FieldDescentSettings
from anatomical_embedding.volumes.affine import invert_affine, spacing_from_affine
from anatomical_embedding.volumes.volume import Volume

REACH_DEVIATIONS = 2.5 + 1e-6
NUM_HALVINGS = 3
SMALLEST_GAIN, LARGEST_GAIN = 0.5, 2.0
OUTLIER_SCALES = 2.0
SMALLEST_VARIANCE = 1e-3
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))

Floats = NDArray[np.float32]


class ReferenceDescent(NamedTuple):
    """What a descent ends with.

    Attributes
    ----------
    displacements_mm : (A, B, C, 3) at the control points, world RAS+.
    hold : (A, B, C) roots of the smallest eigenvalues of the last matrices, 1/mm.
    last_step_mm : (A, B, C) lengths.
    agreement : (A, B, C) local correlation, NaN where there is none.
    """

    displacements_mm: Floats
    hold: Floats
    last_step_mm: Floats
    agreement: Floats


class LocalMoments(NamedTuple):
    """Means, variances and covariance of two images round every control point, each (A, B, C).

    Attributes
    ----------
    mean_fixed, mean_moved : HU.
    fixed_variance, moved_variance, covariance : HU^2.
    """

    mean_fixed: Floats
    mean_moved: Floats
    fixed_variance: Floats
    moved_variance: Floats
    covariance: Floats


@dataclass(frozen=True)
class DescentPair:
    """Two images for the steps of one pass, the first on a grid whose voxels fill the cells of the control points.

    Attributes
    ----------
    fixed : (X, Y, Z), `stride` voxels along each axis for a control point; spacing_mm : (3,).
    moving : on its own grid.
    places : (3, X, Y, Z) voxels of the moving image at the voxels of the fixed one before any shift.
    from_shift : (3, 3) shifts in mm along the axes of the grid to voxels of the moving image.
    stride : voxels between control points.
    window_vox, contrast_vox : (3,) standard deviations of the Gaussian windows, in control points.
    is_wanted : (X, Y, Z) voxels at which the images are compared.
    """

    fixed: Floats
    spacing_mm: NDArray[np.float64]
    moving: Floats
    places: Floats
    from_shift: Floats
    stride: int
    window_vox: NDArray[np.float64]
    contrast_vox: NDArray[np.float64]
    is_wanted: NDArray[np.bool_]

    @classmethod
    def of_pass(
        cls,
        fixed: Volume,
        moving: Volume,
        *,
        is_wanted: NDArray[np.bool_],
        chosen: FieldDescentPassSettings,
        settings: FieldDescentSettings,
    ) -> "DescentPair":
        """Return two images smoothed as a pass asks; the fixed one's voxels fill the cells."""
        stride = settings.control_step_vox
        from_grid = invert_affine(moving.affine) @ fixed.affine
        return cls(
            smoothed_image(fixed.array, chosen.smooth_mm / fixed.spacing_mm),
            fixed.spacing_mm,
            smoothed_image(moving.array, chosen.smooth_mm / moving.spacing_mm),
            _places(fixed.shape, from_grid),
            (from_grid[:3, :3] / fixed.spacing_mm).astype(np.float32),
            stride,
            chosen.window_mm / (fixed.spacing_mm * stride),
            settings.contrast_mm / (fixed.spacing_mm * stride),
            is_wanted.repeat(stride, 0).repeat(stride, 1).repeat(stride, 2),
        )

    def around(self, image: Floats, deviation_vox: NDArray[np.float64]) -> Floats:
        """Return the Gaussian means of (X, Y, Z) values at the control points."""
        return gaussian(block_means(image, self.stride), deviation_vox)

    def at_voxels(self, image: Floats) -> Floats:
        """Return values of the control points at the voxels of the grid."""
        return between_blocks(image, self.stride)

    @cached_property
    def fixed_means(self) -> tuple[Floats, Floats]:
        """The local means of the fixed image and of its squares."""
        return self.around(self.fixed, self.contrast_vox), self.around(self.fixed**2, self.contrast_vox)

    def moved(self, shift: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the moving image seen through (3, A, B, C) mm at the control points, and where it tells something.

        Where it is not wanted it tells nothing and equals the fixed image.
        """
        there = np.tensordot(self.from_shift, shift, axes=1)
        wanted = self.is_wanted
        places = np.stack(
            [
                self.at_voxels(part)[wanted] + begun[wanted]
                for part, begun in zip(there, self.places, strict=True)
            ]
        )
        is_reached = np.logical_and.reduce(
            [(part >= 0) & (part <= size - 1) for part, size in zip(places, self.moving.shape, strict=True)]
        )
        moved, is_inside = self.fixed.copy(), wanted.copy()
        moved[wanted] = map_coordinates(self.moving, places, order=1, mode="nearest", output=np.float32)
        is_inside[wanted] = is_reached
        return moved, is_inside

    def moments(self, moved: Floats) -> "LocalMoments":
        """Return the moments of the fixed image and the (X, Y, Z) moving one round the control points."""
        mean_fixed, fixed_squares = self.fixed_means
        mean_moved, moved_squares, products = (
            self.around(image, self.contrast_vox) for image in (moved, moved * moved, self.fixed * moved)
        )
        return LocalMoments(
            mean_fixed,
            mean_moved,
            np.maximum(fixed_squares - mean_fixed**2, 0),
            np.maximum(moved_squares - mean_moved**2, 0),
            products - mean_fixed * mean_moved,
        )


class _Seen(NamedTuple):
    """What two images say of a field around every control point.

    Attributes
    ----------
    matrix : the six entries of the means of the weighted products of slopes, each (A, B, C), 1/mm^2.
    right : means of the weighted differences and slopes along each axis, 1/mm.
    """

    matrix: list[Floats]
    right: list[Floats]


def descend(
    field: DisplacementField,
    fixed: Volume,
    moving: Volume,
    *,
    settings: FieldDescentSettings,
    is_wanted: NDArray[np.bool_],
) -> ReferenceDescent:
    """Return a field that fits two images better.

    Parameters
    ----------
    field : at the control points, within the fixed world.
    fixed, moving : in one world; the voxels of the fixed one fill the cells round the control points.
    settings : windows and steps.
    is_wanted : (A, B, C) control points round which the images are compared.
    """
    spacing_mm = spacing_from_affine(field.affine)
    axes = field.affine[:3, :3] / spacing_mm
    shift = np.moveaxis(field.displacements_mm @ axes, -1, 0).astype(np.float32)
    if settings.start_smooth_mm > 0.0:
        shift = np.stack([gaussian(part, settings.start_smooth_mm / spacing_mm) for part in shift])
    for chosen in settings.passes:
        pair = DescentPair.of_pass(fixed, moving, is_wanted=is_wanted, chosen=chosen, settings=settings)
        for _ in range(chosen.num_steps):
            seen = _compare(pair, shift, settings=settings)
            step = _limited(_solved(seen.matrix, seen.right, stiffness=settings.stiffness), settings)
            shift = _without_folds(shift, step - _rough(shift + step, spacing_mm, settings), spacing_mm)
    pair = DescentPair.of_pass(
        fixed, moving, is_wanted=is_wanted, chosen=settings.passes[0], settings=settings
    )
    moved, is_inside = pair.moved(shift)
    agreement = correlation(
        pair.moments(moved),
        is_seen=block_means(is_inside.astype(np.float32), pair.stride) == 1,
        noise=settings.noise,
    )
    matrices = np.empty((*shift.shape[1:], 3, 3))
    for (row, column), entry in zip(PAIRS, seen.matrix, strict=True):
        matrices[..., row, column] = matrices[..., column, row] = entry
    smallest = np.linalg.eigvalsh(matrices + settings.stiffness * np.eye(3))[..., 0]
    return ReferenceDescent(
        np.moveaxis((axes @ shift.reshape(3, -1)).reshape(shift.shape), 0, -1).astype(np.float32),
        np.sqrt(np.maximum(smallest, 0)).astype(np.float32),
        np.sqrt(np.sum(step**2, axis=0)),
        agreement,
    )


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


def _rough(shift: Floats, spacing_mm: NDArray[np.float64], settings: FieldDescentSettings) -> Floats:
    """Return what is to leave (3, A, B, C) mm: (1 - G)^3 of it, where it is no wall."""
    if settings.roughness is None:
        return np.zeros_like(shift)
    for _ in range(3):
        shift = shift - np.stack(
            [gaussian(part, settings.roughness.window_mm / spacing_mm) for part in shift]
        )
    return shift / (1 + np.sum(shift**2, axis=0) / settings.roughness.wall_mm**2)


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


def _places(shape: tuple[int, ...], from_grid: NDArray[np.float64]) -> Floats:
    """Return the (3, X, Y, Z) voxels of another grid at the voxels of one."""
    x, y, z = (np.arange(size, dtype=np.float32) for size in shape)
    matrix = from_grid.astype(np.float32)
    return np.stack(
        [row[0] * x[:, None, None] + row[1] * y[:, None] + (row[2] * z + row[3]) for row in matrix[:3]]
    )


def gaussian(image: Floats, deviation_vox: NDArray[np.float64]) -> Floats:
    """Return Gaussian means of values."""
    return np.asarray(gaussian_filter(image, deviation_vox, mode="nearest", truncate=REACH_DEVIATIONS))


def smoothed_image(image: NDArray, deviation_vox: NDArray[np.float64]) -> Floats:
    """Return an image smoothed, where the standard deviations are not all 0."""
    image = np.ascontiguousarray(image, dtype=np.float32)
    return gaussian(image, deviation_vox) if deviation_vox.any() else image


def block_means(image: Floats, stride: int) -> Floats:
    """Return the means of blocks of `stride` voxels along each axis.

    Parameters
    ----------
    image : (X, Y, Z), each size a multiple of `stride`.
    """
    if stride == 1:
        return image
    for axis in range(image.ndim):
        first, *others = (image[(slice(None),) * axis + (slice(n, None, stride),)] for n in range(stride))
        image = sum(others, start=first)
    return image * np.float32(stride**-image.ndim)


def between_blocks(image: Floats, stride: int) -> Floats:
    """Return values at voxels, linear between the middles of blocks of `stride` voxels and even beyond the outermost.

    Parameters
    ----------
    image : (A, B, C).
    """
    if stride == 1:
        return image
    for axis in range(image.ndim):
        grown = np.empty(
            [size * (stride if side == axis else 1) for side, size in enumerate(image.shape)], image.dtype
        )
        padded = np.pad(
            image, [(1, 1) if side == axis else (0, 0) for side in range(image.ndim)], mode="edge"
        )
        before, here, behind = (padded[_along(axis, n, n + image.shape[axis])] for n in range(3))
        for voxel in range(stride):
            offset = np.float32((voxel + 0.5) / stride - 0.5)  # of the voxel from the middle of its block
            towards = before if offset < 0 else behind
            grown[_along(axis, voxel, None, stride)] = here + abs(offset) * (towards - here)
        image = grown
    return image


def _along(axis: int, start: int, stop: int | None, step: int | None = None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop, step),)


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
