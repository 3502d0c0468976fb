"""Error metrics and their confidence intervals over subjects.

Failed queries are never dropped. In the median, the 90th percentile and the hit rates a failed query counts
as an infinite error. A mean of infinities says nothing, so the mean is that of the found queries; read it
beside `num_failed`.

Notes
-----
A query belongs to two subjects, template and target, and queries that share one are dependent. So
subjects are drawn with replacement, and a query of the pair (a, b) enters as often as the pair appears among
the drawn subjects: count(a) x count(b) times. This is the bootstrap for pairwise data of Snijders and
Borgatti (Non-parametric standard errors and tests for network statistics, Connections 22, 1999) and Davezies,
D'Haultfoeuille and Guyonvarch (Empirical process results for exchangeable arrays, Annals of Statistics 49,
2021); compare Owen (The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007). A pair within one
subject, as of two time points, enters count(a) times. A resample in which no query is left is drawn again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.evaluation.bootstrap import (
    draw_subject_counts,
    percentile_interval,
    weighted_quantile,
)
from anatomical_embedding.settings.evaluation import BootstrapSettings

METRICS = ("median_mm", "mean_mm", "p90_mm", "hit_10mm", "hit_20mm")
"""Names of the metrics, in the order in which they are shown."""

FEWEST_SUBJECTS = 3
"""Of two subjects every usable resample equals the data, so an interval would pretend certainty."""

WEIGHTS_AT_ONCE = 2_000_000
"""Number of weights held in memory at a time."""


def error_metrics(errors_mm: NDArray[np.float64], *, weights: NDArray[np.integer]) -> dict[str, NDArray]:
    """Return each metric of weighted errors, once for each row of weights.

    A weight of n is the same as the error standing n times in the list.

    Parameters
    ----------
    errors_mm : (Q,) errors; infinite for failed queries.
    weights : (R, Q) integers >= 0, every row with a positive sum.

    Returns
    -------
    Metric name to (R,) float64. Percentiles are infinite where they fall among failed
    queries; the mean is infinite where no found query is left.
    """
    order = np.argsort(errors_mm, kind="stable")  # sums do not depend on the order of rows, to the last bit
    errors_mm, weights = errors_mm[order], weights[:, order]
    total = weights.sum(axis=1)
    is_found = np.isfinite(errors_mm)
    num_found = weights[:, is_found].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weights[:, is_found] @ errors_mm[is_found]) / num_found
    return {
        "median_mm": weighted_quantile(errors_mm, weights, share=0.5),
        "mean_mm": np.where(num_found > 0, mean, np.inf),
        "p90_mm": weighted_quantile(errors_mm, weights, share=0.9),
        "hit_10mm": weights[:, errors_mm <= 10.0].sum(axis=1) / total,  # noqa: PLR2004 the metric's name says it
        "hit_20mm": weights[:, errors_mm <= 20.0].sum(axis=1) / total,  # noqa: PLR2004
    }


def metrics_of(errors_mm: NDArray[np.float64]) -> dict[str, float]:
    """Return each metric of a list of errors, infinite ones standing for failed queries.

    Examples
    --------
    >>> metrics_of(np.array([2.0, 4.0, 12.0, np.inf]))
    {'median_mm': 8.0, 'mean_mm': 6.0, 'p90_mm': inf, 'hit_10mm': 0.5, 'hit_20mm': 0.75}
    """
    metrics = error_metrics(errors_mm, weights=np.ones((1, len(errors_mm)), dtype=np.int64))
    return {name: float(values[0]) for name, values in metrics.items()}


def bootstrap_intervals(
    errors_mm: NDArray[np.float64],
    *,
    template_subjects: Sequence[str],
    target_subjects: Sequence[str],
    settings: BootstrapSettings,
) -> dict[str, tuple[float, float]] | None:
    """Return the percentile interval of each metric over resampled subjects.

    Parameters
    ----------
    errors_mm : (Q,) errors; infinite for failed queries.
    template_subjects, target_subjects : the subjects of each query.
    settings : number of resamples, seed, confidence level.

    Returns
    -------
    Metric name to (low, high); None for fewer than three subjects.
    """
    subjects, indices = np.unique([template_subjects, target_subjects], return_inverse=True)
    if len(subjects) < FEWEST_SUBJECTS:
        return None
    template_index, target_index = indices.reshape(2, -1)
    generator = np.random.default_rng(settings.seed)
    resamples_at_once = max(1, WEIGHTS_AT_ONCE // len(errors_mm))
    parts: list[dict[str, NDArray]] = []
    num_done = 0
    while num_done < settings.num_resamples:
        num_wanted = min(resamples_at_once, settings.num_resamples - num_done)
        counts = draw_subject_counts(len(subjects), num_resamples=num_wanted, generator=generator)
        weights = pair_weights(counts, template_index=template_index, target_index=target_index)
        weights = weights[weights.any(axis=1)]
        if len(weights) > 0:
            parts.append(error_metrics(errors_mm, weights=weights))
            num_done += len(weights)
    samples = {name: np.concatenate([part[name] for part in parts]) for name in METRICS}
    return {
        name: percentile_interval(values, confidence=settings.confidence_level)
        for name, values in samples.items()
    }


def pair_weights(
    counts: NDArray[np.int64], *, template_index: NDArray[np.integer], target_index: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return how often each query enters each resample, (R, Q).

    Parameters
    ----------
    counts : (R, S) how often each subject is drawn.
    template_index, target_index : (Q,) subjects of each query.
    """
    weights = counts[:, template_index]
    return np.where(template_index == target_index, weights, weights * counts[:, target_index])
