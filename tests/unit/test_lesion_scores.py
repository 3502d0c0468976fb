"""Figures by hand, failed pairs in them, their strata and intervals, and the comparison of two trackers."""

from dataclasses import fields, replace

import numpy as np
import pytest

from anatomical_embedding.datasets.lesion_annotations import read_annotations
from anatomical_embedding.evaluation.lesions.scores import compare_protocols, score_protocols
from tests.lesion_examples import annotation_rows, random_pairs, write

CENTER = np.array([110.0, 95.0, 12.0])


@pytest.fixture
def pairs(tmp_path):
    return read_annotations(write(tmp_path / "a.json", annotation_rows(num_patients=2)))


def score(pairs, points):
    return score_protocols(pairs, points, num_resamples=300, seed=1)


def test_figures_by_hand(pairs):
    points = CENTER + np.array([[8.0, 0, 0], [0, -6.0, 2.0], [0, 0, 6.0], [0, 0, 0]])  # mm: 4; 3 and 4; 12; 0
    dlt = score(pairs, points)["dlt"]
    assert (dlt["num_pairs"], dlt["num_failed"], dlt["num_patients"]) == (4, 0, 2)
    assert dlt["cpm_10mm"] == 0.75  # 5 mm at a radius of 5 mm counts here ...
    assert dlt["cpm_radius"] == 0.5  # ... and not here
    assert dlt["med_mm"] == pytest.approx((4 + 5 + 12 + 0) / 4)
    assert dlt["med_sd_mm"] == pytest.approx(np.std([4, 5, 12, 0]))
    assert dlt["med_x_mm"] == pytest.approx(1.0)
    assert dlt["med_y_mm"] == pytest.approx(0.75)
    assert dlt["med_z_mm"] == pytest.approx(4.0)
    assert dlt["bias_y_mm"] == pytest.approx(-0.75)
    assert dlt["median_mm"] == pytest.approx(4.5)
    assert dlt["ci95"]["cpm_10mm"] == (0.5, 1.0)  # patients with 1 and with 1/2


def test_failed_pairs_are_misses(pairs):
    points = np.vstack([CENTER, CENTER, [np.nan] * 3, [np.nan] * 3])
    for summary in score(pairs, points).values():
        assert summary["num_failed"] == 2
        assert summary["cpm_10mm"] == summary["cpm_radius"] == 0.5
        assert summary["med_mm"] == 0.0
        assert summary["median_mm"] is None  # between a found and a failed pair
        assert summary["p95_mm"] is None


def test_no_pair_found(pairs):
    summary = score(pairs, np.full((4, 3), np.nan))["uae"]
    assert summary["num_failed"] == 4
    assert (summary["cpm_10mm"], summary["med_mm"]) == (0.0, None)
    assert summary["ci95"]["cpm_10mm"] == (0.0, 0.0)
    assert summary["ci95"]["med_mm"] is None


def test_strata_add_up_and_a_single_patient_has_no_interval():
    pairs, points = random_pairs(300, num_patients=20, seed=7)
    for summary in score(pairs, points).values():
        assert set(summary["strata"]) == {"slice_thickness_mm", "radius_mm"}
        assert set(summary["strata"]["slice_thickness_mm"]) == {"1", "2", "5"}
        for classes in summary["strata"].values():
            assert sum(entry["num_pairs"] for entry in classes.values()) == 300
            assert sum(entry["num_failed"] for entry in classes.values()) == summary["num_failed"]
            hits = sum(entry["cpm_10mm"] * entry["num_pairs"] for entry in classes.values())
            assert hits == pytest.approx(summary["cpm_10mm"] * 300)
    lonely, points = random_pairs(10, num_patients=1, seed=7)
    assert set(score(lonely, points)["dlt"]["ci95"].values()) == {None}


def rows_of(pairs, order):
    """Return the pairs in another order."""
    changes = {}
    for field in fields(pairs):
        column = getattr(pairs, field.name)
        changes[field.name] = tuple(column[i] for i in order) if isinstance(column, tuple) else column[order]
    return replace(pairs, **changes)


def flat(content, prefix=""):
    """Yield dotted key and value of every leaf."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_order_of_rows_does_not_matter():
    pairs, points = random_pairs(120, num_patients=12, seed=8)
    order = np.random.default_rng(0).permutation(120)
    before, after = dict(flat(score(pairs, points))), dict(flat(score(rows_of(pairs, order), points[order])))
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert after[key] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), key


def test_comparison_by_hand(pairs):
    ours = CENTER + np.array([[0, 0, 0], [2.0, 0, 0], [0, 0, 0], [np.nan] * 3])
    other = CENTER + np.array([[0, 0, 10.0], [0, 0, 0], [4.0, 0, 0], [0, 0, 0]])
    result = compare_protocols(pairs, ours, other, num_draws=500, seed=1)["uae"]
    assert result["cpm_10mm"]["num_pairs"] == 4
    assert result["cpm_10mm"]["difference"] == 0.0  # one pair lost, one failed
    assert result["cpm_10mm"]["p_value"] == 1.0
    assert result["med_mm"]["num_pairs"] == 3  # both found
    assert result["med_mm"]["difference"] == pytest.approx((0 + 1 + 0) / 3 - (20 + 0 + 2) / 3)


def test_a_clearly_better_tracker_has_a_small_p_value_and_itself_none():
    pairs, _ = random_pairs(300, num_patients=40, seed=9)
    generator = np.random.default_rng(1)
    near = pairs.target_center_vox + generator.normal(0, 1, (300, 3)) / pairs.target_spacing_mm
    far = pairs.target_center_vox + generator.normal(0, 8, (300, 3)) / pairs.target_spacing_mm
    for figures in compare_protocols(pairs, near, far, num_draws=999, seed=1).values():
        for figure in figures.values():
            assert figure["p_value"] == 0.001
            assert figure["ci95"][0] <= figure["difference"] <= figure["ci95"][1]
            assert not figure["ci95"][0] <= 0.0 <= figure["ci95"][1]
    for figures in compare_protocols(pairs, near, near, num_draws=99, seed=1).values():
        assert {figure["p_value"] for figure in figures.values()} == {1.0}


def test_comparison_without_a_pair_that_both_found(pairs):
    nowhere = np.full((4, 3), np.nan)
    result = compare_protocols(pairs, nowhere, nowhere + 1, num_draws=20, seed=1)["dlt"]
    assert result["med_mm"] == {"num_pairs": 0}
