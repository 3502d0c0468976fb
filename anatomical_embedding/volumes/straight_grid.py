"""Grids with right angles for volumes whose axes are skewed, as a gantry that is tilted a little leaves them.

ITK programs and qforms hold no shear: ITK refuses a NIfTI file whose axes are 0.01 degrees off right angles and that
has no qform (SimpleITK 2.5.7), so a volume that they are to read lies on a grid that covers the skewed one.
"""

import numpy as np

from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.nifti_geometry import LARGEST_SKEW, largest_skew
from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

ROUNDING_VOX = 1e-3
"""By which a grid may be exceeded before it grows by a voxel."""


def straight_grid(grid: Grid) -> VolumeHeader:
    """Return a grid, or one with right angles that covers it where its axes are skewed.

    The new grid has the nearest rotation (the polar factor of the directions) and the spacings of the old one, and
    holds its outer corners.

    Examples
    --------
    >>> affine = np.array([[1.0, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    >>> straight_grid(VolumeHeader((4, 4, 3), affine)).shape
    (5, 4, 4)
    """
    if largest_skew(grid.affine) <= LARGEST_SKEW:
        return VolumeHeader(grid.shape, grid.affine)
    spacing_mm = grid.spacing_mm
    left, _, right = np.linalg.svd(grid.affine[:3, :3] / spacing_mm)
    columns = (left @ right) * spacing_mm
    corners = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in grid.shape])).reshape(3, -1).T
    steps = grid.world_from_voxel(corners) @ np.linalg.inv(columns).T
    first, last = steps.min(axis=0), steps.max(axis=0)
    size_x, size_y, size_z = (int(size) for size in np.ceil(last - first - ROUNDING_VOX))
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = columns @ (first + 0.5)
    return VolumeHeader((size_x, size_y, size_z), affine)


def straightened(volume: Volume) -> Volume:
    """Return a volume on its `straight_grid`, interpolated where its axes are skewed, with its lowest value around.

    Notes
    -----
    Images only: labels are to be sampled where they are asked for.
    """
    grid = straight_grid(volume)
    if grid.shape == volume.shape and np.array_equal(grid.affine, volume.affine):
        return volume
    return resample_onto(
        volume,
        shape=grid.shape,
        affine=grid.affine,
        is_label=False,
        fill_value=float(volume.array.min()),
    )
