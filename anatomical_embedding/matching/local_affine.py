"""Where a point should lie by what lies around it: an affine map fitted to nearby correspondences.

Weighted least squares in mm. Weights fall with the distance from the point; wrong correspondences lose theirs over
iterations (Tukey's biweight on residuals, scaled by their weighted median). A ridge pulls the linear part towards the
identity, so that few or coplanar correspondences still give a sensible map.

Source: Holland and Welsch, "Robust regression using iteratively reweighted least-squares" (1977).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import Points

NUM_ITERATIONS = 8
TUKEY_FACTOR = 4.685
"""Of the scale; 95 % efficiency for Gaussian residuals."""
MEDIAN_OF_GAUSSIAN_NORM = 1.538
"""Median length of a 3D Gaussian vector of unit deviation."""
SMALLEST_SCALE_MM = 1.0
RIDGE_MM = 20.0
"""The pull to the identity weighs as much as correspondences spread by this much."""
FEWEST_CORRESPONDENCES = 4


@dataclass(frozen=True)
class LocalPrediction:
    """Where a point should lie.

    Attributes
    ----------
    point_mm : (3,) world mm of the target; NaN where there are too few correspondences.
    spread_mm : weighted median distance of the correspondences from the map.
    num_effective : their effective number, `sum(w)**2 / sum(w**2)`.
    """

    point_mm: NDArray[np.float64]
    spread_mm: float
    num_effective: float


def predict_by_neighbours(
    point_mm: NDArray[np.float64], source_mm: Points, target_mm: Points, *, reach_mm: float
) -> LocalPrediction:
    """Return where a point lies under the affine map of the correspondences around it.

    Parameters
    ----------
    point_mm : (3,) world mm of the source volume.
    source_mm, target_mm : (M, 3) corresponding points.
    reach_mm : deviation of the Gaussian by which weights fall with the distance from the point.
    """
    if len(source_mm) < FEWEST_CORRESPONDENCES:
        return LocalPrediction(np.full(3, np.nan), np.nan, float(len(source_mm)))
    offsets = source_mm - point_mm
    squared = np.sum(offsets**2, axis=1)
    nearness = np.exp(-(squared - squared.min()) / (2.0 * reach_mm**2))
    trust = np.ones(len(source_mm))
    for _ in range(NUM_ITERATIONS):
        linear, shift = _weighted_affine(offsets, target_mm - source_mm, nearness * trust)
        residuals = np.linalg.norm(offsets @ linear.T + shift - (target_mm - source_mm), axis=1)
        scale = max(weighted_median(residuals, nearness) / MEDIAN_OF_GAUSSIAN_NORM, SMALLEST_SCALE_MM)
        trust = np.clip(1.0 - (residuals / (TUKEY_FACTOR * scale)) ** 2, 1e-6, None) ** 2
    weights = nearness * trust
    return LocalPrediction(
        point_mm + shift, weighted_median(residuals, nearness), float(weights.sum() ** 2 / np.sum(weights**2))
    )


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the smallest value below or at which half of the weight lies."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def _weighted_affine(
    offsets: Points, displacements: Points, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (3, 3) gradient and (3,) value at zero offset of the displacements."""
    design = np.column_stack([offsets, np.ones(len(offsets))])
    penalty = np.diag([RIDGE_MM**2] * 3 + [0.0]) * weights.sum() / len(weights)
    normal = design.T @ (weights[:, np.newaxis] * design) + penalty
    solution = np.linalg.solve(normal, design.T @ (weights[:, np.newaxis] * displacements))
    return solution[:3].T, solution[3]
