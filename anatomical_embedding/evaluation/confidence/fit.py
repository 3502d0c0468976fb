"""The fit of a confidence: probabilities by logistic regression, radii by conformal quantile regression.

Everything is linear in standardised features, so that the fit is a page of numbers. The threshold of `out_of_view` and
what the radii are widened by come from patients that the fit at hand has not seen (cross-validation); the coefficients
kept are those of all. A place out of view has no right answer and no radius, wherever it was answered.

Weights of being right are learned from several cuts of the error at once (proportional odds; McCullagh, "Regression
models for ordinal data", 1980): whether an answer is within 5, 7, 14 or 20 mm says much of what decides about 10.

Source of the radii: Romano, Patterson and Candès, "Conformalized quantile regression" (2019), with the scores of
unseen folds instead of one part set aside (Vovk, "Cross-conformal predictors", 2015).
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, QuantileRegressor
from sklearn.model_selection import GroupKFold

from anatomical_embedding.confidence import (
    FEATURES,
    OF_THE_SCAN_ALONE,
    SCAN_FEATURES,
    Confidence,
    ConfidenceFile,
    FeatureRange,
    Line,
)
from anatomical_embedding.evaluation.confidence.known_answers import KnownAnswers
from anatomical_embedding.evaluation.confidence.reliability import probability_scores
from anatomical_embedding.settings.confidence import FitSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

FEWEST_OF_A_CLASS = 3
"""Fewer examples of either outcome cannot be fitted."""
FEWEST_PATIENTS = 2
MOST_FOR_RADII = 2000
"""Of more answers every second, third and so on gives the line of a radius: the linear program grows too slow for all.
All of them widen it."""
ONE_NUMBER_SHARE = 1e-6
"""Numbers that differ by less, as a share of the largest, are one that was rounded: tables hold six decimals."""
CUTS = 2.0 ** np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
"""Times `within_mm`: cuts of the error that share the weights of being right, each with a constant of its own."""
FREE = 100.0
"""Size of the columns of these constants: the penalty hardly weighs what is this large."""
RADIUS_LEVELS = {"50": 0.5, "90": 0.9}
"""Percent of the true places within a radius."""


def fit_confidence(answers: KnownAnswers, *, settings: FitSettings) -> ConfidenceFile:
    """Return the confidence fitted to answers whose truth is known, or why there is none.

    Parameters
    ----------
    answers : of patients that neither training nor scoring sees; their order does not matter.
    settings : what is right, the penalty, the folds and the false alarms.
    """
    answers = answers.sorted()
    is_right = answers.errors_mm <= settings.within_mm
    num_patients = len(np.unique(answers.patient_ids))
    num_wrong = int(np.sum(answers.is_in_view & ~is_right))
    if min(is_right.sum(), num_wrong) < FEWEST_OF_A_CLASS:
        return ConfidenceFile(
            confidence=None,
            reason=f"{is_right.sum()} answers are within {settings.within_mm:g} mm and {num_wrong} are not; a "
            f"confidence needs {FEWEST_OF_A_CLASS} of each",
        )
    if num_patients < FEWEST_PATIENTS:
        return ConfidenceFile(
            confidence=None, reason="all answers lie in one patient; a confidence needs two"
        )
    lines = _fit_lines(answers, settings=settings)
    right, out_of_view, log_radius = _unseen(answers, settings=settings)
    logs = np.log1p(answers.errors_mm[answers.is_in_view])
    radius = {
        level: _widened(line, logs - log_radius[level][answers.is_in_view], share=RADIUS_LEVELS[level])
        for level, line in lines.radius.items()
    }
    threshold = None
    if lines.out_of_view is not None:
        out_of_view = np.nan_to_num(out_of_view)  # a fit to few of the answers may lack it
        threshold = threshold_of_false_alarms(
            out_of_view[answers.is_in_view], share=settings.false_alarm_share
        )
    known = {
        "radius": radius,
        "out_of_view_threshold": threshold,
        "sources": tuple(np.unique(answers.sources).tolist()),
        "unseen": probability_scores(
            right,
            out_of_view,
            is_right,
            answers.is_in_view,
            false_alarm_share=settings.false_alarm_share,
        ),
    }
    return ConfidenceFile(confidence=lines.model_copy(update=known), reason="")


def threshold_of_false_alarms(probabilities_in_view: FloatArray, *, share: float) -> float:
    """Return the smallest threshold that at most a share of the places in view reaches."""
    allowed = int(share * len(probabilities_in_view))
    highest = np.sort(probabilities_in_view)[::-1]
    return float(np.nextafter(highest[allowed], np.inf))


def conformal_quantile(scores: FloatArray, *, share: float) -> float:
    """Return the score below which a new one lies with this probability: the ceil((n + 1) share)-th smallest.

    With too few scores for that, it is the largest.
    """
    rank = int(np.ceil((len(scores) + 1) * share))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def _widened(line: Line, scores: FloatArray, *, share: float) -> Line:
    return line.model_copy(update={"intercept": line.intercept + conformal_quantile(scores, share=share)})


def _unseen(
    answers: KnownAnswers, *, settings: FitSettings
) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    """Return what fits to the other patients say of each answer: right, out of view, and level -> log(1 + radius)."""
    num_answers = len(answers.errors_mm)
    right, out = np.full((2, num_answers), np.nan)
    radius = {level: np.full(num_answers, np.nan) for level in RADIUS_LEVELS}
    for others, rest in _parts(answers, num_folds=settings.num_folds):
        fitted = _fit_lines(answers.part(others), settings=settings)
        right[rest], out[rest] = fitted.probabilities(answers.features[rest])
        for level, radii_mm in fitted.radii_mm(answers.features[rest]).items():
            radius[level][rest] = np.log1p(radii_mm)
    return right, out, radius


def _parts(answers: KnownAnswers, *, num_folds: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield rows to fit to, and rows whose target and template are both of patients that those hold no scan of.

    Every answer is in one of the latter, and those to fit to hold others of its evaluation or tracking: lesions
    followed in one patient tell little of organs found in another. Where without both patients none is left, as
    between two patients, answers are told by those of other landmarks: one landmark there and back is nearly one
    answer.
    """
    targets, templates, landmarks = answers.patient_ids, answers.template_patient_ids, answers.landmarks
    sources = np.array([name.partition("/")[0] for name in answers.sources])
    fold_of = {patient: index % num_folds for index, patient in enumerate(np.unique(templates))}
    num_target_folds = min(num_folds, len(np.unique(targets)))
    for fold, (_, rows) in enumerate(GroupKFold(num_target_folds).split(targets, groups=targets)):
        fold_of |= dict.fromkeys(targets[rows], fold)
    of_target, of_template = (np.array([fold_of[name] for name in names]) for names in (targets, templates))
    lower, higher = np.minimum(of_target, of_template), np.maximum(of_target, of_template)
    for pair in combinations_with_replacement(range(max(fold_of.values()) + 1), 2):
        is_rest = (lower == pair[0]) & (higher == pair[1])
        is_other = ~np.isin(of_target, pair) & ~np.isin(of_template, pair)
        is_judged = is_rest & np.isin(sources, sources[is_other])
        if is_judged.any():
            yield np.flatnonzero(is_other), np.flatnonzero(is_judged)
        for source in np.unique(sources[is_rest & ~is_judged]):
            is_of_source = sources == source
            places = landmarks if len(np.unique(landmarks[is_of_source])) > 1 else targets
            names = np.unique(places[is_of_source])
            for part in (names[first::num_folds] for first in range(min(num_folds, len(names)))):
                is_part = is_of_source & np.isin(places, part)
                if (is_rest & is_part).any():
                    yield np.flatnonzero(~is_part), np.flatnonzero(is_rest & is_part)


def _fit_lines(answers: KnownAnswers, *, settings: FitSettings) -> Confidence:
    """Return a confidence that does not know yet how good it is."""
    ranges = {name: _range(column) for name, column in zip(FEATURES, answers.features.T, strict=True)}
    unknown, mean, scale = np.array([(seen.unknown, seen.mean, seen.scale) for seen in ranges.values()]).T
    standard = (np.where(np.isnan(answers.features), unknown, answers.features) - mean) / scale
    standard[:, [name in OF_THE_SCAN_ALONE for name in FEATURES]] = 0.0
    num_patients = len(np.unique(answers.patient_ids))
    strength = settings.regularisation / num_patients
    out_of_view = None
    if np.sum(~answers.is_in_view) >= FEWEST_OF_A_CLASS:
        without_scans = np.where([name in SCAN_FEATURES for name in FEATURES], 0.0, standard)
        out_of_view = _logistic(without_scans, ~answers.is_in_view, regularisation=strength)
    in_view = standard[answers.is_in_view]
    logs = np.log1p(answers.errors_mm[answers.is_in_view])
    return Confidence(
        within_mm=settings.within_mm,
        features=ranges,
        right=_within(
            in_view,
            answers.errors_mm[answers.is_in_view],
            within_mm=settings.within_mm,
            regularisation=strength,
        ),
        out_of_view=out_of_view,
        out_of_view_threshold=None,
        radius={
            level: _quantile(in_view, logs, share=share, regularisation=strength)
            for level, share in RADIUS_LEVELS.items()
        },
        sources=(),
        num_answers=len(answers.features),
        num_patients=num_patients,
        num_out_of_view=int(np.sum(~answers.is_in_view)),
        unseen={},
    )


def _range(column: FloatArray) -> FeatureRange:
    """Return what a feature was where it was measured."""
    measured = column[~np.isnan(column)]
    if not len(measured):
        return FeatureRange(unknown=0.0, mean=0.0, scale=1.0, lowest=None, highest=None)
    is_one_number = np.ptp(measured) <= ONE_NUMBER_SHARE * np.abs(measured).max()
    return FeatureRange(
        unknown=float(np.median(measured)),
        mean=float(measured.mean()),
        scale=1.0 if is_one_number else float(measured.std()),
        lowest=float(measured.min()),
        highest=float(measured.max()),
    )


def _within(standard: FloatArray, errors_mm: FloatArray, *, within_mm: float, regularisation: float) -> Line:
    """Return log odds that an error is within this, by weights that serve all cuts around it.

    The cuts of one answer tell less than as many answers would, and more than one: they count as the root of their
    number.
    """
    is_right = errors_mm <= within_mm
    if is_right.all() or not is_right.any():
        return _logistic(standard, is_right, regularisation=regularisation)
    num_cuts = len(CUTS)
    constants = FREE * np.repeat(np.eye(num_cuts), len(errors_mm), axis=0)
    fitted = LogisticRegression(
        C=1.0 / (regularisation * num_cuts**0.5), fit_intercept=False, solver="newton-cholesky"
    ).fit(
        np.column_stack([np.tile(standard, (num_cuts, 1)), constants]),
        (errors_mm <= within_mm * CUTS[:, np.newaxis]).ravel(),
    )
    weights, of_cuts = np.split(fitted.coef_[0], [standard.shape[1]])
    return _line(FREE * of_cuts[CUTS == 1.0].item(), weights)


def _logistic(standard: FloatArray, outcome: BoolArray, *, regularisation: float) -> Line:
    """Return log odds; where the examples are all of one outcome, those of one more example of either."""
    if outcome.all() or not outcome.any():
        odds = (outcome.sum() + 1) / ((~outcome).sum() + 1)
        return _line(np.log(odds), np.zeros(standard.shape[1]))
    fitted = LogisticRegression(C=1.0 / regularisation, max_iter=1000).fit(standard, outcome)
    return _line(fitted.intercept_[0], fitted.coef_[0])


def _quantile(standard: FloatArray, values: FloatArray, *, share: float, regularisation: float) -> Line:
    part = slice(None, None, -(-len(values) // MOST_FOR_RADII))
    penalty = regularisation / len(values[part])
    fitted = QuantileRegressor(quantile=share, alpha=penalty).fit(standard[part], values[part])
    return _line(fitted.intercept_, fitted.coef_)


def _line(intercept: float, weights: FloatArray) -> Line:
    return Line(intercept=float(intercept), weights=dict(zip(FEATURES, map(float, weights), strict=True)))
