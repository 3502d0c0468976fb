"""Read a view's patch straight from a memory-mapped volume: one trilinear resampling of the part that is needed."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.patches.views import View
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume


def sample_patch(
    volume: Volume,
    view: View,
    *,
    normalise: Callable[[NDArray], NDArray[np.float32]],
    outside_value: float,
) -> torch.Tensor:
    """Return the patch of a view as (Z, Y, X) float32.

    Only the box of voxels under the patch is read, so a memory-mapped volume costs what the patch costs.

    Parameters
    ----------
    volume : (X, Y, Z), any number type.
    view : where to look.
    normalise : turns stored voxels into the network's intensities.
    outside_value : the network's intensity beyond the volume.
    """
    voxel_from_patch = invert_affine(volume.affine) @ view.affine
    low, high = _voxel_box(voxel_from_patch, view.size_vox, shape=np.array(volume.shape))
    box = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].transpose(2, 1, 0)
    source = torch.from_numpy(np.ascontiguousarray(normalise(box)))[None, None] - outside_value
    theta = _sampling_matrix(voxel_from_patch, low=low, box_size=high - low, patch_size=view.size_vox)
    grid = torch.nn.functional.affine_grid(theta, [1, 1, *view.size_vox[::-1]], align_corners=True)
    patch = torch.nn.functional.grid_sample(source, grid, padding_mode="zeros", align_corners=True)
    return patch[0, 0] + outside_value


def _voxel_box(
    voxel_from_patch: NDArray[np.float64], patch_size: tuple[int, int, int], *, shape: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (3,) first and the (3,) one-past-last voxel that the patch touches, inside the volume.

    At least two voxels an axis are kept, since a single one has no extent to interpolate over.
    """
    corners = np.array(list(itertools.product(*[(0, size - 1) for size in patch_size])))
    voxels = transform_points(voxel_from_patch, corners)
    low = np.clip(np.floor(voxels.min(axis=0)).astype(np.int64) - 1, 0, np.maximum(shape - 2, 0))
    high = np.clip(np.ceil(voxels.max(axis=0)).astype(np.int64) + 2, low + np.minimum(shape, 2), shape)
    return low, high


def _sampling_matrix(
    voxel_from_patch: NDArray[np.float64],
    *,
    low: NDArray[np.int64],
    box_size: NDArray[np.int64],
    patch_size: tuple[int, int, int],
) -> torch.Tensor:
    """Return the (1, 3, 4) matrix between the [-1, 1] cubes of patch and box that PyTorch's sampler takes."""
    patch_from_cube = _voxels_from_cube(np.array(patch_size))
    cube_from_box = invert_affine(_voxels_from_cube(box_size))
    shift = np.eye(4)
    shift[:3, 3] = -low
    matrix = cube_from_box @ shift @ voxel_from_patch @ patch_from_cube
    return torch.from_numpy(matrix[None, :3]).float()


def _voxels_from_cube(size: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the (4, 4) map of [-1, 1] to the voxel centres 0 .. size - 1 along each axis."""
    half = (np.asarray(size, dtype=np.float64) - 1.0) / 2.0
    matrix = np.diag([*np.maximum(half, 1e-6), 1.0])
    matrix[:3, 3] = half
    return matrix
