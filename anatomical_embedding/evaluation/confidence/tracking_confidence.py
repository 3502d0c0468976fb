"""How far an answer can be trusted: calibrated probabilities, fitted on one split and kept in a readable file.

Two logistic regressions on the evidence of a match: that the answer lies within 10 mm of the truth, and that the lesion
lies outside the target's field of view. A lesion out of view counts as not within 10 mm, wherever it was answered. The
threshold of `out_of_fov` and the reliability are measured on patients that the fit at hand has not seen
(cross-validation); the coefficients kept are those of all.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.confidence.features import FEATURES
from anatomical_embedding.evaluation.confidence.logistic_fit import (
    FEWEST_OF_A_CLASS,
    fit_logistic,
    unseen_probabilities,
)
from anatomical_embedding.evaluation.confidence.reliability import reliability_table
from anatomical_embedding.files import write_json
from anatomical_embedding.settings.tracking import DecisionSettings, FitConfidenceSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Decision = Literal["accept", "review", "out_of_fov"]

CORRECT_MM = 10.0
"""An answer this near to the truth is correct."""


@dataclass(frozen=True)
class LogisticModel:
    """Probability of an outcome: the logistic function of `intercept + coefficients . (features - mean) / scale`.

    Attributes
    ----------
    missing : number that stands in for an unknown feature, before standardising.
    mean, scale, coefficients : by feature.
    intercept : log odds at mean features.
    """

    missing: Mapping[str, float]
    mean: Mapping[str, float]
    scale: Mapping[str, float]
    coefficients: Mapping[str, float]
    intercept: float

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the (N,) probabilities of (N, features) numbers in the order of `FEATURES`."""
        known = np.where(np.isnan(features), _ordered(self.missing), features)
        standard = (known - _ordered(self.mean)) / _ordered(self.scale)
        return 1.0 / (1.0 + np.exp(-(self.intercept + standard @ _ordered(self.coefficients))))


@dataclass(frozen=True)
class Confidence:
    """Fitted probabilities and decisions.

    Attributes
    ----------
    within_10mm : that the answer is correct.
    out_of_view : that the lesion lies outside the target; None where the split held too few such lesions.
    out_of_view_threshold : probability from which on a lesion is called out of view; None without a model.
    accept_probability : smallest probability of a correct answer that is accepted.
    reliability : of `within_10mm` in cross-validation, see `reliability.reliability_table`.
    num_queries, num_patients, num_out_of_view : what was fitted on.
    """

    within_10mm: LogisticModel
    out_of_view: LogisticModel | None
    out_of_view_threshold: float | None
    accept_probability: float
    reliability: list[dict[str, float]]
    num_queries: int
    num_patients: int
    num_out_of_view: int

    def decide(self, probability_within: FloatArray, probability_out: FloatArray) -> list[Decision]:
        """Return what to do with each answer; NaN probabilities of being out of view decide nothing."""
        threshold = np.inf if self.out_of_view_threshold is None else self.out_of_view_threshold
        return [
            "out_of_fov" if out >= threshold else "accept" if within >= self.accept_probability else "review"
            for within, out in zip(probability_within, probability_out, strict=True)
        ]

    def probabilities(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the (N,) probabilities of being within 10 mm and of being out of view (NaN without a model)."""
        out = np.full(len(features), np.nan)
        if self.out_of_view is not None:
            out = self.out_of_view.probabilities(features)
        return self.within_10mm.probabilities(features), out


def fit_confidence(
    features: FloatArray,
    *,
    is_correct: BoolArray,
    is_in_view: BoolArray,
    patient_ids: NDArray[np.str_],
    settings: FitConfidenceSettings,
) -> Confidence:
    """Return the confidence fitted to answers whose truth is known.

    Parameters
    ----------
    features : (N, features), see `confidence_features.feature_table`.
    is_correct : (N,) whether the answer lies within 10 mm.
    is_in_view : (N,) whether the target shows the lesion.
    patient_ids : (N,) patients; those of one fold are predicted by the others.

    Raises
    ------
    UserError
        if there are too few correct or too few wrong answers to learn from, or fewer patients than folds.
    """
    if min(is_correct.sum(), (~is_correct).sum()) < FEWEST_OF_A_CLASS:
        raise UserError(
            f"{is_correct.sum()} answers are within {CORRECT_MM:g} mm and {(~is_correct).sum()} are not; a confidence "
            f"needs {FEWEST_OF_A_CLASS} of each: annotate more lesions, or set confidence to null"
        )
    num_patients = len(np.unique(patient_ids))
    if num_patients < settings.num_folds:
        raise UserError(
            f"confidence.num_folds is {settings.num_folds}, but the split has {num_patients} patients; ask for fewer"
        )
    of_unseen_patients = partial(
        unseen_probabilities,
        features,
        groups=patient_ids,
        num_folds=settings.num_folds,
        regularisation=settings.regularisation,
    )
    within = of_unseen_patients(is_correct)
    out_of_view, threshold = None, None
    if np.sum(~is_in_view) >= FEWEST_OF_A_CLASS:
        out_of_view = _fit(features, ~is_in_view, regularisation=settings.regularisation)
        unseen = of_unseen_patients(~is_in_view)
        threshold = threshold_of_false_alarms(unseen[is_in_view], decision=settings.decision)
    return Confidence(
        within_10mm=_fit(features, is_correct, regularisation=settings.regularisation),
        out_of_view=out_of_view,
        out_of_view_threshold=threshold,
        accept_probability=settings.decision.accept_probability,
        reliability=reliability_table(within, is_correct),
        num_queries=len(features),
        num_patients=num_patients,
        num_out_of_view=int(np.sum(~is_in_view)),
    )


def threshold_of_false_alarms(probabilities_in_view: FloatArray, *, decision: DecisionSettings) -> float:
    """Return the smallest threshold that at most the allowed share of the lesions in view reaches."""
    allowed = int(decision.false_alarm_share * len(probabilities_in_view))
    highest = np.sort(probabilities_in_view)[::-1]
    return float(np.nextafter(highest[allowed], np.inf))


def write_confidence(confidence: Confidence, path: Path | str) -> None:
    """Write the confidence as readable JSON."""
    write_json(path, asdict(confidence))


def read_confidence(path: Path | str) -> Confidence:
    """Return the confidence in a file.

    Raises
    ------
    InputFileError
        if the file is not one that `write_confidence` wrote.
    """
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        out_of_view = content.pop("out_of_view")
        return Confidence(
            within_10mm=_read_model(content.pop("within_10mm")),
            out_of_view=None if out_of_view is None else _read_model(out_of_view),
            **content,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(path, f"is not a confidence file ({error!r}); fit it again") from error


def _read_model(content: dict[str, Any]) -> LogisticModel:
    model = LogisticModel(**content)
    for numbers in (model.missing, model.mean, model.scale, model.coefficients):
        _ordered(numbers)
    return model


def _ordered(numbers: Mapping[str, float]) -> FloatArray:
    return np.array([numbers[name] for name in FEATURES], dtype=np.float64)


def _fit(features: FloatArray, outcome: BoolArray, *, regularisation: float) -> LogisticModel:
    fitted = fit_logistic(features, outcome, regularisation=regularisation)
    return LogisticModel(
        missing=_named(fitted["median"].statistics_),
        mean=_named(fitted["standard"].mean_),
        scale=_named(fitted["standard"].scale_),
        coefficients=_named(fitted["regression"].coef_[0]),
        intercept=float(fitted["regression"].intercept_[0]),
    )


def _named(numbers: FloatArray) -> dict[str, float]:
    return dict(zip(FEATURES, map(float, numbers), strict=True))
