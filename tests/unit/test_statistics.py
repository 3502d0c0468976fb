"""Metrics and confidence intervals against hand calculation and a bootstrap written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatomical_embedding.evaluation.bootstrap import draw_subject_counts
from anatomical_embedding.evaluation.statistics import (
    METRICS,
    bootstrap_intervals,
    error_metrics,
    metrics_of,
    pair_weights,
)
from anatomical_embedding.settings.evaluation import BootstrapSettings
from tests.reference.slow_statistics import slow_bootstrap, slow_metrics, slow_resample

ERRORS_WITH_FAILURES = st.lists(
    st.one_of(st.floats(0, 200), st.sampled_from([10.0, 20.0, np.inf])), min_size=1, max_size=30
)


def all_ordered_pairs(num_subjects):
    return np.array([(a, b) for a in range(num_subjects) for b in range(num_subjects) if a != b]).T


def test_metrics_by_hand():
    # sorted 1 2 3 10 25: rank 2 is the median; rank 0.9 * 4 = 3.6 lies 0.6 between 10 and 25
    metrics = metrics_of(np.array([25.0, 1.0, 10.0, 3.0, 2.0]))
    assert metrics == pytest.approx(
        {"median_mm": 3.0, "mean_mm": 8.2, "p90_mm": 19.0, "hit_10mm": 0.8, "hit_20mm": 0.8}
    )


def test_failed_queries_count_as_misses_and_not_in_the_mean():
    metrics = metrics_of(np.array([4.0, np.inf, 6.0, np.inf]))
    assert metrics["median_mm"] == np.inf  # half way between 6 and infinity
    assert metrics["mean_mm"] == 5.0
    assert metrics["p90_mm"] == np.inf
    assert metrics["hit_10mm"] == 0.5


def test_median_stays_finite_while_fewer_than_half_fail():
    assert metrics_of(np.array([4.0, np.inf, 6.0]))["median_mm"] == 6.0


def test_all_failed():
    assert metrics_of(np.array([np.inf, np.inf])) == {
        "median_mm": np.inf,
        "mean_mm": np.inf,
        "p90_mm": np.inf,
        "hit_10mm": 0.0,
        "hit_20mm": 0.0,
    }


@given(ERRORS_WITH_FAILURES)
def test_metrics_equal_the_slow_reference(errors):
    assert metrics_of(np.array(errors)) == pytest.approx(slow_metrics(errors))


@given(ERRORS_WITH_FAILURES, st.randoms())
def test_metrics_do_not_depend_on_order(errors, random):
    shuffled = random.sample(errors, len(errors))
    assert metrics_of(np.array(shuffled)) == pytest.approx(metrics_of(np.array(errors)))


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 4)), min_size=1, max_size=15))
def test_a_weight_is_a_repetition(weighted):
    errors, weights = np.array(weighted).T
    weights = weights.astype(int)
    weights[0] += 1
    repeated = metrics_of(np.repeat(errors, weights))
    metrics = error_metrics(errors, weights=weights[None])
    assert {name: values[0] for name, values in metrics.items()} == pytest.approx(repeated)


def test_resamples_equal_the_written_out_ones():
    generator = np.random.default_rng(0)
    templates, targets = all_ordered_pairs(5)
    templates = np.append(templates, [2, 3])  # two pairs within one subject
    targets = np.append(targets, [2, 3])
    errors = generator.exponential(15.0, size=len(templates))
    errors[4] = np.inf
    counts = draw_subject_counts(5, num_resamples=50, generator=generator)
    weights = pair_weights(counts, template_index=templates, target_index=targets)
    metrics = error_metrics(errors, weights=weights)
    for row, count in enumerate(counts):
        drawn = np.repeat(np.arange(5), count).tolist()
        written_out = slow_metrics(slow_resample(errors, templates, targets, drawn))
        assert {name: metrics[name][row] for name in METRICS} == pytest.approx(written_out)


@pytest.mark.slow
def test_intervals_agree_with_an_independent_bootstrap():
    generator = np.random.default_rng(3)
    templates, targets = all_ordered_pairs(6)
    difficulty = generator.exponential(8.0, size=6)
    errors = difficulty[templates] + difficulty[targets] + generator.exponential(2.0, size=len(templates))
    settings = BootstrapSettings(num_resamples=4000, seed=1, confidence_level=0.9)
    ours = bootstrap_intervals(
        errors,
        template_subjects=templates.astype(str),
        target_subjects=targets.astype(str),
        settings=settings,
    )
    slow = slow_bootstrap(errors, templates, targets, num_resamples=2000, seed=77, level=0.9)
    assert ours is not None
    for name in ("median_mm", "mean_mm", "p90_mm"):
        assert ours[name] == pytest.approx(slow[name], abs=0.8), name
    assert ours["hit_10mm"] == pytest.approx(slow["hit_10mm"], abs=0.05)


def test_dependent_pairs_give_wider_intervals_than_queries_drawn_one_by_one():
    generator = np.random.default_rng(4)
    templates, targets = all_ordered_pairs(8)
    difficulty = generator.exponential(10.0, size=8)
    errors = difficulty[templates] + difficulty[targets]
    settings = BootstrapSettings(num_resamples=1000, seed=1, confidence_level=0.95)
    interval = bootstrap_intervals(
        errors,
        template_subjects=templates.astype(str),
        target_subjects=targets.astype(str),
        settings=settings,
    )
    assert interval is not None
    naive = np.quantile(generator.choice(errors, size=(1000, len(errors))).mean(axis=1), [0.025, 0.975])
    assert np.diff(interval["mean_mm"]) > 1.5 * np.diff(naive)


def test_intervals_are_seeded_and_do_not_depend_on_batches(monkeypatch):
    templates, targets = all_ordered_pairs(5)
    errors = np.arange(len(templates), dtype=float)
    settings = BootstrapSettings(num_resamples=300, seed=5, confidence_level=0.95)
    subjects = {"template_subjects": templates.astype(str), "target_subjects": targets.astype(str)}
    first = bootstrap_intervals(errors, **subjects, settings=settings)
    assert first == bootstrap_intervals(errors, **subjects, settings=settings)
    monkeypatch.setattr("anatomical_embedding.evaluation.statistics.WEIGHTS_AT_ONCE", 1000)
    assert first == bootstrap_intervals(errors, **subjects, settings=settings)


def test_no_interval_for_two_subjects():
    settings = BootstrapSettings(num_resamples=100, seed=0, confidence_level=0.95)
    interval = bootstrap_intervals(
        np.array([1.0, 2.0]), template_subjects=["a", "b"], target_subjects=["b", "a"], settings=settings
    )
    assert interval is None
