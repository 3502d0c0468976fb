"""Cubic splines through samples on a grid: their coefficients, slopes, and values between the samples.

Linear interpolation blurs between samples and not at them, so two scans seem to agree best where their grids coincide;
a cubic spline blurs nowhere. Beyond the ends the outermost coefficient is repeated.

Source: Unser, Splines: a perfect fit for signal and image processing (IEEE Signal Processing Magazine 1999).
"""

from functools import lru_cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

CORNERS = tuple(product((0, 1), repeat=3))


def spline_basis(places: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the (S, length) values at (S,) places of the splines around each of a row of samples.

    Examples
    --------
    >>> spline_basis(np.array([1.0]), 3).round(3).tolist()
    [[0.167, 0.667, 0.167]]
    """
    distance = np.abs(places[:, np.newaxis] - np.arange(length))
    near = 2.0 / 3.0 - distance**2 * (1.0 - distance / 2.0)
    return np.where(distance < 1.0, near, np.maximum(2.0 - distance, 0.0) ** 3 / 6.0)


@lru_cache(maxsize=256)
def spline_coefficients(length: int) -> NDArray[np.float64]:
    """Return the (length, length) matrix from a row of samples to the coefficients of the spline through them."""
    values = _neighbours(length, below=1.0, at=4.0, above=1.0) / 6.0
    return np.asarray(np.linalg.inv(values))


@lru_cache(maxsize=256)
def spline_slopes(length: int) -> NDArray[np.float64]:
    """Return the (length, length) matrix from a row of samples to the slopes there of the spline, per sample."""
    return _neighbours(length, below=-0.5, at=0.0, above=0.5) @ spline_coefficients(length)


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
        axes = dict(zip("ijk", values.shape[1:], strict=True))
        self._derivatives = torch.stack(
            [
                _along(axis, matrix_of(length), values)
                for matrix_of in (spline_slopes, spline_bends)
                for axis, length in axes.items()
            ],
            dim=1,
        )
        self._coefficients = values
        for axis, length in axes.items():
            self._coefficients = _along(axis, spline_coefficients(length), self._coefficients)
        self._is_inside = None if is_inside is None else is_inside.float()
        self._to_samples = torch.from_numpy(to_samples.astype(np.float32))
        self._samples_in_mm2 = torch.from_numpy((to_samples**2).sum(axis=1).astype(np.float32))
        self._middles = torch.from_numpy(middles.astype(np.float32))[:, None]
        self._last = torch.tensor(values.shape[1:], dtype=torch.float32) - 1.0

    def values(self, places_mm: torch.Tensor) -> torch.Tensor:
        """Return the (N, P) values at (N, P, 3) places in the world, seen from the middles."""
        return between_samples(self._coefficients, self._in_samples(places_mm))

    def derivatives(self, places_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return there the (N, P, 3) slopes along the world's axes and bends along the box's, interpolated linearly.

        Both are in mm; bends are second derivatives.
        """
        found = linear_between_samples(self._derivatives, self._in_samples(places_mm)[:, None])[:, :, 0].mT
        return found[..., :3] @ self._to_samples, found[..., 3:] * self._samples_in_mm2

    def holds(self, places_mm: torch.Tensor) -> torch.Tensor:
        """Return (N, P) whether places lie in the box and count, between 0 and 1 at the edge of what does."""
        places = self._in_samples(places_mm)
        in_box = ((places >= 0.0) & (places <= self._last)).all(dim=2).float()
        if self._is_inside is None:
            return in_box
        return in_box * linear_between_samples(self._is_inside[:, None], places[:, None])[:, 0, 0]

    def _in_samples(self, places_mm: torch.Tensor) -> torch.Tensor:
        return places_mm @ self._to_samples.T + self._middles


def _along(axis: str, matrix: NDArray[np.float64], values: torch.Tensor) -> torch.Tensor:
    """Return (N, X, Y, Z) values multiplied by a matrix along `i`, `j` or `k`."""
    return torch.einsum(
        f"a{axis},nijk->n{'ijk'.replace(axis, 'a')}", torch.from_numpy(matrix.astype(np.float32)), values
    )


@lru_cache(maxsize=256)
def spline_bends(length: int) -> NDArray[np.float64]:
    """Return the (length, length) matrix from a row of samples to the second derivatives there of the spline."""
    return _neighbours(length, below=1.0, at=-2.0, above=1.0) @ spline_coefficients(length)


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


def _neighbours(length: int, *, below: float, at: float, above: float) -> NDArray[np.float64]:
    """Return the (length, length) matrix that sums neighbours with these weights; the outermost are repeated."""
    matrix = below * np.eye(length, k=-1) + at * np.eye(length) + above * np.eye(length, k=1)
    matrix[0, 0] += below
    matrix[-1, -1] += above
    return matrix
