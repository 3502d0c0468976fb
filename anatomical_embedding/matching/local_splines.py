"""Cubic splines through samples on a grid: their coefficients, slopes, and values between the samples.

Linear interpolation blurs between samples and not at them, so two scans seem to agree best where their grids coincide;
a cubic spline blurs nowhere. Beyond the ends the outermost coefficient is repeated.

Source: Unser, Splines: a perfect fit for signal and image processing (IEEE Signal Processing Magazine 1999).
"""

from copy import copy
from functools import lru_cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ive

CORNERS = tuple(product((0, 1), repeat=3))
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
    is_inside : (N, X, Y, Z) bool, samples that count; None where all do.
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
        self._derivatives = torch.stack(
            [*_differences(values, order=1), *_differences(values, order=2)], dim=1
        )

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

    def values(self, places_mm: torch.Tensor) -> torch.Tensor:
        """Return the (N, P) values at (N, P, 3) places in the world, seen from the middles."""
        return between_samples(self._coefficients, self._in_samples(places_mm))

    def derivatives(self, places_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return there the (N, P, 3) slopes along the world's axes and bends along the box's, per mm and mm2.

        Bends are second derivatives. Both are differences of samples, interpolated linearly.
        """
        found = linear_between_samples(self._derivatives, self._in_samples(places_mm)[:, None])[:, :, 0].mT
        per_mm2 = _tensor(np.sum(self._to_samples**2, axis=1))
        return found[..., :3] @ _tensor(self._to_samples), found[..., 3:] * per_mm2

    def holds(self, places_mm: torch.Tensor) -> torch.Tensor:
        """Return (N, P) whether places lie in the box and count, between 0 and 1 at the edge of what does."""
        places, last = self._in_samples(places_mm), torch.tensor(self._samples.shape[1:]) - 1
        in_box = ((places >= 0) & (places <= last)).all(dim=2).float()
        if self._is_inside is None:
            return in_box
        return in_box * linear_between_samples(self._is_inside.float()[:, None], places[:, None])[:, 0, 0]

    def _in_samples(self, places_mm: torch.Tensor) -> torch.Tensor:
        return places_mm @ _tensor(self._to_samples.T) + _tensor(self._middles)[:, None]


def multiplied_along(axis: str, matrix: NDArray[np.float64], values: torch.Tensor) -> torch.Tensor:
    """Return (N, X, Y, Z) values multiplied along `i`, `j` or `k` by one matrix, or by one for each row."""
    factor = _tensor(matrix)
    if axis == "i":
        return (factor @ values.flatten(2)).unflatten(2, values.shape[2:])
    per_row = factor[:, None] if len(factor.shape) == len("naj") else factor
    return per_row @ values if axis == "j" else values @ per_row.mT


def diffusion_matrices(length: int, variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, length, length) matrices that blur a row of samples by (N,) variances.

    One after another they blur by the sum of their variances, however small.

    Source: Lindeberg, Scale-space for discrete signals (IEEE PAMI 1990).
    """
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    kernels = ive(distance, variance[:, np.newaxis, np.newaxis])
    return np.asarray(kernels / kernels.sum(axis=2, keepdims=True))


def _differences(values: torch.Tensor, *, order: int) -> list[torch.Tensor]:
    """Return the first or second central differences of (N, X, Y, Z) samples along each axis; 0 at the ends."""
    found = []
    for axis in (1, 2, 3):
        below, at, above = (values.narrow(axis, start, values.shape[axis] - 2) for start in (0, 1, 2))
        inner = 0.5 * (above - below) if order == 1 else below - 2.0 * at + above
        padding = [0] * 6
        padding[2 * (3 - axis) : 2 * (3 - axis) + 2] = [1, 1]
        found.append(F.pad(inner, padding))
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
    sides = outer[0] + inner, 1.0 - outer[0] - inner
    ends = below - 1.0 + inner / sides[0], below + 1.0 + outer[1] / sides[1]
    at = torch.stack([_picked(ends, corner) for corner in CORNERS], dim=1)  # (N, 8, P, 3)
    shares = torch.stack([_picked(sides, corner).prod(dim=-1) for corner in CORNERS], dim=1)
    return (shares * linear_between_samples(coefficients[:, None], at)[:, 0]).sum(dim=1)


def linear_between_samples(samples: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return (N, C, K, P) values of (N, C, X, Y, Z) samples at (N, K, P, 3) places, counted in samples."""
    last = torch.tensor(samples.shape[2:], dtype=torch.float32) - 1.0
    return F.grid_sample(
        samples,
        (places * (2.0 / last) - 1.0).flip(-1)[:, :, :, None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )[..., 0]


def _picked(of_sides: tuple[torch.Tensor, torch.Tensor], corner: tuple[int, ...]) -> torch.Tensor:
    return torch.stack([of_sides[side][..., axis] for axis, side in enumerate(corner)], dim=-1)
