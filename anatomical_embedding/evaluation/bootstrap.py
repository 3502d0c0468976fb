"""What every bootstrap shares: how often subjects are drawn, quantiles of weighted samples, percentile intervals."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def draw_subject_counts(
    num_subjects: int, *, num_resamples: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return how often each subject is drawn, (num_resamples, num_subjects); rows sum to num_subjects."""
    shares = np.full(num_subjects, 1.0 / num_subjects)
    return generator.multinomial(num_subjects, shares, size=num_resamples)


def percentile_interval(values: ArrayLike, *, confidence: float) -> tuple[float, float]:
    """Return the two percentiles that enclose a share `confidence` of the (R,) resampled values.

    They are values of the sample, not interpolated, since values may be infinite. Resamples without a value (NaN) are
    left out; the ends are NaN if no value is left.
    """
    resampled = np.asarray(values, dtype=np.float64)
    resampled = resampled[~np.isnan(resampled)]
    if not resampled.size:
        return np.nan, np.nan
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail], method="inverted_cdf")
    return float(low), float(high)


def weighted_quantile(values: ArrayLike, weights: NDArray, *, share: float) -> FloatArray:
    """Return a quantile of values that stand several times each, as if they were written out.

    Equals `numpy.quantile` (linear, Hyndman and Fan's type 7) of the written-out sample. An infinite value is allowed;
    a quantile that would lie between a finite and an infinite value is infinite.

    Parameters
    ----------
    values : (N,) values, without NaN.
    weights : (R, N) how often each value stands in each sample, whole numbers.
    share : 0 to 1; 0.5 is the median.

    Returns
    -------
    (R,) float64, NaN for an empty sample.
    """
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    cumulated = np.cumsum(weights[:, order], axis=1)
    totals = cumulated[:, -1]
    place = share * np.maximum(totals - 1.0, 0.0)
    below = np.floor(place)
    at_below = ordered[_first_above(cumulated, below)]
    at_above = ordered[_first_above(cumulated, np.minimum(below + 1.0, np.maximum(totals - 1.0, 0.0)))]
    fraction = place - below
    step = np.subtract(at_above, at_below, out=np.zeros_like(at_below), where=at_above != at_below)
    moved = np.multiply(fraction, step, out=np.zeros_like(step), where=fraction > 0)
    return np.where(totals > 0, at_below + moved, np.nan)


def _first_above(cumulated: NDArray, place: FloatArray) -> NDArray[np.int64]:
    """Return (R,) the first column of each row whose cumulated weight exceeds `place`."""
    return np.argmax(cumulated > place[:, np.newaxis], axis=1)
