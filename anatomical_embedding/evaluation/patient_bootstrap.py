"""Resamples and a test for measurements that come in patients.

Pairs of lesions of one patient depend on each other (the two directions of a pair most of all), so whole patients are
drawn, or change sign, together. Treating pairs as independent would give intervals that are far too narrow.

Sources: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8, cluster resampling;
Phipson and Smyth, "Permutation p-values should never be zero" (2010).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.evaluation.bootstrap import draw_subject_counts

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
    times_drawn = draw_subject_counts(
        len(patients), num_resamples=num_resamples, generator=np.random.default_rng(seed)
    )
    return times_drawn.astype(np.float64)[:, patient_of_row]


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
