"""Samples around places of a scan, on its own grid: every few voxels, or every one and between them where it is coarse.

A coarse scan read between its voxels shows its aliasing. Read on them, and the other scan between its own, two copies
of a scan agree to the last digit.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import (
    BLUR_OF_VOXELS,
    FIRST_EDGE,
    SPLINE_MARGIN_VOX,
    blur_reach,
    blurred_coefficients,
    filled_up_to,
    missing_blur_vox,
    voxels_between,
)
from anatomical_embedding.matching.local_splines import Splines, between_rows, multiplied_along
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

BLUR_OF_STRIDES = 0.4
"""Standard deviation, in samples, of the blur where not every voxel is one."""
SPACE = (1, 2, 3)
BEYOND_THE_LAST = 2
"""Samples of splines beyond the last place at which they are read."""


class Lattice(NamedTuple):
    """Samples around N places.

    Attributes
    ----------
    values : (N, P) float32.
    offsets_mm : (N, P, 3) float32, where they lie in the world, seen from the place.
    is_inside : (N, P) float32, 1 in the scan, and 0 beyond it and where it is filled with one value.
    """

    values: torch.Tensor
    offsets_mm: torch.Tensor
    is_inside: torch.Tensor


class _Boxes(NamedTuple):
    """(N, X, Y, Z) samples, which of them lie in the scan, and the (N, 3) voxels in their middles."""

    values: torch.Tensor
    is_inside: NDArray[np.bool_]
    middles_vox: NDArray[np.int64]


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
    half = np.ceil(radius_mm * np.linalg.norm(np.linalg.inv(axes), axis=1)).astype(int)
    boxes = _sample_boxes(
        volume, centres_mm, half, strides.astype(float), blur_mm=lattice_blur_mm(volume, step_mm)
    )
    steps = np.indices(tuple(2 * half + 1)).reshape(3, -1).T - half
    steps = steps[np.sum((steps @ axes.T) ** 2, axis=1) <= radius_mm**2]
    chosen = (slice(None), *(steps + half).T)
    beside_vox = boxes.middles_vox - volume.voxel_from_world(centres_mm)
    offsets_mm = (beside_vox[:, np.newaxis] + steps * strides) @ volume.affine[:3, :3].T
    return Lattice(
        boxes.values[chosen],
        torch.from_numpy(offsets_mm.astype(np.float32)),
        torch.from_numpy(boxes.is_inside[chosen].astype(np.float32)),
    )


def lattice_splines(
    volume: Volume,
    middles_mm: Points,
    centres_mm: Points,
    *,
    radius_mm: float,
    step_mm: float,
    lattice_of: Volume,
) -> Splines:
    """Return splines to be compared with the lattice of another scan, through samples about a step apart.

    Parameters
    ----------
    volume : scan on any grid.
    middles_mm, centres_mm : (N, 3) mm RAS+ from which places are seen, and around which they lie.
    radius_mm : how far these reach.
    step_mm : of both.
    lattice_of : the other scan. Where it is the more blurred one, samples are blurred alike.
    """
    strides = strides_of(volume, step_mm)
    steps_vox = strides / np.maximum(np.rint(volume.spacing_mm / step_mm), 1.0)
    reach_vox = radius_mm * np.linalg.norm(np.linalg.inv(volume.affine[:3, :3]), axis=1)
    half = np.ceil(reach_vox / steps_vox).astype(int) + BEYOND_THE_LAST
    directions = volume.affine[:3, :3] / volume.spacing_mm
    spread_mm = lattice_of.affine[:3, :3] / lattice_of.spacing_mm * lattice_blur_mm(lattice_of, step_mm)
    blur_mm = np.linalg.norm(spread_mm.T @ directions, axis=0)
    boxes = _sample_boxes(
        volume, centres_mm, half, steps_vox, blur_mm=np.maximum(blur_mm, lattice_blur_mm(volume, step_mm))
    )
    return Splines(
        boxes.values,
        None if boxes.is_inside.all() else torch.from_numpy(boxes.is_inside.astype(np.float32)),
        to_samples=np.asarray(np.linalg.inv(volume.affine[:3, :3] * steps_vox), dtype=np.float64),
        middles=(volume.voxel_from_world(middles_mm) - boxes.middles_vox) / steps_vox + half,
    )


def strides_of(volume: Volume, step_mm: float) -> NDArray[np.int64]:
    """Return (3,) every how many voxels of each axis one lies about a step from the next."""
    return np.maximum(np.rint(step_mm / volume.spacing_mm), 1.0).astype(int)


def lattice_blur_mm(volume: Volume, step_mm: float) -> NDArray[np.float64]:
    """Return the (3,) standard deviations of the blur of a scan's lattice along its own axes."""
    own_mm = BLUR_OF_VOXELS * volume.spacing_mm
    return np.where(strides_of(volume, step_mm) > 1, np.maximum(own_mm, BLUR_OF_STRIDES * step_mm), own_mm)


def _sample_boxes(
    volume: Volume,
    centres_mm: Points,
    half: NDArray[np.int64],
    steps_vox: NDArray[np.float64],
    *,
    blur_mm: NDArray[np.float64],
) -> _Boxes:
    """Return samples to each side of the voxel nearest to (N, 3) places.

    Parameters
    ----------
    half : (3,) so many samples to each side.
    steps_vox : (3,) voxels from one to the next, whole ones or a fraction of one.
    blur_mm : (3,) standard deviation of the blur along each axis.
    """
    sigma_vox = missing_blur_vox(volume.spacing_mm, blur_mm=blur_mm)
    reach = np.ceil(half * steps_vox).astype(int) + blur_reach(sigma_vox)
    reach += np.where(steps_vox < 1.0, SPLINE_MARGIN_VOX, 0)
    middles_vox = np.rint(volume.voxel_from_world(centres_mm)).astype(int)
    boxes = [voxels_between(volume, middle - reach, middle + reach + 1) for middle in middles_vox]
    values = (
        torch.from_numpy(np.stack(boxes, dtype=np.float32, casting="unsafe"))
        if boxes
        else torch.empty((0, *(2 * reach + 1)))
    )
    filled = filled_up_to(values.amin(dim=SPACE, keepdim=True), values.amax(dim=SPACE, keepdim=True))
    sides = []
    for axis, name in enumerate("ijk"):
        places = steps_vox[axis] * np.arange(-half[axis], half[axis] + 1)
        length = 2 * reach[axis] + 1
        if steps_vox[axis] != 1.0 or sigma_vox[axis] > 0.0:
            matrix = between_rows(places + reach[axis], blurred_coefficients(length, sigma_vox[axis]))
            values = multiplied_along(name, matrix, values)
        at = middles_vox[:, axis, np.newaxis] + places
        sides.append((at >= FIRST_EDGE) & (at <= volume.shape[axis] + FIRST_EDGE))
    is_inside = sides[0][:, :, None, None] & sides[1][:, None, :, None] & sides[2][:, None, None]
    return _Boxes(values, is_inside & (values > filled).numpy(), middles_vox)
