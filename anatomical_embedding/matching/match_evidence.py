"""What speaks for and against an answer: measured from the embeddings alone, without the truth.

For every query: the margin of its similarity to the best place elsewhere; how far from the query the answer leads when
it is matched back; and where the answer should lie by the anchors, points of the body around the query that are matched
to the target and come back. A query whose place by the anchors is outside the target has left the field of view,
whatever the best place inside looks like.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.matching.local_affine import predict_by_neighbours
from anatomical_embedding.matching.nearest import cycle_errors_mm, match_nearest, similarity_map
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.tracking import EvidenceSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class Evidence:
    """Measurements around the answers to N queries; NaN where one cannot be taken.

    Attributes
    ----------
    margin : similarity of the answer's place less that of the best place elsewhere.
    cycle_mm : distance of the query from where the answer leads back to.
    residual_mm : distance of the answer from its place by the anchors.
    anchor_spread_mm : median distance of the anchors from their common map.
    num_anchors : effective number of anchors.
    view_margin_mm : depth of the place by the anchors inside the target's voxels; negative outside.
    edge_mm : the same of the answer.
    """

    margin: NDArray[np.float64]
    cycle_mm: NDArray[np.float64]
    residual_mm: NDArray[np.float64]
    anchor_spread_mm: NDArray[np.float64]
    num_anchors: NDArray[np.float64]
    view_margin_mm: NDArray[np.float64]
    edge_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Anchors:
    """(M, 3) corresponding points of two volumes, world mm."""

    template_mm: Points
    target_mm: Points


def find_anchors(
    template: PreparedTarget,
    target: PreparedTarget,
    candidates_mm: Points,
    *,
    settings: EvidenceSettings,
    matching: MatchingSettings,
) -> Anchors:
    """Return the candidates that come back when matched to the target and back, and are found well inside it."""
    forward = match_nearest(template.embedded, target, candidates_mm, settings=matching)
    distance = cycle_errors_mm(template, target.embedded, candidates_mm, forward.points_mm, settings=matching)
    is_deep = target.embedded.depth_mm(forward.points_mm) >= settings.anchor_depth_mm
    is_kept = is_deep & (distance <= settings.anchor_cycle_mm)  # NaN is not
    return Anchors(candidates_mm[is_kept], forward.points_mm[is_kept])


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
    answers_mm: Points,
    *,
    anchors: Anchors,
    matching: MatchingSettings,
    settings: EvidenceSettings,
) -> Evidence:
    """Return the evidence around the answers of one pair of volumes.

    Parameters
    ----------
    template, target : both prepared, for the way back is searched as well.
    queries_mm, answers_mm : (N, 3) world mm; an answer may be NaN.
    anchors : of the pair, see `find_anchors`.
    """
    predictions = [
        predict_by_neighbours(
            query, anchors.template_mm, anchors.target_mm, reach_mm=settings.anchor_reach_mm
        )
        for query in queries_mm
    ]
    places_mm = np.array([prediction.point_mm for prediction in predictions]).reshape(-1, 3)
    margins = [
        _margin(
            template.embedded, target, query, answer, matching=matching, distance_mm=settings.second_peak_mm
        )
        for query, answer in zip(queries_mm, answers_mm, strict=True)
    ]
    return Evidence(
        margin=np.array(margins, dtype=np.float64),
        cycle_mm=cycle_errors_mm(template, target.embedded, queries_mm, answers_mm, settings=matching),
        residual_mm=np.linalg.norm(answers_mm - places_mm, axis=1),
        anchor_spread_mm=np.array([prediction.spread_mm for prediction in predictions], dtype=np.float64),
        num_anchors=np.array([prediction.num_effective for prediction in predictions], dtype=np.float64),
        view_margin_mm=target.embedded.depth_mm(places_mm),
        edge_mm=target.embedded.depth_mm(answers_mm),
    )


def _margin(
    template: EmbeddedVolume,
    target: PreparedTarget,
    query_mm: NDArray[np.float64],
    answer_mm: NDArray[np.float64],
    *,
    matching: MatchingSettings,
    distance_mm: float,
) -> float:
    if not np.isfinite(answer_mm).all():
        return np.nan
    similarity = similarity_map(template, target, query_mm, settings=matching)
    offsets = similarity.voxel_from_world(answer_mm[np.newaxis])[0]
    squared = [
        ((np.arange(size) - offset) * spacing) ** 2
        for size, offset, spacing in zip(similarity.shape, offsets, similarity.spacing_mm, strict=True)
    ]
    distance = squared[0][:, None, None] + squared[1][None, :, None] + squared[2][None, None, :]
    is_elsewhere = distance > distance_mm**2
    if not is_elsewhere.any() or is_elsewhere.all():
        return np.nan
    here, elsewhere = similarity.array[~is_elsewhere].max(), similarity.array[is_elsewhere].max()
    return float(here - elsewhere)
