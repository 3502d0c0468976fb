"""The scores of a confidence, by hand."""

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.evaluation.confidence.known_answers import errors_mm, read_truths
from anatomical_embedding.evaluation.confidence.reliability import (
    area_under_curve,
    calibration_error,
    found_at_false_alarms,
    probability_scores,
    reliability_table,
    risk_table,
)
from anatomical_embedding.evaluation.confidence.scores import score_confidence
from anatomical_embedding.settings.confidence import FitSettings

SETTINGS = FitSettings(within_mm=10, regularisation=40, num_folds=4, false_alarm_share=0.05)


def test_area_under_curve_by_hand():
    # pairs (positive, negative): 0.9 beats both, 0.4 beats 0.1 and ties with 0.4: 3.5 of 4
    scores, positive = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert area_under_curve(scores, positive) == 3.5 / 4
    assert area_under_curve(scores, np.ones(4, bool)) is None


def test_calibration_error_by_hand():
    # bin 0.2-0.3 holds two (predicted 0.25, observed 0.5), bin 0.9-1.0 two (predicted 0.95, observed 1)
    probabilities, positive = np.array([0.2, 0.3 - 1e-9, 0.9, 1.0]), np.array([True, False, True, True])
    assert calibration_error(probabilities, positive) == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert [row["num"] for row in reliability_table(probabilities, positive)] == [2, 2]


def test_found_at_false_alarms_by_hand():
    # of 20 negatives one may be above the threshold: it is the second highest negative, 0.18
    scores = np.array([*(np.arange(20) / 100), 0.185, 0.5, 0.1])
    positive = np.array([False] * 20 + [True] * 3)
    assert found_at_false_alarms(scores, positive, false_alarm_share=0.05) == pytest.approx(2 / 3)


def test_scores_of_probabilities_by_hand():
    """Two in view are right and two wrong, one of them surer than a right one; a third wrong one is out of view."""
    right, out = np.array([0.9, 0.4, 0.6, 0.1, 0.2]), np.array([0.0, 0.0, 0.3, 0.5, 0.4])
    is_right, is_in_view = np.array([1, 1, 0, 0, 0], bool), np.array([1, 1, 1, 1, 0], bool)
    scores = probability_scores(right, out, is_right, is_in_view, false_alarm_share=0.25)
    # pairs (right, wrong): 0.9 beats all, 0.4 beats all but 0.6; out of view 0.4 beats 0, 0 and 0.3 of four
    assert (scores["auroc"], scores["auroc_in_view"]) == pytest.approx((5 / 6, 3 / 4))
    assert (scores["out_of_view_auroc"], scores["out_of_view_found"]) == (3 / 4, 1.0)
    scores = probability_scores(right, out, is_right, is_in_view, false_alarm_share=0.2)
    assert scores["out_of_view_found"] == 0.0
    scores = probability_scores(right, np.full(5, np.nan), is_right, is_in_view, false_alarm_share=0.2)
    assert scores["out_of_view_auroc"] is None and scores["out_of_view_found"] is None


def test_risk_of_the_surest_by_hand():
    # the surest half are the errors 0 to 4, their 90th percentile 3.6; of all, 8.1; one without an error is left out
    table = risk_table(np.array([*np.arange(10, 0, -1) / 10, 0.99]), np.array([*np.arange(10.0), np.nan]))
    assert [row["accepted"] for row in table] == pytest.approx(np.arange(1, 11) / 10)
    assert (table[4]["p90_mm"], table[9]["p90_mm"]) == pytest.approx((3.6, 8.1))


def test_scores_by_hand():
    judged = pd.DataFrame(
        {
            "confidence": [0.95, 0.85, 0.3, 0.1, np.nan],
            "probability_out_of_view": [0.0, 0.1, 0.2, 0.9, np.nan],
            "radius_50_mm": [2.0, 2.0, 5.0, 9.0, np.nan],
            "radius_90_mm": [4.0, 4.0, 10.0, 20.0, np.nan],
            "decision": ["found", "found", "review", "out_of_view", "failed"],
        }
    )
    scores = score_confidence(
        errors_mm=np.array([1.0, 3.0, 20.0, np.nan, np.nan]),
        is_in_view=np.array([True, True, True, False, True]),
        landmarks=pd.Series(["kidney_left_top", "kidney_right", "rib_03", "rib_04", "rib_05"]),
        judged=judged,
        settings=SETTINGS,
    )
    assert (scores["num_queries"], scores["num_out_of_view"], scores["num_right"]) == (5, 1, 2)
    assert scores["auroc"] == 1.0 and scores["out_of_view_found"] == 1.0
    assert scores["decisions"]["found"] == {"num": 2, "right": 1.0}
    assert (scores["out_of_view_called"], scores["in_view_called"]) == (1.0, 0.0)
    # errors 1 and 3 against radii 2 and 4: 1 of 2 and 2 of 2
    kidney = scores["groups"]["kidney"]
    assert (kidney["num"], kidney["right_share"]) == (2, 1.0)
    assert kidney["radius"] == {
        "50": {"covered": 0.5, "median_mm": 2.0},
        "90": {"covered": 1.0, "median_mm": 4.0},
    }
    assert scores["groups"]["rib"]["radius"]["90"]["covered"] == 0.0
    assert scores["groups"]["all"]["num"] == 3


def test_queries_without_a_view_column_are_all_in_view(tmp_path):
    path = tmp_path / "queries.csv"
    head = "query_id,template_id,target_id,landmark,query_x_mm,query_y_mm,query_z_mm,truth_x_mm,truth_y_mm,truth_z_mm"
    path.write_text(f"{head}\na,t,u,l,0,0,0,3,4,0\n", encoding="utf-8")
    queries = read_truths(path)
    answers = pd.DataFrame({"query_id": ["a"], "x_mm": [0.0], "y_mm": [0.0], "z_mm": [0.0]})
    assert errors_mm(queries, answers).tolist() == [5.0]
    path.write_text(f"{head},is_in_view\na,t,u,l,0,0,0,3,4,0,false\n", encoding="utf-8")
    assert np.isnan(errors_mm(read_truths(path), answers)).all()
