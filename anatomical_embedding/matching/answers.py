"""Answers for people: matches, and whether they can be relied on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.confidence import Confidence
from anatomical_embedding.matching.decision import Decision, judge
from anatomical_embedding.matching.match_evidence import Anchors, measure_evidence
from anatomical_embedding.matching.methods import CYCLE_COLUMN, match_by
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.confidence import ConfidenceSettings
from anatomical_embedding.settings.matching import MatchingMethod
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class Answers:
    """The answers to a list of points, in its order.

    Attributes
    ----------
    points_mm : (N, 3) mm RAS+ in the target's world; NaN where failed or out of view.
    similarity : (N,) weighted mean cosine in [-1, 1]; NaN where failed.
    cycle_error_mm : (N,) distance of the point asked for and the match of its match; NaN where failed.
    confidence : (N,) probability that the answer is right; NaN where failed, outside the body, or where the
        model does not know.
    radius_50_mm, radius_90_mm : (N,) distance within which the true place lies in 50 and in 90 of 100 cases, if it
        is in view; NaN likewise.
    decision : (N,) found, review, out_of_view, failed, or unknown.
    reason : (N,) why not found; empty where found.
    refined : (N,) `yes`, or why the match was not moved to the voxel by the scans; empty where that was not asked.
    refinement_shift_mm : (N,) by how far it was moved; 0 where not, NaN where failed.
    """

    points_mm: Points
    similarity: NDArray[np.float64]
    cycle_error_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    radius_50_mm: NDArray[np.float64]
    radius_90_mm: NDArray[np.float64]
    decision: tuple[Decision, ...]
    reason: tuple[str, ...]
    refined: tuple[str, ...]
    refinement_shift_mm: NDArray[np.float64]


def answer_points(
    template: PreparedTarget,
    target: PreparedTarget,
    query_points_mm: ArrayLike,
    *,
    template_body: Volume | None,
    method: MatchingMethod,
    confidence: Confidence | None,
    find_anchors: Callable[[], Anchors],
    settings: ConfidenceSettings,
) -> Answers:
    """Return where points of the template lie in the target, and what is thought of that.

    Parameters
    ----------
    template, target : both prepared for the same settings, because the way back searches the template.
    query_points_mm : (N, 3) mm RAS+ in the template's world.
    template_body : body mask of the template; None where there is none, then no point is taken to lie outside.
    method : the way of matching.
    confidence : of this way of matching; None where it is not known.
    find_anchors : the points of both scans by which answers are judged; called where there is a confidence.
    settings : what is measured around an answer, and when it is believed.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    points_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    answered = match_by(method, template, target, points_mm, with_way_back=True)
    matches, cycle_error_mm = answered.matches, answered.columns[CYCLE_COLUMN]
    found = np.array([not reason for reason in matches.reason], dtype=bool)
    in_body = np.ones(len(points_mm), dtype=bool)
    if template_body is not None:
        in_body[found] = template_body.nearest_values(points_mm[found]) > 0
    evidence = None
    if confidence is not None:
        evidence = measure_evidence(
            template,
            target,
            points_mm,
            matches,
            template_body=template_body,
            cycle_error_mm=cycle_error_mm,
            anchors=find_anchors(),
            settings=settings.evidence,
        )
    judged = judge(
        confidence, evidence, failures=matches.reason, is_in_body=in_body, settings=settings.decision
    )
    is_shown = found & (np.array(judged.decision) != "out_of_view")
    return Answers(
        np.where(is_shown[:, np.newaxis], matches.points_mm, np.nan),
        matches.similarity,
        cycle_error_mm,
        judged.probability,
        judged.radius_50_mm,
        judged.radius_90_mm,
        judged.decision,
        judged.reason,
        refined=("",) * len(points_mm),
        refinement_shift_mm=np.where(is_shown, 0.0, np.nan),
    )


def refine_answers(
    answers: Answers,
    template: RawScan,
    target: RawScan,
    query_points_mm: ArrayLike,
    *,
    settings: RefinementSettings,
) -> Answers:
    """Return answers whose points are moved to the voxel where the scans tell the place; see `refine_between`.

    Parameters
    ----------
    template, target : the scans themselves.
    query_points_mm : (N, 3) mm RAS+ in the template's world, those of the answers.
    """
    # Stores, which nothing is refined for, answer before this is loaded.
    from anatomical_embedding.matching.refine_scans import refine_between, refined_words  # noqa: PLC0415

    moved = refine_between(template, target, query_points_mm, answers.points_mm, settings=settings)
    return replace(
        answers,
        points_mm=moved.points_mm,
        refined=refined_words(moved),
        refinement_shift_mm=np.where(np.isfinite(answers.points_mm).all(axis=1), moved.shift_mm, np.nan),
    )
