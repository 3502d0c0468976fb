"""Where a point should lie by what lies around it: an affine map fitted to corresponding points, many perhaps wrong.

Iteratively reweighted least squares with Tukey's biweight, started at the median shift, so that up to half of the
points may be anywhere; the matrix is drawn towards the identity, since few points, or points close together, cannot
tell it.

Source: Holland and Welsch, "Robust regression using iteratively reweighted least-squares" (1977).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_ITERATIONS = 20
CONVERGED_MM = 1e-4
"""A map is done when a step moves no place within `CONVERGED_AROUND_MM` of its centre by more than about this."""
CONVERGED_AROUND_MM = 10.0
BIWEIGHT_CUTOFF = 4.685
"""In units of the scale: 95 % efficient for normal residuals."""
MEDIAN_OF_CHI_3 = 1.5382
"""Median length of a 3-D normal vector with unit variance along each axis."""
SMALLEST_SCALE_MM = 1.0
RIDGE_MM = 20.0
"""The pull to the identity on neighbours weighs as much as one correspondence this far away."""
FEWEST_CORRESPONDENCES = 4


@dataclass(frozen=True)
class LocalAffines:
    """One map per row: a point at `centre + d` goes to `answers_mm + matrix @ d`.

    Attributes
    ----------
    answers_mm : (N, 3) image of the centre.
    matrices : (N, 3, 3).
    weights : (N, A) weight of each point, 0 for those that disagree.
    residual_mm : (N,) root of the weighted mean squared residual; NaN without points.
    spread_mm : (N, 3) standard deviations of the weighted source points along their principal axes, largest first.
    """

    answers_mm: NDArray[np.float64]
    matrices: NDArray[np.float64]
    weights: NDArray[np.float64]
    residual_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]


def fit_local_affines(
    offsets_mm: NDArray[np.float64],
    partners_mm: NDArray[np.float64],
    importance: NDArray[np.float64],
    *,
    stiffness_mm: float,
    smallest_scale_mm: float,
) -> LocalAffines:
    """Return the robust map of each row of correspondences.

    It minimises the weighted mean of `|partner - answer - matrix @ offset|^2` plus `stiffness_mm^2` times the squared
    distance of the matrix from the identity.

    Parameters
    ----------
    offsets_mm : (N, A, 3) source points relative to their centre.
    partners_mm : (N, A, 3) where they go.
    importance : (N, A) weight of each point before its residual is known; 0 for points that take no part.
    stiffness_mm : spread of the points below which the identity prevails.
    smallest_scale_mm : residuals of this size never count as disagreement.
    """
    num_rows = len(offsets_mm)
    shifts = partners_mm - offsets_mm
    answers = np.stack([weighted_medians(shifts[..., axis], importance) for axis in range(3)], axis=1)
    matrices = np.tile(np.eye(3), (num_rows, 1, 1))
    weights = importance.copy()
    rows = np.arange(num_rows)
    for _ in range(MOST_ITERATIONS):
        offsets, partners = offsets_mm[rows], partners_mm[rows]
        distance = _distances(offsets, partners, answers[rows], matrices[rows])
        weights[rows] = importance[rows] * _biweights(
            distance, importance[rows], smallest_scale_mm=smallest_scale_mm
        )
        answer, matrix = _weighted_fit(offsets, partners, weights[rows], stiffness_mm=stiffness_mm)
        moved_mm = np.linalg.norm(answer - answers[rows], axis=1)
        turned_mm = CONVERGED_AROUND_MM * np.linalg.norm(matrix - matrices[rows], axis=(1, 2))
        answers[rows], matrices[rows] = answer, matrix
        rows = rows[np.maximum(moved_mm, turned_mm) > CONVERGED_MM]
        if not len(rows):
            break
    distance = _distances(offsets_mm, partners_mm, answers, matrices)
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):
        residual = np.sqrt((weights * np.where(weights > 0, distance, 0.0) ** 2).sum(axis=1) / total)
    return LocalAffines(answers, matrices, weights, residual, _spread(offsets_mm, weights))


def _distances(
    offsets: NDArray[np.float64],
    partners: NDArray[np.float64],
    answers: NDArray[np.float64],
    matrices: NDArray[np.float64],
) -> NDArray[np.float64]:
    missed = partners - answers[:, None] - offsets @ matrices.swapaxes(1, 2)
    return np.sqrt(np.einsum("nai,nai->na", missed, missed))


def _biweights(
    distance: NDArray[np.float64], importance: NDArray[np.float64], *, smallest_scale_mm: float
) -> NDArray[np.float64]:
    median = weighted_medians(distance, importance)
    scale = np.fmax(median / MEDIAN_OF_CHI_3, smallest_scale_mm)
    ratio = np.where(importance > 0, distance, np.inf) / (BIWEIGHT_CUTOFF * scale[:, None])
    return np.where(ratio < 1.0, 1.0 - np.minimum(ratio, 1.0) ** 2, 0.0) ** 2


def weighted_medians(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the smallest value of each row below or at which half of its weight lies; NaN without weight."""
    order = np.argsort(np.where(weights > 0, values, np.inf), axis=1)
    cumulative = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = np.argmax(cumulative >= 0.5 * cumulative[:, -1:], axis=1)[:, None]
    median = np.take_along_axis(np.take_along_axis(values, order, axis=1), place, axis=1)[:, 0]
    return np.where(cumulative[:, -1] > 0, median, np.nan)


def _weighted_fit(
    offsets: NDArray[np.float64],
    partners: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    stiffness_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 3) answers and (N, 3, 3) matrices of the ridge regression; NaN where all weights are 0."""
    total = weights.sum(axis=1)
    share = np.divide(weights, total[:, None], out=np.full_like(weights, np.nan), where=total[:, None] > 0)
    centre_from = (share[:, None] @ offsets)[:, 0]
    centre_to = (share[:, None] @ partners)[:, 0]
    source = offsets - centre_from[:, None]
    bend = (partners - centre_to[:, None]) - source
    weighted = share[..., None] * source
    covariance = source.swapaxes(1, 2) @ weighted + stiffness_mm**2 * np.eye(3)
    cross = bend.swapaxes(1, 2) @ weighted
    matrices = np.eye(3) + cross @ np.linalg.inv(covariance)
    return centre_to - np.einsum("nij,nj->ni", matrices, centre_from), matrices


def _spread(offsets: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    source = offsets - np.einsum("na,nai->ni", share, offsets)[:, None]
    covariance = np.einsum("na,nai,naj->nij", share, source, source)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[:, ::-1], 0.0))
