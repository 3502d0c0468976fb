"""Cubes of samples around places of a scan, along the axes of the world: what two scans of any grid have in common."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import convolve1d
from scipy.special import ive

from anatomical_embedding.matching.local_splines import between_rows, between_samples, spline_coefficients
from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume

BLUR_OF_VOXELS = 0.3
"""Standard deviation, in voxels, of the blur that a scan's own voxels are taken to have."""
MERGED_OF_BLUR = 1.3
"""Voxels are averaged before all else as long as they are together no wider than so many standard deviations of the
blur. Such a mean is blurred by 0.29 of its width, which is what a voxel is taken to have."""
TRUNCATE = 2.5
"""Standard deviations after which a blur ends, but for one more sample."""
SPLINE_MARGIN_VOX = 4
"""A voxel so far beyond a sample moves it by less than a hundredth of its own change."""
ENOUGH_BLUR_VOX = 0.5
"""With a wider blur two voxels beyond it suffice."""
FIRST_EDGE = -0.5
"""Where the first voxel begins, counted from its centre."""
ALONG = 1e-4
"""An axis of the array runs along one of the world if it leaves it by a smaller share of its length."""

FILL_SHARE = 1e-3
"""Of the range of the values of a box; interpolation between equal voxels near an edge is off by less."""
Values = TypeVar("Values", np.float32, torch.Tensor)


@dataclass(frozen=True)
class Cubes:
    """Samples around places.

    Attributes
    ----------
    values : (N, S, S, S) float32, along the world's x, y and z; beyond the scan its outermost voxels are repeated.
    is_inside : (N, S, S, S) bool, whether a sample lies in the scan, and not where this is filled with one value.
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
    """Return samples around (N, 3) places in mm RAS+, from the cubic spline through the voxels.

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
    merged = np.maximum(MERGED_OF_BLUR * blur_mm / volume.spacing_mm, 1.0).astype(int)
    inverse = np.array(invert_affine(volume.affine), dtype=np.float64)
    inverse[:3, 3] -= (merged - 1) / 2.0
    inverse[:3] /= merged[:, np.newaxis].astype(np.float64)
    reach_vox = np.abs(inverse[:3, :3]).sum(axis=1) * np.abs(steps).max()
    sigma_vox = missing_blur_vox(merged * volume.spacing_mm, blur_mm=blur_mm)
    margin_vox = blur_reach(sigma_vox) + np.where(sigma_vox > ENOUGH_BLUR_VOX, 2, SPLINE_MARGIN_VOX)
    last_edge = np.array(volume.shape) / merged + FIRST_EDGE
    values = np.zeros((len(centres_mm), *[len(steps)] * 3), np.float32)
    is_inside = np.zeros(values.shape, dtype=bool)
    centres_vox = transform_points(inverse, centres_mm)
    is_seen = (centres_vox + reach_vox >= FIRST_EDGE) & (centres_vox - reach_vox <= last_edge)
    seen = np.flatnonzero(is_seen.all(axis=1))
    centres_vox = centres_vox[seen]
    low = np.floor(centres_vox - reach_vox).astype(int) - margin_vox
    size = np.ceil(2.0 * reach_vox).astype(int) + 2 * (margin_vox + 1)
    centres_vox, within = centres_vox - low, (FIRST_EDGE - low, last_edge - low)
    is_straight = _is_straight(inverse[:3, :3])
    if is_straight:
        rows = _straight_rows(size, centres_vox, inverse[:3, :3], steps, sigma_vox, within=within)
    for row, index in enumerate(seen):
        box = _merged(voxels_between(volume, merged * low[row], merged * (low[row] + size)), merged)
        if is_straight:
            values[index], is_inside[index] = rows.sampled(box, row)
        else:
            edges = within[0][row], within[1][row]
            values[index], is_inside[index] = _sampled_obliquely(
                box, centres_vox[row], inverse[:3, :3], steps, sigma_vox, within=edges
            )
        is_inside[index] &= values[index] > filled_up_to(box.min(), box.max())
    return Cubes(values, is_inside)


class _StraightRows(NamedTuple):
    """How boxes of N places are sampled along each axis of theirs, where these run along the world's.

    Attributes
    ----------
    matrices : for each axis (N, S, L) float32, from L voxels to S samples.
    sides : for each axis (N, S) bool, which samples lie in the scan.
    order : (3,) the axes of a box along the world's x, y and z.
    """

    matrices: tuple[NDArray[np.float32], ...]
    sides: tuple[NDArray[np.bool_], ...]
    order: NDArray[np.int64]

    def sampled(self, box: NDArray[np.float32], index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the (S, S, S) samples of the box of one place, and which of them lie in the scan."""
        first, second, third = (matrix[index] for matrix in self.matrices)
        planes = (first @ box.reshape(len(box), -1)).reshape(len(first), *box.shape[1:])
        cube = (second @ planes) @ third.T
        i, j, k = (side[index] for side in self.sides)
        is_inside = i[:, None, None] & j[:, None] & k
        return cube.transpose(self.order), is_inside.transpose(self.order)


def _straight_rows(
    size: NDArray[np.int64],
    centres_vox: NDArray[np.float64],
    inverse: NDArray[np.float64],
    steps: NDArray[np.float64],
    sigma_vox: NDArray[np.float64],
    *,
    within: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> _StraightRows:
    """Return how boxes of (3,) voxels are sampled around (N, 3) centres; the scan lies within (N, 3) corners."""
    axes = np.abs(inverse).argmax(axis=1)
    sides, matrices = [], []
    for axis, along in enumerate(axes):
        places = centres_vox[:, axis, np.newaxis] + inverse[axis, along] * steps
        weights = between_rows(places.ravel(), blurred_coefficients(int(size[axis]), float(sigma_vox[axis])))
        matrices.append(weights.astype(np.float32).reshape(*places.shape, int(size[axis])))
        first, last = (corner[:, axis, np.newaxis] for corner in within)
        sides.append((places >= first) & (places <= last))
    return _StraightRows(tuple(matrices), tuple(sides), np.argsort(axes))


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
    for axis in range(3):
        matrix = blurred_coefficients(box.shape[0], sigma_vox[axis])
        box = np.tensordot(box, matrix.astype(np.float32), axes=(0, 1))
    places = torch.from_numpy(points_vox.reshape(1, -1, 3).astype(np.float32))
    found = between_samples(torch.from_numpy(np.ascontiguousarray(box))[None], places)
    return found.numpy().reshape(is_inside.shape), is_inside


def _is_straight(inverse: NDArray[np.float64]) -> bool:
    """Return whether each axis of an array runs along another axis of the world."""
    axes = np.abs(inverse).argmax(axis=1)
    lengths = np.abs(inverse).max(axis=1)
    return len(set(axes)) == len(axes) and bool(
        np.all(np.abs(inverse).sum(axis=1) <= (1.0 + ALONG) * lengths)
    )


def voxels_between(volume: Volume, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray:
    """Return a box of voxels as they are; beyond the scan its outermost voxels are repeated."""
    last = np.array(volume.shape) - 1
    inner = tuple(
        slice(a, b + 1) for a, b in zip(np.clip(low, 0, last), np.clip(high - 1, 0, last), strict=True)
    )
    box = volume.array[inner]
    before, after = np.maximum(-low, 0), np.maximum(high - 1 - last, 0)
    for axis in np.flatnonzero(before + after):
        rows = np.clip(np.arange(low[axis], high[axis]), 0, last[axis]) - inner[axis].start
        box = box.take(rows, axis=axis)
    return box


def filled_up_to(lowest: Values, highest: Values) -> Values:
    """Return the value up to which samples of a box show what fills a scan where nothing was measured.

    A scanner fills the corners outside its round field of view with one low value, as resampling and the removal of the
    background do. A sample among nothing but such voxels has their value, and tells nothing about the body; real air is
    noisy, and the mean of some of its voxels is higher than the lowest.
    """
    return lowest + FILL_SHARE * (highest - lowest)


def _merged(box: NDArray, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the float32 means of so many neighbours along each axis of a box of any type.

    The middle axis comes first: its rows are no single values, whatever the order in memory. A copy is quicker to read
    than rows of a large scan.
    """
    if (numbers > 1).any():
        box = box.copy(order="K")
    for axis in (1, 0, 2):
        if numbers[axis] > 1:
            parts = [
                box[(*[slice(None)] * axis, slice(first, None, numbers[axis]))]
                for first in range(numbers[axis])
            ]
            box = np.add(parts[0], parts[1], dtype=np.float32)
            for part in parts[2:]:
                box += part
    return np.multiply(box, np.float32(1.0 / numbers.prod()), dtype=np.float32)


@lru_cache(maxsize=256)
def blurred_coefficients(length: int, sigma: float) -> NDArray[np.float64]:
    """Return the (length, length) matrix from a row of voxels to the coefficients of a spline, blurred."""
    return np.asarray(spline_coefficients(length) @ blur_matrix(length, sigma))


def blur_matrix(length: int, sigma: float) -> NDArray[np.float64]:
    """Return the (length, length) matrix that blurs a row of samples; the outermost are repeated.

    The kernel has the variance asked for, however narrow, which a sampled Gaussian has not: two scans of different
    voxels are to be equally blurred.

    Source: Lindeberg, Scale-space for discrete signals (IEEE PAMI 1990).
    """
    reach = int(blur_reach(sigma))
    kernel = ive(np.abs(np.arange(-reach, reach + 1)), sigma**2)
    return np.asarray(convolve1d(np.eye(length), kernel / kernel.sum(), axis=0, mode="nearest"))


def blur_reach(sigma: ArrayLike) -> NDArray[np.int64]:
    """Return over how many samples to each side a blur goes."""
    return np.where(np.asarray(sigma) > 0.0, np.ceil(TRUNCATE * np.asarray(sigma)) + 1, 0).astype(int)


def missing_blur_vox(spacing_mm: NDArray[np.float64], *, blur_mm: ArrayLike) -> NDArray[np.float64]:
    """Return the (3,) blur that is missing along each axis, in voxels."""
    own_mm = BLUR_OF_VOXELS * spacing_mm
    return np.asarray(np.sqrt(np.maximum(np.square(blur_mm) - own_mm**2, 0.0)) / spacing_mm).round(6)
