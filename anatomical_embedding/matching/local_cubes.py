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
FIRST_EDGE = -0.5
"""Where the first voxel begins, counted from its centre."""
ALONG = 1e-4
"""An axis of the array runs along one of the world if it leaves it by a smaller share of its length."""


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
    Only the box of voxels around each cube is read. In a scan along the world's axes blur and interpolation are one
    small matrix an axis, which takes a fifth of the time.
    """
    inverse = invert_affine(volume.affine)
    reach_vox = np.abs(inverse[:3, :3]).sum(axis=1) * np.abs(steps).max()
    sigma_vox = _sigma_vox(volume.spacing_mm, blur_mm=blur_mm)
    margin_vox = np.ceil(TRUNCATE * sigma_vox).astype(int) + 1
    last_edge = np.array(volume.shape) + FIRST_EDGE
    values = np.zeros((len(centres_mm), *[len(steps)] * 3), np.float32)
    is_inside = np.zeros(values.shape, dtype=bool)
    sampled = _sampled_straight if _is_straight(inverse[:3, :3]) else _sampled_obliquely
    for index, centre_vox in enumerate(transform_points(inverse, centres_mm)):
        if np.all((centre_vox + reach_vox >= FIRST_EDGE) & (centre_vox - reach_vox <= last_edge)):
            low = np.floor(centre_vox - reach_vox).astype(int) - margin_vox
            high = np.ceil(centre_vox + reach_vox).astype(int) + margin_vox + 1
            box = _box(volume, low, high)
            values[index], is_inside[index] = sampled(
                box,
                centre_vox - low,
                inverse[:3, :3],
                steps,
                sigma_vox,
                within=(FIRST_EDGE - low, last_edge - low),
            )
    return Cubes(values, is_inside)


def _sampled_straight(
    box: NDArray[np.float32],
    centre_vox: NDArray[np.float64],
    inverse: NDArray[np.float64],
    steps: NDArray[np.float64],
    sigma_vox: NDArray[np.float64],
    *,
    within: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return samples of a box whose axes run along the world's, and which of them lie within two corners."""
    axes = np.abs(inverse).argmax(axis=1)
    sides = []
    for axis, along in enumerate(axes):
        places = centre_vox[axis] + inverse[axis, along] * steps
        weights = _weights(places, box.shape[0], sigma_vox[axis])
        box = np.tensordot(
            box, weights, axes=(0, 1)
        )  # the axis done goes last, so that the next one is first
        sides.append((places >= within[0][axis]) & (places <= within[1][axis]))
    is_inside = sides[0][:, None, None] & sides[1][:, None] & sides[2]
    order = np.argsort(axes)
    return box.transpose(order), is_inside.transpose(order)


def _sampled_obliquely(
    box: NDArray[np.float32],
    centre_vox: NDArray[np.float64],
    inverse: NDArray[np.float64],
    steps: NDArray[np.float64],
    sigma_vox: NDArray[np.float64],
    *,
    within: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return samples of a box that lies obliquely in the world, and which of them lie within two corners."""
    points_vox = cube_offsets_mm(steps) @ inverse.T + centre_vox
    is_inside = np.all((points_vox >= within[0]) & (points_vox <= within[1]), axis=-1)
    return _interpolate(_blurred(box, sigma_vox), points_vox), is_inside


def _is_straight(inverse: NDArray[np.float64]) -> bool:
    """Return whether each axis of an array runs along another axis of the world."""
    axes = np.abs(inverse).argmax(axis=1)
    lengths = np.abs(inverse).max(axis=1)
    return len(set(axes)) == len(axes) and bool(
        np.all(np.abs(inverse).sum(axis=1) <= (1.0 + ALONG) * lengths)
    )


def _box(volume: Volume, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a box of voxels; beyond the scan its outermost voxels are repeated."""
    last = np.array(volume.shape) - 1
    inner = tuple(
        slice(a, b + 1) for a, b in zip(np.clip(low, 0, last), np.clip(high - 1, 0, last), strict=True)
    )
    box = volume.array[inner].astype(np.float32)
    before, after = np.maximum(-low, 0), np.maximum(high - 1 - last, 0)
    for axis in np.flatnonzero(before + after):
        rows = np.clip(np.arange(low[axis], high[axis]), 0, last[axis]) - inner[axis].start
        box = box.take(rows, axis=axis)
    return box


def _weights(places: NDArray[np.float64], length: int, sigma: float) -> NDArray[np.float32]:
    """Return the (S, length) weights of voxels in samples at (S,) places: blur, then linear interpolation."""
    distance = places[:, np.newaxis] - np.arange(length)
    if sigma <= SMALLEST_BLUR_VOX:
        return np.maximum(1.0 - np.abs(distance), 0.0).astype(np.float32)
    radius = int(TRUNCATE * sigma + 0.5)
    taps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (taps / sigma) ** 2)
    hats = np.maximum(1.0 - np.abs(distance[..., np.newaxis] - taps), 0.0)
    return (hats @ (kernel / kernel.sum())).astype(np.float32)


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
