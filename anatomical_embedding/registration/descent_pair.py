"""Two images as the descent compares them: on a grid whose voxels fill the cells round the control points."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.registration.cell_blocks import between_blocks, block_means
from anatomical_embedding.settings.field_descent import FieldDescentPassSettings, FieldDescentSettings
from anatomical_embedding.volumes.affine import invert_affine, spacing_from_affine
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import VolumeHeader
from anatomical_embedding.volumes.resample import resample_onto, resample_to_spacing
from anatomical_embedding.volumes.volume import Volume

REACH_DEVIATIONS = 2.5

Floats = NDArray[np.float32]


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
    def on_grid(
        cls,
        controls: VolumeHeader,
        fixed: Volume,
        moving: Volume,
        *,
        is_wanted: NDArray[np.bool_],
        chosen: FieldDescentPassSettings,
        settings: FieldDescentSettings,
    ) -> "DescentPair":
        """Return two images, averaged where they are finer than the grid, then smoothed.

        Parameters
        ----------
        controls : the control points.
        fixed, moving : in one world, any grids.
        is_wanted : control points round which the images are compared.
        chosen, settings : of the pass and of all.
        """
        stride = settings.control_step_vox
        affine = affine_of_cells(controls.affine, stride_vox=np.full(3, 1 / stride))
        shape = tuple(size * stride for size in controls.shape)
        spacing_mm = spacing_from_affine(affine)
        fixed, moving = (not_finer(volume, settings.spacing_mm) for volume in (fixed, moving))
        on_grid = resample_onto(
            fixed, shape=shape, affine=affine, is_label=False, fill_value=float(fixed.array.min())
        )
        from_grid = invert_affine(moving.affine) @ affine
        return cls(
            smoothed_image(on_grid.array, chosen.smooth_mm / spacing_mm),
            spacing_mm,
            smoothed_image(moving.array, chosen.smooth_mm / moving.spacing_mm),
            _places(shape, from_grid),
            (from_grid[:3, :3] / spacing_mm).astype(np.float32),
            stride,
            chosen.window_mm / (spacing_mm * stride),
            settings.contrast_mm / (spacing_mm * stride),
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


def _places(shape: tuple[int, ...], from_grid: NDArray[np.float64]) -> Floats:
    """Return the (3, X, Y, Z) voxels of another grid at the voxels of one."""
    x, y, z = (np.arange(size, dtype=np.float32) for size in shape)
    matrix = from_grid.astype(np.float32)
    return np.stack(
        [row[0] * x[:, None, None] + row[1] * y[:, None] + (row[2] * z + row[3]) for row in matrix[:3]]
    )


def not_finer(volume: Volume, spacing_mm: float) -> Volume:
    """Return a volume averaged where it is finer than a grid of `spacing_mm`."""
    if (volume.spacing_mm >= spacing_mm).all():
        return volume
    return resample_to_spacing(
        volume, spacing_mm=np.maximum(volume.spacing_mm, spacing_mm).tolist(), is_label=False
    )


def gaussian(image: Floats, deviation_vox: NDArray[np.float64]) -> Floats:
    """Return Gaussian means of values."""
    return np.asarray(gaussian_filter(image, deviation_vox, mode="nearest", truncate=REACH_DEVIATIONS))


def smoothed_image(image: NDArray, deviation_vox: NDArray[np.float64]) -> Floats:
    """Return an image smoothed, where the standard deviations are not all 0."""
    image = np.ascontiguousarray(image, dtype=np.float32)
    return gaussian(image, deviation_vox) if deviation_vox.any() else image
