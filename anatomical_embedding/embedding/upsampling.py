"""Trilinear upsampling from the coarse to the fine grid, defined by the centres of the cells.

Fine cell `i` lies at input voxel `s_fine*i + (s_fine - 1)/2`; in coarse cells that is
`(i + 0.5)*s_fine/s_coarse - 0.5`, clamped to the grid. Where the sizes divide exactly this is torch's `interpolate`
with `align_corners=False`; where the coarse grid was rounded up it still follows the voxels, which a ratio of sizes
does not.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AxisInterpolation:
    """Linear interpolation along one axis: `(1 - fraction)*coarse[lower] + fraction*coarse[upper]`.

    Attributes
    ----------
    lower, upper : (num_fine,) int64, the two coarse cells around each fine cell.
    fraction : (num_fine,) float64 in [0, 1], the share of `upper`.
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    fraction: NDArray[np.float64]


def axis_interpolation(
    num_fine: int, num_coarse: int, *, stride_fine: int, stride_coarse: int
) -> AxisInterpolation:
    """Return where each fine cell lies among the coarse cells of one axis.

    Examples
    --------
    >>> axis = axis_interpolation(4, 2, stride_fine=2, stride_coarse=4)
    >>> axis.lower, axis.fraction
    (array([0, 0, 0, 1]), array([0.  , 0.25, 0.75, 0.  ]))
    """
    position = (np.arange(num_fine) + 0.5) * (stride_fine / stride_coarse) - 0.5
    position = np.clip(position, 0.0, num_coarse - 1.0)
    lower = np.floor(position).astype(np.int64)
    return AxisInterpolation(lower, np.minimum(lower + 1, num_coarse - 1), position - lower)


def grid_interpolation(
    fine_shape: tuple[int, ...],
    coarse_shape: tuple[int, ...],
    *,
    stride_fine: tuple[int, ...],
    stride_coarse: tuple[int, ...],
) -> list[AxisInterpolation]:
    """Return the interpolation of every axis; all arguments in one axis order."""
    return [
        axis_interpolation(num_fine, num_coarse, stride_fine=fine, stride_coarse=coarse)
        for num_fine, num_coarse, fine, coarse in zip(
            fine_shape, coarse_shape, stride_fine, stride_coarse, strict=True
        )
    ]


def norms_of_upsampled(coarse: NDArray, *, axes: list[AxisInterpolation]) -> NDArray[np.float32]:
    """Return the length that each coarse vector has once upsampled to the fine grid.

    With it the cosine against the upsampled and re-normalised coarse map is `upsampled scalar similarity / norm`, so
    that no search has to upsample channels.

    Parameters
    ----------
    coarse : (Z, Y, X, C) vectors.
    axes : interpolation of the z, y and x axis.

    Returns
    -------
    (Zf, Yf, Xf) float32.

    Notes
    -----
    A squared length is a quadratic form of the corners, so it needs their inner products only: those are taken on
    the coarse grid, and what is left per fine cell does not depend on the number of channels.
    """
    along_z, along_y, along_x = axes
    squared = np.empty((len(along_z.lower), len(along_y.lower), len(along_x.lower)))
    share_y = np.stack([1.0 - along_y.fraction, along_y.fraction])
    share_x = np.stack([1.0 - along_x.fraction, along_x.fraction])
    corners = list(product((0, 1), (0, 1)))
    shares = {corner: np.multiply.outer(share_y[corner[0]], share_x[corner[1]]) for corner in corners}
    weights = {  # each pair of corners once, for both orders
        (first, second): shares[first] * shares[second] * (1.0 if first == second else 2.0)
        for first, second in combinations_with_replacement(corners, 2)
    }
    cells = np.ix_(along_y.lower, along_x.lower)
    for index, (lower, upper, fraction) in enumerate(
        zip(along_z.lower, along_z.upper, along_z.fraction, strict=True)
    ):
        plane = (1.0 - fraction) * coarse[lower].astype(np.float64) + fraction * coarse[upper]  # (Y, X, C)
        padded = np.pad(plane, ((0, 1), (0, 1), (0, 0)), mode="edge")
        vectors = {
            (row, column): padded[row : row + plane.shape[0], column : column + plane.shape[1]]
            for row, column in corners
        }
        squared[index] = sum(
            weight * np.einsum("yxc,yxc->yx", vectors[first], vectors[second])[cells]
            for (first, second), weight in weights.items()
        )
    return np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)
