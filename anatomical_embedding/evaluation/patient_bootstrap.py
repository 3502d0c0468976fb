"""Intervals and tests for measurements that come in patients.

Pairs of lesions of one patient depend on each other (the two directions of a pair most of all), so whole patients are
drawn, or change sign, together. Treating pairs as independent would give intervals that are far too narrow.

Sources: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8, cluster resampling;
Phipson and Smyth, "Permutation p-values should never be zero" (2010).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

TIE_TOLERANCE = 1e-9
"""Relative: a permuted sum that equals the observed one but for the order of summation is a tie."""


def patient_resamples(patient_ids: ArrayLike, *, num_resamples: int, seed: int) -> FloatArray:
    """Return how often each row stands in each bootstrap sample of patients.

    A sample draws as many patients as there are, with replacement, and takes all rows of each. Patients are drawn in
    the order of their names, so that the order of rows does not matter.

    Parameters
    ----------
    patient_ids : (N,) patient of each row.
    num_resamples : R, number of samples.
    seed : of the random draws.

    Returns
    -------
    (R, N) float64, whole numbers; usable as weights.
    """
    patients, patient_of_row = np.unique(np.asarray(patient_ids), return_inverse=True)
    num_patients = len(patients)
    generator = np.random.default_rng(seed)
    times_drawn = generator.multinomial(
        num_patients, np.full(num_patients, 1.0 / num_patients), size=num_resamples
    )
    return times_drawn.astype(np.float64)[:, patient_of_row]


def percentile_interval(values: ArrayLike, *, confidence: float) -> tuple[float, float] | None:
    """Return the two percentiles that enclose a share `confidence` of the (R,) resampled values.

    Resamples without a value (NaN: every pair in them failed) are left out. None if no value is left, or if an end
    is not finite.
    """
    resampled = np.asarray(values, dtype=np.float64)
    resampled = resampled[~np.isnan(resampled)]
    if not resampled.size:
        return None
    tail = (1.0 - confidence) / 2.0
    with np.errstate(invalid="ignore"):  # between two infinite values
        low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def paired_permutation_p_value(
    differences: ArrayLike, patient_ids: ArrayLike, *, num_permutations: int, seed: int
) -> float:
    """Return the two-sided p value of a mean paired difference under random change of sign per patient.

    If the two methods were exchangeable, every patient's differences could as well have the other sign. The p value
    is `(1 + number of sums at least as large) / (1 + num_permutations)`, so it is never zero.

    Parameters
    ----------
    differences : (N,) difference of the two methods in each row.
    patient_ids : (N,) patient of each row.
    num_permutations : number of random sign patterns.
    seed : of the random draws.
    """
    patients, patient_of_row = np.unique(np.asarray(patient_ids), return_inverse=True)
    sum_of_patient = np.bincount(
        patient_of_row, weights=np.asarray(differences, dtype=np.float64), minlength=len(patients)
    )
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(num_permutations, len(patients)))
    observed = abs(sum_of_patient.sum())
    slack = TIE_TOLERANCE * np.abs(sum_of_patient).sum()
    num_at_least = int(np.count_nonzero(np.abs(signs @ sum_of_patient) >= observed - slack))
    return (1 + num_at_least) / (1 + num_permutations)


def weighted_quantile(values: ArrayLike, weights: FloatArray, *, share: float) -> FloatArray:
    """Return a quantile of values that stand several times each, as if they were written out.

    Equals `numpy.quantile` (linear) of the written-out sample. An infinite value is allowed; a quantile that would
    lie between a finite and an infinite value is infinite.

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


def _first_above(cumulated: FloatArray, place: FloatArray) -> NDArray[np.int64]:
    """Return (R,) the first column of each row whose cumulated weight exceeds `place`."""
    return np.argmax(cumulated > place[:, np.newaxis], axis=1)
