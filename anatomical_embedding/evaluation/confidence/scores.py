"""Scores of a confidence on answers that it was not fitted on."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.evaluation.confidence.reliability import (
    area_under_curve,
    calibration_error,
    found_at_false_alarms,
    reliability_table,
)
from anatomical_embedding.evaluation.confidence.tracked_answers import are_correct
from anatomical_embedding.settings.tracking import DecisionSettings


def score_confidence(
    *,
    errors_mm: NDArray[np.float64],
    is_in_view: NDArray[np.bool_],
    judged: pd.DataFrame,
    settings: DecisionSettings,
) -> dict[str, Any]:
    """Return how good probabilities and decisions are.

    Parameters
    ----------
    errors_mm : (N,) distance of answer and truth; NaN if failed or out of view.
    is_in_view : (N,) whether the target shows the lesion.
    judged : N rows in the same order, with probabilities and decisions.
    settings : the share of false alarms at which lesions out of view are counted.

    Returns
    -------
    `num_queries`, `num_out_of_view`, `num_correct`; for the probability of a correct answer `auroc`,
    `calibration_error` and `reliability`; `auroc_in_view` over the lesions in view alone; for lesions out of view
    `out_of_view_auroc` and `out_of_view_found` at `false_alarm_share`, and what the fitted threshold does:
    `out_of_view_called`, `in_view_called`; for every decision its number and its share of correct answers. A value
    that does not exist is None.
    """
    is_correct = are_correct(errors_mm)
    within = judged["probability_within_10mm"].to_numpy(dtype=np.float64)
    out = judged["probability_out_of_view"].to_numpy(dtype=np.float64)
    decision = judged["decision"].to_numpy()
    is_called = decision == "out_of_fov"
    knows_out = not np.isnan(out).any()
    return {
        "num_queries": len(judged),
        "num_out_of_view": int((~is_in_view).sum()),
        "num_correct": int(is_correct.sum()),
        "auroc": area_under_curve(within, is_correct),
        "auroc_in_view": area_under_curve(within[is_in_view], is_correct[is_in_view]),
        "calibration_error": calibration_error(within, is_correct),
        "reliability": reliability_table(within, is_correct),
        "false_alarm_share": settings.false_alarm_share,
        "out_of_view_auroc": area_under_curve(out, ~is_in_view) if knows_out else None,
        "out_of_view_found": found_at_false_alarms(
            out, ~is_in_view, false_alarm_share=settings.false_alarm_share
        )
        if knows_out
        else None,
        "out_of_view_called": _share(is_called[~is_in_view]),
        "in_view_called": _share(is_called[is_in_view]),
        "decisions": {
            name: {"num": int(np.sum(decision == name)), "correct": _share(is_correct[decision == name])}
            for name in ("accept", "review", "out_of_fov")
        },
    }


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None
