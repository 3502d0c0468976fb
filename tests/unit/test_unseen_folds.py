"""Standard errors over patients of figures of pairs: by hand."""

import numpy as np
import pytest

from anatomical_embedding.confidence import FEATURES
from anatomical_embedding.evaluation.confidence.known_answers import KnownAnswers
from benchmarks.unseen_folds import Told, jackknife_covariance


def test_the_jackknife_of_a_mean_is_its_standard_error():
    # without one of 1, 2, 6: means 4, 3.5, 1.5; the variance of 1, 2, 6 is 7, of their mean 7 / 3
    assert jackknife_covariance(np.array([[4.0], [3.5], [1.5]]))[0, 0] == pytest.approx(7 / 3)


def test_a_patient_is_left_out_as_target_and_as_template():
    """Three patients, all ordered pairs; only answers between the first two are right and covered."""
    targets, templates = np.array(list("aabbcc")), np.array(list("bcacab"))
    errors_mm = np.where((targets == "c") | (templates == "c"), 30.0, 5.0)
    organs, source = np.full(6, "larynx_top"), np.full(6, "x")
    features = np.zeros((6, len(FEATURES)))
    answers = KnownAnswers(features, errors_mm, np.ones(6, bool), targets, templates, organs, source)
    told = Told(answers, probability=np.full(6, 0.5), radius_mm=np.full(6, 8.0))
    figures = told.figures(np.ones(6, bool), within_mm=10.0)
    assert (figures["right"], figures["90 % radius, larynx"]) == pytest.approx((1 / 3, 1 / 3))
    assert figures["told less right"] == pytest.approx(1 / 6)
    place = list(figures).index("right")
    assert told.without_each(within_mm=10.0)[:, place].tolist() == [0.0, 0.0, 1.0]
