"""What speaks for and against an answer: measured from the embeddings alone, without the truth.

For every query: how far from it the answer leads when it is matched back; whether the cells around agree
(`neighbour_evidence`); and where the answer should lie by the anchors, points of the body around the query that are
matched to the target and come back. A query whose place by the anchors is outside the target has left the field of
view, whatever the best place inside looks like.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.matching.local_affine import (
    FEWEST_CORRESPONDENCES,
    RIDGE_MM,
    SMALLEST_SCALE_MM,
    fit_local_affines,
)
from anatomical_embedding.matching.nearest import Matches, cycle_errors_mm, match_nearest
from anatomical_embedding.matching.neighbour_evidence import measure_neighbours
from anatomical_embedding.matching.place_in_body import place_in_body
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.confidence import AnchorSettings, EvidenceSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

WIDER = 1.1
"""Anchors that are too many are spread wider by this factor until they are not."""

Evidence = dict[str, NDArray[np.float64]]
"""Feature -> (N,) numbers, NaN where one cannot be measured; the features are those of `confidence.FEATURES`:

similarity : of the match.
cycle_error_mm : distance of the query from where the answer leads back to.
anchor_distance_mm : distance of the answer from its place by the anchors.
expected_depth_mm : depth of the place by the anchors inside the target's voxels; negative outside.
answer_depth_mm : the same of the answer.
The others are those of `neighbour_evidence.measure_neighbours`, and of `place_in_body` for the query.
"""


@dataclass(frozen=True)
class Anchors:
    """(M, 3) corresponding points of two volumes, world mm."""

    template_mm: Points
    target_mm: Points


def find_anchors(
    template: PreparedTarget,
    target: PreparedTarget,
    *,
    template_body: Volume | None,
    settings: AnchorSettings,
) -> Anchors:
    """Return points of the template that come back when matched to the target, and are found well inside it.

    Parameters
    ----------
    template, target : both are searched.
    template_body : anchors lie in it; None to take them from everywhere.

    Notes
    -----
    Costs two searches for each of at most `max_num_anchors` points; the same for all queries of a pair.
    """
    candidates_mm = _grid_points(template, template_body, settings=settings)
    forward = match_nearest(template.embedded, target, candidates_mm, settings=target.settings)
    distance = cycle_errors_mm(
        template, target.embedded, candidates_mm, forward.points_mm, settings=target.settings
    )
    is_deep = target.embedded.depth_mm(forward.points_mm) >= settings.anchor_depth_mm
    is_kept = is_deep & (distance <= settings.anchor_cycle_mm)  # NaN is not
    return Anchors(candidates_mm[is_kept], forward.points_mm[is_kept])


def _grid_points(template: PreparedTarget, body: Volume | None, *, settings: AnchorSettings) -> Points:
    """Return the points of a grid in the body, spread wider where there would be too many."""
    grid = template.embedded
    mask = body or Volume(np.broadcast_to(np.ones((), np.uint8), grid.shape), grid.affine)
    spacing_mm = settings.anchor_spacing_mm
    while len(points_mm := body_points(mask, spacing_mm=spacing_mm)) > settings.max_num_anchors:
        spacing_mm *= WIDER
    return points_mm


def body_points(body_mask: Volume, *, spacing_mm: float) -> Points:
    """Return the (M, 3) world points of a grid that lie in the body."""
    steps = np.maximum(1, np.rint(spacing_mm / body_mask.spacing_mm)).astype(int)
    starts = [(size - 1) % step // 2 for size, step in zip(body_mask.shape, steps, strict=True)]
    axes = [
        np.arange(start, size, step) for start, size, step in zip(starts, body_mask.shape, steps, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    is_body = np.asarray(body_mask.array)[tuple(grid.T)] != 0
    return body_mask.world_from_voxel(grid[is_body].astype(np.float64))


def measure_evidence(
    template: PreparedTarget,
    target: PreparedTarget,
    queries_mm: Points,
    matches: Matches,
    *,
    template_body: Volume | None,
    cycle_error_mm: NDArray[np.float64],
    anchors: Anchors,
    settings: EvidenceSettings,
) -> Evidence:
    """Return the evidence around the answers of one pair of volumes.

    Parameters
    ----------
    template, target : volumes of the queries and of the answers.
    queries_mm : (N, 3) world mm.
    matches : the answers.
    template_body : None where it is not known.
    cycle_error_mm : (N,) distance of the queries from where the answers lead back to.
    anchors : of the pair, see `find_anchors`.

    Notes
    -----
    Searches nothing but windows of cells around each query and its answer.
    """
    finite_mm = np.where(np.isfinite(queries_mm), queries_mm, 0.0)
    expected_mm = _places_by_anchors(finite_mm, anchors, reach_mm=settings.anchor_reach_mm)
    return (
        {
            "similarity": matches.similarity,
            "cycle_error_mm": cycle_error_mm,
            "anchor_distance_mm": np.linalg.norm(matches.points_mm - expected_mm, axis=1),
            "expected_depth_mm": target.embedded.depth_mm(expected_mm),
            "answer_depth_mm": target.embedded.depth_mm(matches.points_mm),
        }
        | measure_neighbours(template, target, queries_mm, matches.points_mm, settings=settings.neighbours)
        | place_in_body(template_body, queries_mm)
    )


def _places_by_anchors(queries_mm: Points, anchors: Anchors, *, reach_mm: float) -> Points:
    """Return the (N, 3) places of queries by the robust affine map of the anchors around each; NaN with too few."""
    num_queries, num_anchors = len(queries_mm), len(anchors.template_mm)
    if num_anchors < FEWEST_CORRESPONDENCES or not num_queries:
        return np.full((num_queries, 3), np.nan)
    offsets = anchors.template_mm - queries_mm[:, np.newaxis]
    squared = np.sum(offsets**2, axis=2)
    nearness = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (2.0 * reach_mm**2))
    return fit_local_affines(
        offsets,
        np.broadcast_to(anchors.target_mm, offsets.shape),
        nearness,
        stiffness_mm=RIDGE_MM / num_anchors**0.5,
        smallest_scale_mm=SMALLEST_SCALE_MM,
    ).answers_mm
