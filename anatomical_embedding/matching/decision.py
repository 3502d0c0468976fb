"""The one judgement of an answer: found, for review, out of view or failed; unknown without a fitted confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.confidence import Confidence, feature_table
from anatomical_embedding.settings.confidence import DecisionSettings

Decision = Literal["found", "review", "out_of_view", "failed", "unknown"]
OUTSIDE_BODY = "the point lies outside the body"
NOT_FITTED = "the model holds no confidence for this way of matching"
OUT_OF_VIEW = "the place likely lies outside the scan"
RADII = ("50", "90")
"""Percent of the true places within the radii that every output tells."""


@dataclass(frozen=True)
class Judgement:
    """What is thought of a list of answers, in its order.

    Attributes
    ----------
    decision : (N,) found, review, out_of_view, failed or unknown.
    reason : (N,) why it is not found; empty where it is.
    unlike : (N,) what speaks for it that the confidence was not fitted to; empty where nothing, or nothing is known.
    probability : (N,) that the answer is right; NaN where there is none, or nothing is known.
    probability_out_of_view : (N,) that the place lies outside the target, likewise.
    radius_50_mm, radius_90_mm : (N,) distance within which the true place lies in so many of a hundred cases, if it
        lies in the target at all.
    """

    decision: tuple[Decision, ...]
    reason: tuple[str, ...]
    unlike: tuple[str, ...]
    probability: NDArray[np.float64]
    probability_out_of_view: NDArray[np.float64]
    radius_50_mm: NDArray[np.float64]
    radius_90_mm: NDArray[np.float64]


def judgement_words(
    decision: str, probability: float | str | None, radius_50_mm: float | None, radius_90_mm: float | None
) -> str:
    """Return a judgement for people, as lists of points show it.

    Examples
    --------
    >>> judgement_words("found", 0.925, 3.14, 8.05), judgement_words("unknown", "unknown", None, None)
    ('found, 92 % sure, 50 % within 3.1 mm, 90 % within 8.1 mm', 'unknown')
    """
    if not isinstance(probability, float) or radius_50_mm is None or radius_90_mm is None:
        return decision
    if np.isnan(probability):
        return decision
    return (
        f"{decision}, {100 * probability:.0f} % sure, 50 % within {radius_50_mm:.1f} mm, "
        f"90 % within {radius_90_mm:.1f} mm"
    )


def judge(
    confidence: Confidence | None,
    evidence: Mapping[str, ArrayLike] | None,
    *,
    failures: Sequence[str],
    is_in_body: NDArray[np.bool_],
    settings: DecisionSettings,
) -> Judgement:
    """Return what is thought of N answers.

    Parameters
    ----------
    confidence : of the model and way of matching that answered; None where nothing was fitted: then the answers are
        `unknown`.
    evidence : feature -> (N,) as measured, see `confidence.FEATURES`; None without a confidence.
    failures : (N,) why there is no match; empty where there is one.
    is_in_body : (N,) whether the point asked for lies in the body: nothing was learned from points in the air, which
        look alike everywhere.
    settings : when an answer is believed.
    """
    num_answers = len(failures)
    right, out, *radii = np.full((2 + len(RADII), num_answers), np.nan)
    unlike = ("",) * num_answers
    if confidence is not None and evidence is not None:
        is_judged = is_in_body & np.array([not reason for reason in failures], dtype=bool)
        features = feature_table(evidence)
        fitted = confidence.radii_mm(features)
        right, out, *radii = (
            np.where(is_judged, values, np.nan)
            for values in (*confidence.probabilities(features), *(fitted[level] for level in RADII))
        )
        unlike = confidence.unlike(features, tolerance=settings.range_tolerance)
    decided = [
        _decide(
            confidence,
            failures[row],
            right[row],
            out[row],
            is_in_body=bool(is_in_body[row]),
            unlike=unlike[row],
            settings=settings,
        )
        for row in range(num_answers)
    ]
    return Judgement(
        tuple(decision for decision, _ in decided),
        tuple(reason for _, reason in decided),
        unlike,
        right,
        out,
        *radii,
    )


def _decide(
    confidence: Confidence | None,
    failure: str,
    right: float,
    out: float,
    *,
    is_in_body: bool,
    unlike: str,
    settings: DecisionSettings,
) -> tuple[Decision, str]:
    if failure:
        return "failed", failure
    if not is_in_body:
        return "review", OUTSIDE_BODY
    if confidence is None:
        return "unknown", NOT_FITTED
    threshold = confidence.out_of_view_threshold
    if threshold is not None and out >= threshold:
        return "out_of_view", OUT_OF_VIEW
    is_unsure = right < settings.found_probability
    unsure = f"{100 * right:.0f} % sure to lie within {confidence.within_mm:g} mm" if is_unsure else ""
    reason = unlike or unsure
    return ("review", reason) if reason else ("found", "")
