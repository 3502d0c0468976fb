"""Voxels of a scan around places, as they lie: what a coarse scan says without being interpolated."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import (
    blur_matrix,
    blur_reach,
    box_of_voxels,
    missing_blur_vox,
)
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


class Lattice(NamedTuple):
    """Some of the voxels around N places.

    Attributes
    ----------
    values : (N, P) float32.
    offsets_mm : (N, P, 3) float32, where they lie in the world, seen from the place.
    is_inside : (N, P) float32, 1 in the scan and 0 beyond it.
    """

    values: torch.Tensor
    offsets_mm: torch.Tensor
    is_inside: torch.Tensor


def sample_lattice(
    volume: Volume, centres_mm: Points, *, radius_mm: float, step_mm: float, blur_mm: float
) -> Lattice:
    """Return every k-th voxel along each axis of the array around (N, 3) places in mm RAS+.

    Parameters
    ----------
    volume : scan on any grid.
    radius_mm : of the ball around the voxel nearest to each place.
    step_mm : k is such that they lie about so far apart; 1 where voxels are as wide.
    blur_mm : standard deviation of the blur that they are to have; a coarse axis has it of its own.
    """
    strides = np.maximum(np.rint(step_mm / volume.spacing_mm), 1.0).astype(int)
    axes = volume.affine[:3, :3] * strides
    reach = np.ceil(radius_mm * np.linalg.norm(np.linalg.inv(axes), axis=1)).astype(int)
    steps = np.indices(tuple(2 * reach + 1)).reshape(3, -1).T - reach
    in_ball = np.sum((steps @ axes.T) ** 2, axis=1) <= radius_mm**2
    sigma_vox = np.where(strides > 1, missing_blur_vox(volume.spacing_mm, blur_mm=blur_mm), 0.0)
    margin = blur_reach(sigma_vox)
    weights = [_weights(*of_axis) for of_axis in zip(reach, strides, sigma_vox, margin, strict=True)]
    centres_vox = volume.voxel_from_world(centres_mm)
    nearest = np.rint(centres_vox).astype(int)
    values = np.empty((len(nearest), int(in_ball.sum())), np.float32)
    for index, middle in enumerate(nearest):
        edge = reach * strides + margin
        box = box_of_voxels(volume, middle - edge, middle + edge + 1)
        for matrix in weights:  # the axis done goes last, so that the next one is first
            box = np.tensordot(box, matrix, axes=(0, 1))
        values[index] = box.reshape(-1)[in_ball]
    chosen = nearest[:, np.newaxis] + (steps * strides)[in_ball]
    offsets_mm = (chosen - centres_vox[:, np.newaxis]) @ volume.affine[:3, :3].T
    is_inside = np.all((chosen >= 0) & (chosen < volume.shape), axis=2)
    return Lattice(
        *(torch.from_numpy(part.astype(np.float32)) for part in (values, offsets_mm, is_inside))
    )


def _weights(reach: int, stride: int, sigma_vox: float, margin: int) -> NDArray[np.float32]:
    """Return the (2 * reach + 1, L) matrix from a row of voxels to every stride-th of them, blurred."""
    rows = blur_matrix(2 * (reach * stride + margin) + 1, sigma_vox)
    return rows[margin : len(rows) - margin : stride].astype(np.float32)
