"""Read a view's patch straight from a memory-mapped volume: one trilinear resampling of the part that is needed."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.patches.views import View
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.grid import corners_vox
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
    source = torch.from_numpy(np.ascontiguousarray(normalise(box))) - outside_value
    positions = _axis_positions(voxel_from_patch, low=low, patch_size=view.size_vox)
    return _interpolate(source, positions).add_(outside_value)


def _axis_positions(
    voxel_from_patch: NDArray[np.float64], *, low: NDArray[np.int64], patch_size: tuple[int, int, int]
) -> list[torch.Tensor]:
    """Return the (Z, Y, X) positions of the patch's voxels along the x, y and z of the box that begins at `low`."""
    x, y, z = (np.arange(size) for size in patch_size)
    positions = []
    for row, first in zip(voxel_from_patch[:3], low, strict=True):
        along_z = torch.from_numpy(row[2] * z + (row[3] - first)).float()
        along_y, along_x = torch.from_numpy(row[1] * y).float(), torch.from_numpy(row[0] * x).float()
        positions.append(along_z[:, None, None] + along_y[:, None] + along_x)
    return positions


def _interpolate(source: torch.Tensor, positions: list[torch.Tensor]) -> torch.Tensor:
    """Return a (Z, Y, X) source at positions along x, y and z, trilinear, with zeros beyond its border.

    PyTorch's sampler of volumes goes point by point; eight gathers and seven interpolations of whole patches take
    less than half its time.
    """
    padded = torch.nn.functional.pad(source, (1, 2) * 3)
    steps = (1, padded.shape[2], padded.shape[2] * padded.shape[1])
    corner = torch.zeros_like(positions[0], dtype=torch.int32)
    shares = []
    for position, step, size in zip(positions, steps, source.shape[::-1], strict=True):
        inside = position.clamp(-1.0, float(size))  # the rest is as far outside as counts
        before = inside.floor()
        shares.append((inside - before).flatten())
        corner.add_(before.int().add_(1), alpha=step)
    index, values = corner.flatten(), padded.flatten()
    share_x, share_y, share_z = shares

    def along_x(offset: int) -> torch.Tensor:
        left, right = (values[offset + step :].index_select(0, index) for step in (0, 1))
        return torch.lerp(left, right, share_x)

    def along_y(offset: int) -> torch.Tensor:
        return torch.lerp(along_x(offset), along_x(offset + steps[1]), share_y)

    return torch.lerp(along_y(0), along_y(steps[2]), share_z).view(positions[0].shape)


def _voxel_box(
    voxel_from_patch: NDArray[np.float64], patch_size: tuple[int, int, int], *, shape: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (3,) first and the (3,) one-past-last voxel that the patch touches, inside the volume.

    At least two voxels an axis are kept, since a single one has no extent to interpolate over.
    """
    voxels = transform_points(voxel_from_patch, corners_vox(patch_size))
    low = np.clip(np.floor(voxels.min(axis=0)).astype(np.int64) - 1, 0, np.maximum(shape - 2, 0))
    high = np.clip(np.ceil(voxels.max(axis=0)).astype(np.int64) + 2, low + np.minimum(shape, 2), shape)
    return low, high
