"""Scores of a confidence on answers that it was not fitted on."""

import re
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.evaluation.confidence.reliability import probability_scores, risk_table
from anatomical_embedding.matching.decision import RADII, Decision
from anatomical_embedding.settings.confidence import FitSettings

PART_OF_ORGAN = re.compile(r"(_(centroid|top|bottom|left|right|front|back|\d+))+$")


def organ_group(landmark: str) -> str:
    """Return the organ that a landmark belongs to, both sides and all its points together.

    Examples
    --------
    >>> organ_group("parotid_left_top"), organ_group("lesion"), organ_group("rib_left_03")
    ('parotid', 'lesion', 'rib')
    """
    return PART_OF_ORGAN.sub("", landmark)


def score_confidence(
    *,
    errors_mm: NDArray[np.float64],
    is_in_view: NDArray[np.bool_],
    landmarks: pd.Series,
    judged: pd.DataFrame,
    settings: FitSettings,
) -> dict[str, Any]:
    """Return how good probabilities, radii and decisions are.

    Parameters
    ----------
    errors_mm : (N,) distance of answer and truth; NaN if failed or out of view.
    is_in_view : (N,) whether the target shows the place.
    landmarks : (N,) what was asked for.
    judged : N rows in the same order, see `known_answers.judge_answers`.
    settings : what is right, and the share of false alarms at which places out of view are counted.

    Returns
    -------
    `num_queries`, `num_out_of_view`, `num_right`; `reliability.probability_scores`; `risk`, see
    `reliability.risk_table`; what the fitted threshold does: `out_of_view_called`, `in_view_called`; `radius`,
    `right_share` and `num` by `groups` of landmarks and over `all`; for every decision its number and its share of
    right answers. A value that does not exist is None.
    """
    is_right = errors_mm <= settings.within_mm
    decision = judged["decision"].to_numpy()
    is_called = decision == "out_of_view"
    scores = {
        "num_queries": len(judged),
        "num_out_of_view": int((~is_in_view).sum()),
        "num_right": int(is_right.sum()),
        "within_mm": settings.within_mm,
        "false_alarm_share": settings.false_alarm_share,
        "out_of_view_called": _share(is_called[~is_in_view]),
        "in_view_called": _share(is_called[is_in_view]),
        "decisions": {
            name: {"num": int(np.sum(decision == name)), "right": _share(is_right[decision == name])}
            for name in get_args(Decision)
        },
    }
    is_known = np.isfinite(judged["confidence"].to_numpy(dtype=np.float64))
    groups = {"all": np.ones(len(judged), dtype=bool)}
    names = landmarks.map(organ_group).to_numpy()
    groups |= {name: names == name for name in sorted(set(names))}
    return (
        scores
        | probability_scores(
            judged["confidence"].to_numpy(dtype=np.float64)[is_known],
            judged["probability_out_of_view"].to_numpy(dtype=np.float64)[is_known],
            is_right[is_known],
            is_in_view[is_known],
            false_alarm_share=settings.false_alarm_share,
        )
        | {"risk": risk_table(judged["confidence"].to_numpy()[is_known], errors_mm[is_known])}
        | {
            "groups": {
                name: _covered(judged[rows & is_known], errors_mm[rows & is_known], is_right[rows & is_known])
                for name, rows in groups.items()
            }
        }
    )


def _covered(
    judged: pd.DataFrame, errors_mm: NDArray[np.float64], is_right: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return how often true places in view lie within the radii, and how wide these are."""
    has_truth = np.isfinite(errors_mm)
    radii = {level: judged[f"radius_{level}_mm"].to_numpy()[has_truth] for level in RADII}
    return {
        "num": int(has_truth.sum()),
        "right_share": _share(is_right[has_truth]),
        "radius": {
            level: {
                "covered": _share(errors_mm[has_truth] <= radius_mm),
                "median_mm": float(np.median(radius_mm)) if len(radius_mm) else None,
            }
            for level, radius_mm in radii.items()
        },
    }


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None
