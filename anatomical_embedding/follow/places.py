"""Where a lesion lies at another visit, by several visits together.

Each visit that shows the lesion answers on its own: points of the body round the lesion are matched to the other visit
and back, and a robust affine map of those that come back says where it lies. The answers are averaged by how far
each can be relied on, and the average is moved to the voxel by each of the scans. What ends near the first answer is
averaged with it; what ends farther away is another place, to be looked at for the lesion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.records import How, PointMm
from anatomical_embedding.matching.local_affine import (
    SMALLEST_SCALE_MM,
    fit_local_affines,
    weighted_medians,
)
from anatomical_embedding.matching.match_evidence import Anchors, find_anchors
from anatomical_embedding.matching.refine_scans import REFINED, refine_between, refined_words
from anatomical_embedding.settings.follow import PlaceSettings
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.usage.scans import EmbeddedScan, require_raw
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.raw_scan import RawScan

FEWEST_ANCHORS = 6
NOT_ASKED = "its place is outside the scan, or unknown"
MEDIAN_DISTANCE = 1.538
"""Of points with a normal error of 1 along each of three axes (the root of the median of chi square)."""
WEIGHT_OF_FOUND = 0.15
"""Of an answer from where the lesion was found itself, beside one from where it was given: the errors of both add."""
ELSEWHERE_MM = 5.0
"""Answers that are farther apart are different places, and are not averaged."""


@dataclass(frozen=True)
class Prediction:
    """Where N points of one visit lie in another, by the points of the body round each.

    Attributes
    ----------
    points_mm : (N, 3) mm RAS+, also outside the scan; NaN where too few points come back.
    matrices : (N, 3, 3) how the surroundings are turned and stretched.
    error_mm : (N,) deviation along each axis, as the points round it disagree.
    """

    points_mm: Points
    matrices: NDArray[np.float64]
    error_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What one visit says about N places in another; `refined_mm` are the places moved to the voxel."""

    predicted: Prediction
    refined_mm: Points
    refined: tuple[str, ...]

    @property
    def is_moved(self) -> NDArray[np.bool_]:
        """(N,) whether the scans moved a place to the voxel."""
        return np.array([word == REFINED for word in self.refined], dtype=bool)


@dataclass(frozen=True)
class AnsweredPlace:
    """Where one lesion lies at a visit, by all visits that answer.

    Attributes
    ----------
    point_mm : (3,) mm RAS+; by the surroundings alone where it is outside the scan, NaN where no visit answers.
    depth_mm : how deep inside the scan the body farther in puts it; negative outside, NaN where nothing tells it.
    error_mm : deviation along each axis.
    disagreement_mm : largest distance between what the visits say; NaN where one answers.
    refined : `yes`, or why no scan moved the place to the voxel.
    matrix : (3, 3) how the surroundings are turned and stretched from the nearest visit on.
    how : how it was found.
    matrix_from_given : the same from the visit where the lesion was given.
    elsewhere_mm : (3,) each, places that scans confirm as well, away from this one.
    """

    point_mm: NDArray[np.float64]
    depth_mm: float
    error_mm: float
    disagreement_mm: float
    refined: str
    matrix: NDArray[np.float64]
    how: How
    matrix_from_given: NDArray[np.float64]
    elsewhere_mm: tuple[NDArray[np.float64], ...]


def moved_to(place: AnsweredPlace, point_mm: PointMm | None) -> AnsweredPlace:
    """Return a place where a reader put it; as it is where none did."""
    if point_mm is None:
        return place
    return replace(place, point_mm=np.array(point_mm), disagreement_mm=np.nan, refined="", how="moved")


def pair_anchors(template: EmbeddedScan, target: EmbeddedScan, *, settings: PlaceSettings) -> Anchors:
    """Return points of the body that are matched to another visit and come back."""
    source, goal = template.refined_by("parabolic"), target.refined_by("parabolic")
    if source.body_mask is None:
        raise ValueError(f"{source.name} has no body mask")
    return find_anchors(
        source.searchable, goal.searchable, template_body=source.body_mask, settings=settings.evidence
    )


def swap_anchors(anchors: Anchors, target: EmbeddedScan, *, settings: PlaceSettings) -> Anchors:
    """Return the pairs the other way round, to a target that they were matched from: those well inside it."""
    is_deep = target.embedded.depth_mm(anchors.template_mm) >= settings.evidence.anchor_depth_mm
    return Anchors(anchors.target_mm[is_deep], anchors.template_mm[is_deep])


def predict_places(anchors: Anchors, points_mm: Points, *, settings: PlaceSettings) -> Prediction:
    """Return where (N, 3) points lie under the map of the anchors round each; points that are NaN stay so."""
    num, is_known = len(points_mm), np.isfinite(points_mm[:, 0])
    places, matrices, errors = (
        np.full((num, 3), np.nan),
        np.tile(np.eye(3), (num, 1, 1)),
        np.full(num, np.nan),
    )
    if len(anchors.template_mm) >= FEWEST_ANCHORS and is_known.any():
        fit = _predict(anchors, points_mm[is_known], settings)
        places[is_known], matrices[is_known], errors[is_known] = fit.points_mm, fit.matrices, fit.error_mm
    return Prediction(places, matrices, errors)


def _predict(anchors: Anchors, points_mm: Points, settings: PlaceSettings) -> Prediction:
    offsets = anchors.template_mm[np.newaxis] - points_mm[:, np.newaxis]  # (N, A, 3)
    squared = np.sum(offsets**2, axis=2)
    nearest = squared.min(axis=1, keepdims=True)
    importance = np.exp(-(squared - nearest) / (2.0 * settings.evidence.anchor_reach_mm**2))
    partners = np.broadcast_to(anchors.target_mm, offsets.shape)
    fit = fit_local_affines(
        offsets, partners, importance, stiffness_mm=settings.stiffness_mm, smallest_scale_mm=SMALLEST_SCALE_MM
    )
    residuals = np.linalg.norm(
        partners - fit.answers_mm[:, None] - np.einsum("nij,naj->nai", fit.matrices, offsets), axis=2
    )
    spread = weighted_medians(residuals, importance)
    # Where all anchors lie to one side the map is carried on, and errs more the farther it is carried.
    share = fit.weights / fit.weights.sum(axis=1, keepdims=True)
    lean_mm = np.linalg.norm(np.einsum("na,nai->ni", share, offsets), axis=1)
    return Prediction(
        fit.answers_mm, fit.matrices, spread / MEDIAN_DISTANCE + settings.error_per_lean * lean_mm
    )


def view_depth_mm(
    anchors: Sequence[Anchors], points_mm: Sequence[Points], target: EmbeddedScan, *, settings: PlaceSettings
) -> NDArray[np.float64]:
    """Return (N,) how deep inside a scan points lie by the body well inside it; NaN where nothing tells it.

    Parameters
    ----------
    anchors, points_mm : of each visit that answers, (N, 3) of the points.
    """
    scan = require_raw(target).volume
    evidence = settings.evidence.model_copy(update={"anchor_reach_mm": settings.view.reach_mm})
    wide = settings.model_copy(update={"evidence": evidence})
    depths = []
    for pairs, places in zip(anchors, points_mm, strict=True):
        is_deep = scan.depth_mm(pairs.target_mm) >= settings.view.depth_mm
        inner = Anchors(pairs.template_mm[is_deep], pairs.target_mm[is_deep])
        found = predict_places(inner, places, settings=wide)
        depths.append(scan.depth_mm(found.points_mm) - settings.view.inward_mm)
    known = np.isfinite(depths)
    total = np.where(known, depths, 0.0).sum(axis=0)
    return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan))


def join_predictions(predictions: Sequence[Prediction], *, settings: PlaceSettings) -> Prediction:
    """Return the average of what several visits say, each weighted by its inverse square error."""
    points = np.array([each.points_mm for each in predictions])  # (V, N, 3)
    errors = np.hypot(np.array([each.error_mm for each in predictions]), settings.smallest_error_mm)
    weights = np.where(np.isfinite(points[..., 0]), 1.0 / errors**2, 0.0)
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(points * weights[..., None], axis=0) / total[:, None]
        error = np.nansum(weights * errors, axis=0) / total
    return Prediction(mean, predictions[0].matrices, error)


def answer_from(
    template: EmbeddedScan,
    target: EmbeddedScan,
    points_mm: Points,
    start_mm: Points,
    predicted: Prediction,
    *,
    refinement: RefinementSettings,
) -> Answer:
    """Return what one visit says of (N, 3) places, moved to the voxel from (N, 3) starts in the target."""
    moved_mm, words = _moved(template, target, points_mm, start_mm, refinement=refinement)
    return Answer(predicted, moved_mm, tuple(words))


def answer_from_around(
    template: RawScan | EmbeddedScan,
    target: RawScan | EmbeddedScan,
    points_mm: Points,
    start_mm: Points,
    predicted: Prediction,
    *,
    radii_mm: NDArray[np.float64],
    settings: PlaceSettings,
    refinement: RefinementSettings,
) -> Answer:
    """Return what one visit says of (N, 3) places by each of them and by points beside each, moved to the voxel.

    A lesion that has changed draws its own match along, and one match errs by more than the map of several.

    Parameters
    ----------
    radii_mm : (N,) of the lesions; the points beside lie outside of them.
    """
    around = settings.around
    reach_mm = np.maximum(radii_mm + around.beyond_mm, around.nearest_mm)
    offsets = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * reach_mm[:, np.newaxis, np.newaxis]
    queries = points_mm[:, np.newaxis] + offsets
    queries[:, 1:][~require_raw(template).volume.contains(queries[:, 1:])] = np.nan
    starts = start_mm[:, np.newaxis] + offsets @ predicted.matrices.swapaxes(1, 2)
    found = _moved(template, target, queries.reshape(-1, 3), starts.reshape(-1, 3), refinement=refinement)
    moved, words = found[0].reshape(offsets.shape), found[1].reshape(offsets.shape[:2])
    is_moved = words == REFINED
    places, matrices, said = moved[:, 0].copy(), predicted.matrices.copy(), words[:, 0].copy()
    rows = is_moved[:, 1:].sum(axis=1) >= around.fewest
    if rows.any():
        fit = fit_local_affines(
            offsets[rows],
            np.nan_to_num(moved[rows]),
            np.where(is_moved[rows], np.where(np.arange(offsets.shape[1]) == 0, around.own, 1.0), 0.0),
            stiffness_mm=settings.stiffness_mm,
            smallest_scale_mm=SMALLEST_SCALE_MM,
        )
        places[rows], matrices[rows], said[rows] = fit.answers_mm, fit.matrices, REFINED
    return Answer(replace(predicted, matrices=matrices), places, tuple(said))


def _moved(
    template: RawScan | EmbeddedScan,
    target: RawScan | EmbeddedScan,
    points_mm: Points,
    start_mm: Points,
    *,
    refinement: RefinementSettings,
) -> tuple[Points, NDArray[np.object_]]:
    """Return (N, 3) starts moved to the voxel, and (N,) words on each; NaN where the scans do not hold them."""
    is_asked = np.isfinite(points_mm[:, 0]) & np.isfinite(start_mm[:, 0])
    is_asked[is_asked] = require_raw(target).volume.contains(start_mm[is_asked])
    moved_mm, words = np.full(points_mm.shape, np.nan), np.full(len(points_mm), NOT_ASKED, dtype=object)
    if is_asked.any():
        moved = refine_between(
            require_raw(template),
            require_raw(target),
            points_mm[is_asked],
            start_mm[is_asked],
            settings=refinement,
        )
        moved_mm[is_asked], words[is_asked] = moved.points_mm, refined_words(moved)
    return moved_mm, words


def join_answers(
    answers: Sequence[Answer], joined: Prediction, depth_mm: NDArray[np.float64], *, settings: PlaceSettings
) -> list[AnsweredPlace]:
    """Return the N places on which the visits agree best.

    Parameters
    ----------
    answers : one a visit, the one where the lesions were given first.
    joined : where they lie by the surroundings alone.
    depth_mm : (N,) how deep inside the scan the body farther in puts them.
    """
    moved = np.array([answer.refined_mm for answer in answers])  # (V, N, 3)
    is_moved = np.array([answer.is_moved for answer in answers])
    is_there = np.isfinite(moved[..., 0])
    is_asked = np.where(is_moved.any(axis=0), is_moved, is_there)
    first = moved[is_asked.argmax(axis=0), np.arange(moved.shape[1])]
    is_near = is_asked & (np.linalg.norm(moved - first, axis=-1) <= ELSEWHERE_MM)
    from_given = np.where(np.arange(len(answers)) == 0, 1.0, WEIGHT_OF_FOUND)[:, np.newaxis]
    weights = np.where(is_near, from_given, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(moved * weights[..., None], axis=0) / weights.sum(axis=0)[:, None]
    points = np.where(np.isfinite(mean), mean, joined.points_mm)
    predicted = np.array([answer.predicted.points_mm for answer in answers])
    disagreement = _largest_distance(np.where(is_there[..., None], moved, predicted))
    near_mm = _largest_distance(np.where(is_near[..., None], moved, np.nan))
    # Two answers of one error lie 2 ** 0.5 times as far apart as each errs, and their mean errs less by as much.
    spread = np.nan_to_num(near_mm) / (2.0 * MEDIAN_DISTANCE)
    own = np.where(is_moved.any(axis=0), 0.0, joined.error_mm)
    error = np.hypot(np.hypot(own, settings.smallest_error_mm), spread)
    num_answers = np.isfinite(predicted[..., 0]).sum(axis=0)
    return [
        AnsweredPlace(
            points[row],
            float(depth_mm[row]),
            float(error[row]),
            float(disagreement[row]),
            REFINED if is_moved[:, row].any() else answers[0].refined[row],
            answers[-1].predicted.matrices[row],
            "joint" if num_answers[row] > 1 else "direct",
            answers[0].predicted.matrices[row],
            _elsewhere(points[row], answers, row),
        )
        for row in range(len(points))
    ]


def _elsewhere(
    point_mm: NDArray[np.float64], answers: Sequence[Answer], row: int
) -> tuple[NDArray[np.float64], ...]:
    """Return the places of one lesion that scans confirm beside a point, each once."""
    known = [point_mm]
    for answer in answers:
        place_mm = answer.refined_mm[row]
        if answer.is_moved[row] and min(np.linalg.norm(place_mm - each) for each in known) > ELSEWHERE_MM:
            known.append(place_mm)
    return tuple(known[1:])


def _largest_distance(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the largest distance between the (V, N, 3) answers to each place; NaN where there is one."""
    apart = np.linalg.norm(points_mm[:, None] - points_mm[None], axis=-1)  # (V, V, N)
    apart[np.arange(len(apart)), np.arange(len(apart))] = np.nan
    filled = np.where(np.isnan(apart), -np.inf, apart).max(axis=(0, 1))
    return np.where(np.isfinite(filled), filled, np.nan)
