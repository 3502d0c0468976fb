"""How likely a user's answer is right, learned from the answers of an evaluation.

Similarity and cycle error are what every answer has. A logistic regression weighs them; how well it does is measured on
target volumes that the fit at hand has not seen.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.evaluation.confidence.tracking_confidence import CORRECT_MM, FEWEST_OF_A_CLASS
from anatomical_embedding.model_card import AnswerConfidence

MOST_FOLDS = 5
FEWEST_TARGETS = 2

FloatArray = NDArray[np.float64]


def fit_answer_confidence(answers: pd.DataFrame, *, evaluations: Sequence[str]) -> AnswerConfidence | None:
    """Return the confidence fitted to answers; None where too few are right or wrong, or all lie in one volume.

    Parameters
    ----------
    answers : similarity, cycle_error_mm, error_mm and target_id; rows without a number are left out.
    evaluations : names of where they come from.
    """
    known = answers[np.isfinite(answers[["similarity", "cycle_error_mm", "error_mm"]]).all(axis=1)]
    is_right = (known["error_mm"] <= CORRECT_MM).to_numpy()
    targets = known["target_id"].to_numpy()
    num_targets = len(np.unique(targets))
    if min(is_right.sum(), (~is_right).sum()) < FEWEST_OF_A_CLASS or num_targets < FEWEST_TARGETS:
        return None
    features = np.column_stack([known["similarity"], np.log1p(known["cycle_error_mm"])])
    unseen = np.full(len(known), is_right.mean())
    for train, left_out in GroupKFold(min(MOST_FOLDS, num_targets)).split(features, is_right, targets):
        if len(np.unique(is_right[train])) > 1:
            intercept, slopes = _fit(features[train], is_right[train])
            unseen[left_out] = 1.0 / (1.0 + np.exp(-(intercept + features[left_out] @ slopes)))
    intercept, slopes = _fit(features, is_right)
    ranked = area_under_curve(unseen, is_right)
    return AnswerConfidence(
        within_mm=CORRECT_MM,
        intercept=intercept,
        per_similarity=float(slopes[0]),
        per_log_cycle=float(slopes[1]),
        evaluations=tuple(sorted(evaluations)),
        num_answers=len(known),
        num_targets=num_targets,
        share_right=float(is_right.mean()),
        calibration_error=calibration_error(unseen, is_right),
        area_under_curve=0.5 if ranked is None else ranked,
    )


def _fit(features: FloatArray, is_right: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Return intercept and slopes; standardised for the fit, so that its weak ridge draws both alike."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    fitted = LogisticRegression(max_iter=1000).fit((features - mean) / scale, is_right)
    slopes = fitted.coef_[0] / scale
    return float(fitted.intercept_[0] - slopes @ mean), slopes
