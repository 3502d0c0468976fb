"""Stable points: the neighbours of a query decide together where it lies (fixed-point, or structural, inference).

Cells round the query (anchors) go to their most similar cells in the target, from there back to the template, and
there and back once more. Where that settles, a cell of the template and one of the target have each other as
partners. A robust affine map through these pairs, evaluated at the query, is the answer; so one wrong match is
outvoted. Source: Bai et al., "UAE: Universal Anatomical Embedding on Multi-modality Medical Images"
(arXiv 2311.15111).

The published search runs over all cells for every anchor and half-step. Here both volumes are searched once for the
few places that look like the query, and anchors are matched within windows round these places: a place that an anchor
could be mistaken for looks like the query as well.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.matching.anchor_windows import (
    SMALLEST_SPREAD,
    AnchorPairs,
    Windows,
    anchor_pairs,
    fit_anchors,
    mean_similarity,
    queries_in_memory,
    smallest_cell_mm,
    windows_round,
    world_of_positions,
)
from anatomical_embedding.matching.local_affine import LocalAffines
from anatomical_embedding.matching.nearest import (
    Matches,
    as_prepared,
    match_nearest,
    require_one_model,
    why_not_searched,
)
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.matching.query_vectors import query_vectors
from anatomical_embedding.matching.similar_places import PlaceSearch
from anatomical_embedding.settings.matching import MatchingSettings, StablePointSettings
from anatomical_embedding.volumes.affine import Points


@dataclass(frozen=True)
class StablePoints:
    """The answers to a list of queries with how far they can be trusted, in its order.

    Attributes
    ----------
    matches : points, similarity (the mean over the anchors) and reasons of failure.
    num_anchors : (N,) different anchors that agree; 0 where the query was not searched.
    residual_mm : (N,) root mean square distance of these anchors from the affine map; NaN without one.
    cycle_error_mm : (N,) distance of the query from the place that the answer is matched to in the template.
    is_fallback : (N,) whether too few anchors agreed, or all on a line, and the nearest match is the answer.
    """

    matches: Matches
    num_anchors: NDArray[np.int64]
    residual_mm: NDArray[np.float64]
    cycle_error_mm: NDArray[np.float64]
    is_fallback: NDArray[np.bool_]


def match_stable_points(
    template: EmbeddedVolume | PreparedTarget,
    target: EmbeddedVolume | PreparedTarget,
    query_points_mm: ArrayLike,
    *,
    settings: MatchingSettings,
    stable_points: StablePointSettings,
) -> StablePoints:
    """Return where points of the template lie in the target, decided by anchors round each.

    Parameters
    ----------
    template : volume in which the points are known; it is searched as well, so prepare it once
        (`prepare_target`) where several targets are asked.
    target : the other volume.
    query_points_mm : (N, 3) mm RAS+ in the template's world.
    settings : heads, search, refinement, memory and device.
    stable_points : anchors and their filter.

    Raises
    ------
    UserError
        if the two embeddings come from different models.

    Notes
    -----
    100 queries take a few times as long as `match_nearest` for them (`benchmarks/match_points.py`).
    """
    source, goal = as_prepared(template, settings=settings), as_prepared(target, settings=settings)
    require_one_model(source.embedded, goal.embedded)
    points_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    reasons = why_not_searched(source.embedded, points_mm)
    searched = np.flatnonzero([not reason for reason in reasons])
    answers_mm = np.full(points_mm.shape, np.nan)
    similarity, residual_mm, cycle_error_mm = np.full((3, len(points_mm)), np.nan)
    num_anchors = np.zeros(len(points_mm), dtype=np.int64)
    is_fallback = np.zeros(len(points_mm), dtype=bool)
    if len(searched):
        asked_mm = points_mm[searched]
        own_places, other_places = _places(source, goal, asked_mm, stable_points)
        group_size = queries_in_memory(source, own_places.shape[1], stable_points)
        for start in range(0, len(searched), group_size):
            part = slice(start, start + group_size)
            rows = searched[part]
            own = windows_round(source, own_places[part], stable_points)
            other = windows_round(goal, other_places[part], stable_points)
            pairs = anchor_pairs(own, other, own_places[part, 0], stable_points)
            fit, is_reliable = _fit(pairs, asked_mm[part], goal, stable_points)
            num_anchors[rows] = (fit.weights > 0).sum(axis=1)
            is_fallback[rows] = ~is_reliable
            residual_mm[rows] = np.where(is_reliable, fit.residual_mm, np.nan)
            answers_mm[rows] = goal.embedded.nearest_inside(fit.answers_mm)
            similarity[rows] = mean_similarity(pairs, fit)
            lone = rows[~is_reliable]
            nearest = match_nearest(source.embedded, goal, points_mm[lone], settings=settings)
            answers_mm[lone], similarity[lone] = nearest.points_mm, nearest.similarity
            returned_mm = _returned(own, goal, answers_mm[rows], settings=settings)
            cycle_error_mm[rows] = np.linalg.norm(returned_mm - points_mm[rows], axis=1)
    return StablePoints(
        Matches(answers_mm, similarity, reasons), num_anchors, residual_mm, cycle_error_mm, is_fallback
    )


def _places(
    template: PreparedTarget, target: PreparedTarget, points_mm: Points, settings: StablePointSettings
) -> tuple[Tensor, Tensor]:
    """Return (N, K) flat cells of the template, the query's own cell first, and of the target."""
    queries = query_vectors(template.embedded, points_mm, interpolation=template.settings.query_interpolation)
    own = template.cells_at(points_mm)
    alike = PlaceSearch(template).best_places(queries, num_places=settings.num_places)
    is_own = alike == own[:, None]
    others = torch.where(is_own.any(dim=1, keepdim=True), torch.where(is_own, alike[:, :1], alike), alike)
    template_places = torch.cat([own[:, None], others[:, 1:]], dim=1)
    return template_places, PlaceSearch(target).best_places(queries, num_places=settings.num_places)


def _fit(
    pairs: AnchorPairs, points_mm: Points, target: PreparedTarget, settings: StablePointSettings
) -> tuple[LocalAffines, NDArray[np.bool_]]:
    """Return the map of each query, and whether enough anchors agree on it."""
    offsets_mm = pairs.template_mm - points_mm[:, None]
    is_usable = np.linalg.norm(offsets_mm, axis=2) < settings.largest_shift_mm
    is_usable &= pairs.similarity >= settings.smallest_similarity
    fit = fit_anchors(pairs, points_mm, target, is_usable, settings)
    cell_mm = smallest_cell_mm(target)
    is_reliable = (fit.weights > 0).sum(axis=1) >= settings.min_anchors
    is_reliable &= fit.spread_mm[:, 1] >= SMALLEST_SPREAD * cell_mm
    return fit, is_reliable


def _returned(
    own: Windows, target: PreparedTarget, answers_mm: Points, *, settings: MatchingSettings
) -> Points:
    """Return (n, 3) where the answers of a group are matched to in the template's windows, mm."""
    queries = query_vectors(target.embedded, answers_mm, interpolation=settings.query_interpolation)
    vectors = target.joint_queries(target.weighted_queries(queries))[:, None]
    place, _ = own.nearest(vectors)
    return world_of_positions(own.volume, own.peaks_xyz(place, vectors))[:, 0]
