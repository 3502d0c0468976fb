"""How likely a user's answer is right, learned from the answers of an evaluation.

Similarity and cycle error are what every answer has. A logistic regression weighs them; how well it does is measured on
target volumes that the fit at hand has not seen.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.confidence.logistic_fit import (
    FEWEST_OF_A_CLASS,
    fit_logistic,
    unseen_probabilities,
)
from anatomical_embedding.evaluation.confidence.reliability import area_under_curve, calibration_error
from anatomical_embedding.evaluation.confidence.tracking_confidence import CORRECT_MM
from anatomical_embedding.model_card import AnswerConfidence

MOST_FOLDS = 5
FEWEST_TARGETS = 2
REGULARISATION = 1.0
"""Weight of the squared coefficients: a weak ridge on standardised features."""


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
    unseen = unseen_probabilities(
        features,
        is_right,
        groups=targets,
        num_folds=min(MOST_FOLDS, num_targets),
        regularisation=REGULARISATION,
    )
    fitted = fit_logistic(features, is_right, regularisation=REGULARISATION)
    slopes = fitted["regression"].coef_[0] / fitted["standard"].scale_
    intercept = float(fitted["regression"].intercept_[0] - slopes @ fitted["standard"].mean_)
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
