"""Cubes of samples around places of a scan, along the axes of the world: what two scans of any grid have in common."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume

BLUR_OF_LINEAR = 0.3
"""Standard deviation, in voxels, of the blur that a scan's own voxels are taken to have."""
SMALLEST_BLUR_VOX = 0.3
TRUNCATE = 2.5
HALF_A_VOXEL = 0.5


@dataclass(frozen=True)
class Cubes:
    """Samples around places.

    Attributes
    ----------
    values : (N, S, S, S) float32, along the world's x, y and z; beyond the scan its outermost voxels are repeated.
    is_inside : (N, S, S, S) bool, whether a sample lies in the scan.
    """

    values: NDArray[np.float32]
    is_inside: NDArray[np.bool_]


def steps_mm(half_size_mm: float, *, step_mm: float) -> NDArray[np.float64]:
    """Return the (S,) places of samples along an axis of a cube, the middle one at 0.

    Examples
    --------
    >>> steps_mm(4.0, step_mm=2.0)
    array([-4., -2.,  0.,  2.,  4.])
    """
    count = round(half_size_mm / step_mm)
    return np.arange(-count, count + 1, dtype=np.float64) * step_mm


def cube_offsets_mm(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (S, S, S, 3) places of the samples of a cube, seen from its middle."""
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)


def sample_cubes(volume: Volume, centres_mm: Points, steps: NDArray[np.float64], *, blur_mm: float) -> Cubes:
    """Return samples around (N, 3) places in mm RAS+, by linear interpolation.

    Parameters
    ----------
    volume : scan on any grid, oblique ones too.
    steps : places along each axis, from `steps_mm`.
    blur_mm : standard deviation of a Gaussian blur before sampling, so that steps wider than the voxels do not alias;
        along an axis whose voxels are as coarse nothing is blurred.

    Notes
    -----
    Only the box of voxels around each cube is turned into floats.
    """
    inverse = invert_affine(volume.affine)
    shape = np.array(volume.shape)
    local_vox = cube_offsets_mm(steps) @ inverse[:3, :3].T
    reach_vox = np.abs(local_vox).max(axis=(0, 1, 2))
    sigma_vox = _sigma_vox(volume.spacing_mm, blur_mm=blur_mm)
    margin_vox = np.ceil(TRUNCATE * sigma_vox).astype(int) + 1
    values = np.zeros((len(centres_mm), *local_vox.shape[:3]), np.float32)
    is_inside = np.zeros(values.shape, dtype=bool)
    for index, centre_vox in enumerate(transform_points(inverse, centres_mm)):
        low = np.maximum(np.floor(centre_vox - reach_vox).astype(int) - margin_vox, 0)
        high = np.minimum(np.ceil(centre_vox + reach_vox).astype(int) + margin_vox + 1, shape)
        if np.any(high - low <= 1):
            continue
        box = volume.array[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))]
        points_vox = local_vox + centre_vox
        is_inside[index] = np.all(
            (points_vox >= -HALF_A_VOXEL) & (points_vox <= shape - HALF_A_VOXEL), axis=-1
        )
        values[index] = _interpolate(_blurred(box.astype(np.float32), sigma_vox), points_vox - low)
    return Cubes(values, is_inside)


def _sigma_vox(spacing_mm: NDArray[np.float64], *, blur_mm: float) -> NDArray[np.float64]:
    """Return the (3,) blur that is missing along each axis, in voxels."""
    own_mm = BLUR_OF_LINEAR * spacing_mm
    return np.asarray(np.sqrt(np.maximum(blur_mm**2 - own_mm**2, 0.0)) / spacing_mm)


def _blurred(box: NDArray[np.float32], sigma_vox: NDArray[np.float64]) -> NDArray[np.float32]:
    for axis, sigma in enumerate(sigma_vox):
        if sigma > SMALLEST_BLUR_VOX:
            box = gaussian_filter1d(box, sigma, axis=axis, mode="nearest", truncate=TRUNCATE)
    return box


def _interpolate(box: NDArray[np.float32], points_vox: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a box of voxels at (S, S, S, 3) places by linear interpolation."""
    places = points_vox * (2.0 / (np.array(box.shape) - 1)) - 1.0
    grid = torch.from_numpy(np.ascontiguousarray(places[..., ::-1], dtype=np.float32))
    sampled = F.grid_sample(
        torch.from_numpy(np.ascontiguousarray(box))[None, None],
        grid[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return np.asarray(sampled[0, 0].numpy())
