"""Answers for people: matches, and whether they can be relied on."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.confidence import Confidence
from anatomical_embedding.matching.decision import OUT_OF_VIEW, Decision, judge
from anatomical_embedding.matching.found_points import Scans, Weighing, find_points
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.matching.methods import CYCLE_COLUMN
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.confidence import ConfidenceSettings
from anatomical_embedding.settings.matching import MatchingMethod
from anatomical_embedding.volumes.affine import Points
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
    unlike : (N,) what speaks for the answer that the confidence was not fitted to; empty where nothing.
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
    unlike: tuple[str, ...]
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
    scans: Scans | None,
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
    scans : which move a match to the voxel where they tell the place; None to answer in cells.
    settings : what is measured around an answer, and when it is believed.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    points_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    matched = find_points(
        method,
        template,
        target,
        points_mm,
        with_way_back=True,
        scans=scans,
        weighing=None if confidence is None else Weighing(template_body, find_anchors, settings.evidence),
    )
    matches = matched.matches
    found = np.array([not reason for reason in matches.reason], dtype=bool)
    in_body = np.ones(len(points_mm), dtype=bool)
    if template_body is not None:
        in_body[found] = template_body.nearest_values(points_mm[found]) > 0
    judged = judge(
        confidence, matched.evidence, failures=matches.reason, is_in_body=in_body, settings=settings.decision
    )
    is_shown = found & (np.array(judged.decision) != "out_of_view")
    return Answers(
        np.where(is_shown[:, np.newaxis], matches.points_mm, np.nan),
        matches.similarity,
        matched.columns[CYCLE_COLUMN],
        judged.probability,
        judged.radius_50_mm,
        judged.radius_90_mm,
        judged.decision,
        judged.reason,
        judged.unlike,
        refined=tuple(
            OUT_OF_VIEW if decision == "out_of_view" else word
            for word, decision in zip(matched.refined or repeat(""), judged.decision, strict=False)
        ),
        refinement_shift_mm=np.where(is_shown, matched.shift_mm, np.nan),
    )
