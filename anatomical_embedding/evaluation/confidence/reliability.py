"""How good probabilities are: whether they rank, and whether they are as often right as they say.

Sources: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (2015), for the
expected calibration error; Hanley and McNeil (1982) for the area under the curve as a rank statistic.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NUM_BINS = 10


def area_under_curve(scores: FloatArray, is_positive: BoolArray) -> float | None:
    """Return how often a positive has a higher score than a negative, ties half; None if one of the two is absent."""
    if is_positive.all() or not is_positive.any():
        return None
    return float(roc_auc_score(is_positive, scores))


def reliability_table(probabilities: FloatArray, is_positive: BoolArray) -> list[dict[str, float]]:
    """Return `low`, `high`, `num`, mean `predicted` and `observed` share of each of ten equal bins with members."""
    bin_of = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    return [
        {
            "low": number / NUM_BINS,
            "high": (number + 1) / NUM_BINS,
            "num": int(np.sum(bin_of == number)),
            "predicted": float(probabilities[bin_of == number].mean()),
            "observed": float(is_positive[bin_of == number].mean()),
        }
        for number in np.unique(bin_of)
    ]


def calibration_error(probabilities: FloatArray, is_positive: BoolArray) -> float:
    """Return the expected calibration error: mean distance of predicted and observed shares over ten equal bins."""
    table = reliability_table(probabilities, is_positive)
    return sum(row["num"] * abs(row["predicted"] - row["observed"]) for row in table) / len(probabilities)


def found_at_false_alarms(
    scores: FloatArray, is_positive: BoolArray, *, false_alarm_share: float
) -> float | None:
    """Return the share of positives above the threshold that at most that share of the negatives reaches.

    None if positives or negatives are absent.
    """
    if is_positive.all() or not is_positive.any():
        return None
    false_alarms, found, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    return float(found[false_alarms <= false_alarm_share].max())


def probability_scores(
    right: FloatArray,
    out_of_view: FloatArray,
    is_right: BoolArray,
    is_in_view: BoolArray,
    *,
    false_alarm_share: float,
) -> dict[str, Any]:
    """Return how good (N,) probabilities of a right answer, and of a place out of view, are.

    `auroc`, `calibration_error` and `reliability` are of the former, `auroc_in_view` over the places in view alone;
    `out_of_view_auroc` and `out_of_view_found`, at this share of false alarms, are of the latter, NaN where nothing was
    fitted. A value that does not exist is None.
    """
    knows_out = len(out_of_view) > 0 and not np.isnan(out_of_view).any()
    return {
        "auroc": area_under_curve(right, is_right),
        "auroc_in_view": area_under_curve(right[is_in_view], is_right[is_in_view]),
        "calibration_error": calibration_error(right, is_right) if len(right) else None,
        "reliability": reliability_table(right, is_right),
        "out_of_view_auroc": area_under_curve(out_of_view, ~is_in_view) if knows_out else None,
        "out_of_view_found": found_at_false_alarms(
            out_of_view, ~is_in_view, false_alarm_share=false_alarm_share
        )
        if knows_out
        else None,
    }


def risk_table(probabilities: FloatArray, errors_mm: FloatArray) -> list[dict[str, float]]:
    """Return, for the surest tenth, two tenths and so on of the answers, their `accepted` share and `p90_mm`.

    Answers without an error, because their place is out of view, are left out.
    """
    has_truth = np.isfinite(errors_mm)
    surest_first = np.argsort(-probabilities[has_truth], kind="stable")
    ordered = errors_mm[has_truth][surest_first]
    counts = [
        (tenth / NUM_BINS, int(np.ceil(tenth * len(ordered) / NUM_BINS))) for tenth in range(1, NUM_BINS + 1)
    ]
    return [
        {"accepted": share, "p90_mm": float(np.percentile(ordered[:count], 90))}
        for share, count in counts
        if count
    ]
