"""Resampling by patient against written-out samples, loops and enumeration."""

import itertools

import numpy as np
import pytest

from anatomical_embedding.evaluation.bootstrap import percentile_interval
from anatomical_embedding.evaluation.patient_bootstrap import paired_permutation_p_value, patient_resamples
from tests.reference.lesion_tracking_by_loops import bootstrap_interval


def test_whole_patients_are_drawn():
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    weights = patient_resamples(patients, num_resamples=200, seed=3)
    assert weights.shape == (200, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[:, [1, 0, 3]].sum(axis=1), 3)  # a, b, c: as many draws as patients
    order = [3, 5, 1, 0, 2, 4]
    np.testing.assert_array_equal(
        patient_resamples(patients[order], num_resamples=200, seed=3), weights[:, order]
    )


def test_interval_agrees_with_loops():
    generator = np.random.default_rng(5)
    patients = generator.integers(0, 30, 200).astype(str)
    values = generator.random(200) + (patients.astype(int) % 5)
    weights = patient_resamples(patients, num_resamples=4000, seed=1)
    interval = percentile_interval(weights @ values / weights.sum(axis=1), confidence=0.95)
    expected = bootstrap_interval(values.tolist(), patients.tolist(), num_resamples=4000, seed=2)
    np.testing.assert_allclose(interval, expected, atol=0.03)
    of_pairs = bootstrap_interval(values.tolist(), [str(n) for n in range(200)], num_resamples=1000, seed=2)
    assert interval[1] - interval[0] > 1.5 * (of_pairs[1] - of_pairs[0])  # the clusters matter


def test_permutation_test_agrees_with_enumeration():
    patients = np.array(list("aabbccddeeff"))
    differences = np.array([1.0, 2.0, 0.5, 0.1, -1.0, 0.2, 1.5, 0.3, 0.4, 0.4, 2.0, -0.5])
    sums = differences.reshape(6, 2).sum(axis=1)
    all_sums = [abs(np.dot(signs, sums)) for signs in itertools.product([1, -1], repeat=6)]
    exact = np.mean([total >= abs(sums.sum()) - 1e-12 for total in all_sums])
    p_value = paired_permutation_p_value(differences, patients, num_permutations=20000, seed=4)
    assert p_value == pytest.approx(exact, abs=0.01)
    order = np.random.default_rng(0).permutation(12)
    assert p_value == paired_permutation_p_value(
        differences[order], patients[order], num_permutations=20000, seed=4
    )


def test_equal_methods_have_p_value_one_and_no_p_value_is_zero():
    patients = np.arange(40)
    assert paired_permutation_p_value(np.zeros(40), patients, num_permutations=99, seed=1) == 1.0
    assert paired_permutation_p_value(np.ones(40), patients, num_permutations=99, seed=1) == 0.01
