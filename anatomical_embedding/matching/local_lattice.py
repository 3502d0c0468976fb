"""Voxels of a scan around places, as they lie: what a coarse scan says without being interpolated."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

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


def sample_lattice(volume: Volume, centres_mm: Points, *, radius_mm: float, step_mm: float) -> Lattice:
    """Return every k-th voxel along each axis of the array around (N, 3) places in mm RAS+.

    Parameters
    ----------
    volume : scan on any grid.
    radius_mm : of the ball around the voxel nearest to each place.
    step_mm : k is such that they lie about so far apart; 1 where voxels are as wide.
    """
    strides = strides_of(volume, step_mm)
    axes = volume.affine[:3, :3] * strides
    reach = np.ceil(radius_mm * np.linalg.norm(np.linalg.inv(axes), axis=1)).astype(int)
    steps = np.indices(tuple(2 * reach + 1)).reshape(3, -1).T - reach
    steps = strides * steps[np.sum((steps @ axes.T) ** 2, axis=1) <= radius_mm**2]
    centres_vox = volume.voxel_from_world(centres_mm)
    chosen = np.rint(centres_vox).astype(int)[:, np.newaxis] + steps
    is_inside = np.all((chosen >= 0) & (chosen < volume.shape), axis=2)
    nearest = np.clip(chosen, 0, np.array(volume.shape) - 1)
    offsets_mm = (chosen - centres_vox[:, np.newaxis]) @ volume.affine[:3, :3].T
    values = volume.array[tuple(np.moveaxis(nearest, 2, 0))]
    return Lattice(*(torch.from_numpy(part.astype(np.float32)) for part in (values, offsets_mm, is_inside)))


def strides_of(volume: Volume, step_mm: float) -> NDArray[np.int64]:
    """Return (3,) every how many voxels of each axis one lies about a step from the next."""
    return np.maximum(np.rint(step_mm / volume.spacing_mm), 1.0).astype(int)
