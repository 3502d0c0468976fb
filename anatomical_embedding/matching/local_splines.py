"""Cubic splines through samples on a grid: their coefficients, slopes, and values between the samples.

Linear interpolation blurs between samples and not at them, so two scans seem to agree best where their grids coincide;
a cubic spline blurs nowhere. Beyond the ends the outermost coefficient is repeated.

Source: Unser, Splines: a perfect fit for signal and image processing (IEEE Signal Processing Magazine 1999).
"""

from copy import copy
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ive

CORNER_SIDES = (np.s_[:, :, None, None], np.s_[:, None, :, None], np.s_[:, None, None, :])
"""What broadcasts the two sides along each axis, the second of an array's, to the eight corners."""
MOST_BLUR = 4.0
"""Half the variance, in samples, of the most that `Splines.blurred` blurs: a box holds no more."""


def between_rows(places: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at (S,) places, counted in rows, the (S, L) values of the splines of (R, L) coefficients.

    Examples
    --------
    >>> between_rows(np.array([1.0]), np.eye(3)).round(3).tolist()
    [[0.167, 0.667, 0.167]]
    """
    below = np.floor(places).astype(int)
    part = (places - below)[:, np.newaxis]
    outer = (1.0 - part) ** 3 / 6.0, part**3 / 6.0
    inner = 2.0 / 3.0 - part**2 * (1.0 - part / 2.0)
    shares = outer[0], inner, 1.0 - outer[0] - inner - outer[1], outer[1]
    rows = (np.clip(below + step, 0, len(coefficients) - 1) for step in (-1, 0, 1, 2))
    return np.asarray(sum(share * coefficients[row] for share, row in zip(shares, rows, strict=True)))


@lru_cache(maxsize=256)
def spline_coefficients(length: int) -> NDArray[np.float64]:
    """Return the (length, length) matrix from a row of samples to the coefficients of the spline through them."""
    values = (np.eye(length, k=-1) + 4.0 * np.eye(length) + np.eye(length, k=1)) / 6.0
    values[0, 0] += 1.0 / 6.0
    values[-1, -1] += 1.0 / 6.0
    return np.asarray(np.linalg.inv(values))


class Splines:
    """Boxes of samples, to be read between these.

    Parameters
    ----------
    values : (N, X, Y, Z) float32.
    is_inside : (N, X, Y, Z) float32, 1 for samples that count and 0 for others; None where all do.
    to_samples : (3, 3), from mm along the world's axes to samples along the box's.
    middles : (N, 3) the sample, counted from the first one, from which places are seen.
    """

    def __init__(
        self,
        values: torch.Tensor,
        is_inside: torch.Tensor | None,
        *,
        to_samples: NDArray[np.float64],
        middles: NDArray[np.float64],
    ):
        self._samples, self._is_inside = values, is_inside
        self._to_samples, self._middles = to_samples, middles
        self._coefficients = values
        for axis, length in zip("ijk", values.shape[1:], strict=True):
            self._coefficients = multiplied_along(axis, spline_coefficients(length), self._coefficients)
        self._derivatives = _differences(values)

    def blurred(self, half_mm2: NDArray[np.float64]) -> "Splines":
        """Return splines through the same samples, blurred along the box's axes by (N, 3) half the variance in mm2."""
        values = self._samples
        half = np.clip(half_mm2 * np.sum(self._to_samples**2, axis=1), 0.0, MOST_BLUR)
        for axis, halves, length in zip("ijk", half.T, values.shape[1:], strict=True):
            values = multiplied_along(axis, diffusion_matrices(length, 2.0 * halves), values)
        return Splines(values, self._is_inside, to_samples=self._to_samples, middles=self._middles)

    def part(self, rows: torch.Tensor) -> "Splines":
        """Return those of some of the boxes."""
        chosen = copy(self)
        chosen._samples, chosen._coefficients = self._samples[rows], self._coefficients[rows]
        chosen._derivatives, chosen._middles = self._derivatives[rows], self._middles[rows.numpy()]
        chosen._is_inside = None if self._is_inside is None else self._is_inside[rows]
        return chosen

    def places(
        self, offsets_mm: torch.Tensor, *, place_mm: torch.Tensor, matrix: torch.Tensor
    ) -> torch.Tensor:
        """Return (N, P, 3) in samples: where (N, P, 3) offsets lie after (N, 3, 3) maps and (N, 3) shifts."""
        to_samples = _tensor(self._to_samples)
        begin = place_mm @ to_samples.mT + _tensor(self._middles)
        return torch.baddbmm(begin[:, None], offsets_mm, (to_samples @ matrix).mT)

    def values(self, places: torch.Tensor) -> torch.Tensor:
        """Return the (N, P) values at (N, P, 3) places in samples."""
        return between_samples(self._coefficients, places)

    def derivatives(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (N, P, 3) slopes along the world's axes at (N, P, 3) places in samples, and the bends, per mm.

        Slopes and bends are differences of samples, interpolated linearly.
        """
        found = linear_between_samples(self._derivatives, places[:, None])[:, :, 0].mT
        return found[..., :3] @ _tensor(self._to_samples), found[..., 3:] * self._per_mm2()

    def bends(self, places: torch.Tensor) -> torch.Tensor:
        """Return the (N, P, 3) second derivatives along the box's axes at (N, P, 3) places in samples, per mm2."""
        found = linear_between_samples(self._derivatives[:, 3:], places[:, None])[:, :, 0].mT
        return found * self._per_mm2()

    def holds(self, places: torch.Tensor) -> torch.Tensor:
        """Return (N, P) whether places in samples lie in the box and count, between 0 and 1 at the edge of this."""
        last = torch.tensor(self._samples.shape[1:]) - 1
        in_box = ((places >= 0) & (places <= last)).all(dim=2).float()
        if self._is_inside is None:
            return in_box
        return in_box * linear_between_samples(self._is_inside[:, None], places[:, None])[:, 0, 0]

    def _per_mm2(self) -> torch.Tensor:
        return _tensor(np.sum(self._to_samples**2, axis=1))


def multiplied_along(axis: str, matrix: NDArray[np.float64], values: torch.Tensor) -> torch.Tensor:
    """Return (N, X, Y, Z) values multiplied along `i`, `j` or `k` by one matrix, or by one for each row."""
    factor = _tensor(matrix)
    if axis == "i":
        return (factor @ values.flatten(2)).unflatten(2, values.shape[2:])
    if axis == "k":
        return (values.flatten(1, 2) @ factor.mT).unflatten(1, values.shape[1:3])
    rows = "jb" if len(factor.shape) == len("jb") else "njb"
    return torch.einsum(f"{rows},nibk->nijk", factor, values)


def diffusion_matrices(length: int, variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, length, length) matrices that blur a row of samples by (N,) variances.

    One after another they blur by the sum of their variances, however small.

    Source: Lindeberg, Scale-space for discrete signals (IEEE PAMI 1990).
    """
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    kernels = ive(distance, variance[:, np.newaxis, np.newaxis])
    return np.asarray(kernels / kernels.sum(axis=2, keepdims=True))


def _differences(values: torch.Tensor) -> torch.Tensor:
    """Return (N, 6, X, Y, Z): first, then second central differences of samples along each axis; 0 at the ends."""
    found = values.new_zeros((len(values), 6, *values.shape[1:]))
    for axis in (1, 2, 3):
        length = values.shape[axis]
        below, at, above = (values.narrow(axis, start, length - 2) for start in (0, 1, 2))
        first, second = (found[:, channel].narrow(axis, 1, length - 2) for channel in (axis - 1, axis + 2))
        torch.sub(above, below, out=first).mul_(0.5)
        torch.add(above, below, out=second).sub_(at, alpha=2.0)
    return found


def _tensor(values: NDArray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def between_samples(coefficients: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the (N, P) values of splines of (N, X, Y, Z) coefficients at (N, P, 3) places, counted in samples.

    Notes
    -----
    The 64 terms of a value are eight linear interpolations of the coefficients, which cost less (Sigg and Hadwiger,
    Fast third-order texture filtering, GPU Gems 2, 2005).
    """
    below = places.floor()
    part = places - below
    outer = (1.0 - part) ** 3 / 6.0, part**3 / 6.0
    inner = 2.0 / 3.0 - part**2 * (1.0 - part / 2.0)
    first = outer[0] + inner
    shares = torch.stack([first, 1.0 - first], dim=1)  # (N, 2, P, 3)
    ends = torch.stack([below - 1.0 + inner / first, below + 1.0 + outer[1] / (1.0 - first)], dim=1)
    ends = _of_grid(ends, coefficients)
    at = ends.new_empty((len(places), 2, 2, 2, places.shape[1], 3))
    for axis, side in enumerate(CORNER_SIDES):
        at[..., 2 - axis] = ends[..., axis][side]
    values = _sampled(coefficients[:, None], at.flatten(1, 3)).unflatten(2, (2, 2, 2))[:, 0]
    for axis, side in enumerate(CORNER_SIDES):
        values *= shares[..., axis][side]
    return values.sum(dim=(1, 2, 3))


def linear_between_samples(samples: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return (N, C, K, P) values of (N, C, X, Y, Z) samples at (N, K, P, 3) places, counted in samples."""
    return _sampled(samples, _of_grid(places, samples).flip(-1))


def _of_grid(places: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Return places in samples, counted from -1 at the first to 1 at the last one."""
    return places * (2.0 / (torch.tensor(samples.shape[-3:], dtype=torch.float32) - 1.0)) - 1.0


def _sampled(samples: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return (N, C, K, P) values at (N, K, P, 3) places from -1 to 1, the last axis first."""
    return F.grid_sample(
        samples, at[:, :, :, None], mode="bilinear", padding_mode="border", align_corners=True
    )[..., 0]
