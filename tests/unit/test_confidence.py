"""Calibrated probabilities: their scores by hand, the fit, its file, and the affine map behind the evidence."""

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.confidence.features import FEATURES
from anatomical_embedding.evaluation.confidence.reliability import (
    area_under_curve,
    calibration_error,
    found_at_false_alarms,
    reliability_table,
)
from anatomical_embedding.evaluation.confidence.tracking_confidence import (
    fit_confidence,
    read_confidence,
    write_confidence,
)
from anatomical_embedding.matching.local_affine import predict_by_neighbours, weighted_median
from anatomical_embedding.settings.tracking import DecisionSettings, FitConfidenceSettings

SETTINGS = FitConfidenceSettings(
    regularisation=1,
    num_folds=4,
    decision=DecisionSettings(accept_probability=0.8, false_alarm_share=0.05),
)


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


def drawn(seed, num):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(num, len(FEATURES)))
    odds = 1.5 * features[:, 0] - 2.0 * features[:, 3]
    is_correct = generator.random(num) < 1 / (1 + np.exp(-odds))
    is_in_view = features[:, 6] > -1.5
    patients = generator.integers(0, 20, num).astype(str)
    return features, is_correct & is_in_view, is_in_view, patients


def test_fit_is_calibrated_on_fresh_draws_and_survives_its_file(tmp_path):
    features, is_correct, is_in_view, patients = drawn(1, 1500)
    fitted = fit_confidence(
        features, is_correct=is_correct, is_in_view=is_in_view, patient_ids=patients, settings=SETTINGS
    )
    write_confidence(fitted, tmp_path / "confidence.json")
    confidence = read_confidence(tmp_path / "confidence.json")
    assert confidence == fitted
    fresh, fresh_correct, fresh_in_view, _ = drawn(2, 4000)
    within, out = confidence.probabilities(fresh)
    assert calibration_error(within, fresh_correct) < 0.05
    assert area_under_curve(out, ~fresh_in_view) > 0.95
    called = np.array(confidence.decide(within, out)) == "out_of_fov"
    assert called[fresh_in_view].mean() < 0.08
    assert called[~fresh_in_view].mean() > 0.9


def test_unknown_features_take_the_median():
    features, is_correct, is_in_view, patients = drawn(1, 300)
    features[::7, 2] = np.nan
    confidence = fit_confidence(
        features, is_correct=is_correct, is_in_view=is_in_view, patient_ids=patients, settings=SETTINGS
    )
    filled = np.where(np.isnan(features), np.nanmedian(features[:, 2]), features)
    np.testing.assert_allclose(confidence.probabilities(features)[0], confidence.probabilities(filled)[0])


def test_too_few_wrong_answers_are_refused():
    features, _, is_in_view, patients = drawn(1, 50)
    with pytest.raises(UserError, match="needs 3 of each"):
        fit_confidence(
            features,
            is_correct=np.ones(50, bool),
            is_in_view=is_in_view,
            patient_ids=patients,
            settings=SETTINGS,
        )


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputFileError, match="not a confidence file"):
        read_confidence(tmp_path / "a.json")


def test_weighted_median_by_hand():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([5.0, 1.0, 1.0])) == 3.0


def test_rigid_motion_is_recovered_among_wrong_correspondences():
    generator = np.random.default_rng(3)
    source = generator.uniform(-150, 150, (200, 3))
    angle = np.radians(6)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    target = source @ turn.T + [20.0, -5.0, 80.0]
    target[:40] += generator.uniform(-100, 100, (40, 3))
    point = np.array([10.0, 20.0, 30.0])
    predicted = predict_by_neighbours(point, source, target, reach_mm=150)
    np.testing.assert_allclose(predicted.point_mm, turn @ point + [20.0, -5.0, 80.0], atol=1.0)


def test_too_few_correspondences_predict_nothing():
    assert np.isnan(predict_by_neighbours(np.zeros(3), np.eye(3), np.eye(3), reach_mm=50).point_mm).all()
