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
from anatomical_embedding.matching.cell_search import (
    BYTES_PER_FLOAT,
    BYTES_PER_MB,
    parabola_peaks,
)
from anatomical_embedding.matching.local_affine import LocalAffines, fit_local_affines
from anatomical_embedding.matching.nearest import (
    Matches,
    as_prepared,
    match_nearest,
    require_one_model,
    why_not_searched,
    world_of_cells,
)
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.matching.query_vectors import nearest_cells, query_vectors
from anatomical_embedding.matching.similar_places import similar_places
from anatomical_embedding.settings.matching import MatchingSettings, StablePointSettings
from anatomical_embedding.volumes.affine import Points

SMALLEST_SPREAD = 0.25
"""Anchors whose second spread is below this share of a cell lie on a line."""


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


@dataclass(frozen=True)
class _Windows:
    """Cells of one volume that a group of n queries looks at: flat cells (n, M) and their joint vectors (n, M, C)."""

    volume: PreparedTarget
    cells: Tensor
    vectors: Tensor

    def nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (n, A) places in the window nearest to (n, A, C) vectors, and their similarity."""
        score, place = torch.bmm(vectors, self.vectors.transpose(1, 2)).max(dim=2)
        return place, score

    def vectors_at(self, places: Tensor) -> Tensor:
        """Return the (n, A, C) vectors at (n, A) places."""
        return self.vectors.gather(1, places[..., None].expand(-1, -1, self.vectors.shape[2]))

    def peaks_xyz(self, places: Tensor, vectors: Tensor) -> Tensor:
        """Return the (n, A, 3) fine cells x, y, z where the similarity to (n, A, C) vectors peaks near places."""
        cells = self.cells.gather(1, places)
        position = self.volume.cells_xyz(cells).double()
        if self.volume.settings.refinement == "none":
            return position
        step = torch.eye(3, dtype=torch.int64, device=cells.device)
        neighbours = self.volume.around(cells, torch.cat([-step, torch.zeros_like(step[:1]), step]))
        found = self.volume.joint_vectors(neighbours.flatten()).view(*neighbours.shape, -1)
        scores = torch.einsum("naoc,nac->nao", found, vectors).double()
        peaks = parabola_peaks(scores[..., :3], scores[..., 3:4], scores[..., 4:])
        return position + peaks * self.volume.is_off_border(cells)


@dataclass(frozen=True)
class _AnchorPairs:
    """Where the anchors of each query end: (n, A, 3) mm in both worlds, (n, A) similarity and cell of the target."""

    template_mm: Points
    target_mm: Points
    similarity: NDArray[np.float64]
    target_cells: NDArray[np.int64]


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
        group_size = _queries_in_memory(source, own_places.shape[1], stable_points)
        for start in range(0, len(searched), group_size):
            part = slice(start, start + group_size)
            rows = searched[part]
            own = _windows(source, own_places[part], stable_points)
            other = _windows(goal, other_places[part], stable_points)
            pairs = _anchor_pairs(own, other, own_places[part, 0], stable_points)
            fit, is_reliable = _fit(pairs, asked_mm[part], goal, stable_points)
            num_anchors[rows] = (fit.weights > 0).sum(axis=1)
            is_fallback[rows] = ~is_reliable
            residual_mm[rows] = np.where(is_reliable, fit.residual_mm, np.nan)
            answers_mm[rows] = goal.embedded.nearest_inside(fit.answers_mm)
            similarity[rows] = _mean_similarity(pairs, fit)
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
    x, y, z = nearest_cells(template.embedded.fine, points_mm).T
    own = torch.from_numpy(np.ravel_multi_index((z, y, x), template.embedded.fine.shape_zyx))
    own = own.to(template.device)
    alike = similar_places(template, queries, num_places=settings.num_places)
    is_own = alike == own[:, None]
    others = torch.where(is_own.any(dim=1, keepdim=True), torch.where(is_own, alike[:, :1], alike), alike)
    template_places = torch.cat([own[:, None], others[:, 1:]], dim=1)
    return template_places, similar_places(target, queries, num_places=settings.num_places)


def _queries_in_memory(volume: PreparedTarget, num_places: int, settings: StablePointSettings) -> int:
    num_channels = sum(head.values.shape[-1] for head in volume.dense.values())
    if volume.coarse is not None:
        num_channels += volume.coarse.vectors.shape[-1]
    num_cells = num_places * (2 * settings.window_radius_cells + 1) ** 3
    num_anchors = (2 * settings.anchor_radius_steps + 1) ** 3
    per_query = BYTES_PER_FLOAT * (
        num_cells * (4 * num_channels + num_anchors) + num_anchors * 10 * num_channels
    )
    return max(1, volume.settings.max_memory_mb * BYTES_PER_MB // per_query)


def _windows(volume: PreparedTarget, places: Tensor, settings: StablePointSettings) -> _Windows:
    step = torch.arange(-settings.window_radius_cells, settings.window_radius_cells + 1, device=volume.device)
    cells = volume.around(places, torch.cartesian_prod(step, step, step)).flatten(1)
    return _Windows(volume, cells, volume.joint_vectors(cells.flatten()).view(*cells.shape, -1))


def _anchor_pairs(
    own: _Windows, other: _Windows, query_cells: Tensor, settings: StablePointSettings
) -> _AnchorPairs:
    """Match there and back twice from the cells round each query."""
    step = settings.anchor_step_cells * torch.arange(
        -settings.anchor_radius_steps, settings.anchor_radius_steps + 1, device=own.volume.device
    )
    anchors = own.volume.around(query_cells, torch.cartesian_prod(step, step, step))  # (n, A)
    vectors = own.volume.joint_vectors(anchors.flatten()).view(*anchors.shape, -1)
    there, _ = other.nearest(vectors)
    back, _ = own.nearest(other.vectors_at(there))
    there, _ = other.nearest(own.vectors_at(back))
    found = other.vectors_at(there)
    back, similarity = own.nearest(found)
    cells = other.cells.gather(1, there)
    return _AnchorPairs(
        template_mm=_world(own.volume, own.peaks_xyz(back, found)),
        target_mm=_world(other.volume, other.volume.cells_xyz(cells)),
        similarity=similarity.double().cpu().numpy(),
        target_cells=cells.cpu().numpy(),
    )


def _fit(
    pairs: _AnchorPairs, points_mm: Points, target: PreparedTarget, settings: StablePointSettings
) -> tuple[LocalAffines, NDArray[np.bool_]]:
    """Return the map of each query, and whether enough anchors agree on it."""
    offsets_mm = pairs.template_mm - points_mm[:, None]
    is_usable = np.linalg.norm(offsets_mm, axis=2) < settings.largest_shift_mm
    is_usable &= pairs.similarity >= settings.smallest_similarity
    is_usable &= ~_is_repeated(np.where(is_usable, pairs.target_cells, -1))
    cell_mm = np.linalg.norm(target.embedded.fine.cell_affine[:3, :3], axis=0).min()
    fit = fit_local_affines(
        offsets_mm,
        pairs.target_mm,
        is_usable.astype(np.float64),
        stiffness_mm=settings.affine_stiffness_mm,
        smallest_scale_mm=SMALLEST_SPREAD * cell_mm,
    )
    is_reliable = (fit.weights > 0).sum(axis=1) >= settings.min_anchors
    is_reliable &= fit.spread_mm[:, 1] >= SMALLEST_SPREAD * cell_mm
    return fit, is_reliable


def _is_repeated(cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n, A) whether the same cell stands further left in its row."""
    order = np.argsort(cells, axis=1, kind="stable")
    ordered = np.take_along_axis(cells, order, axis=1)
    repeated = np.zeros(cells.shape, dtype=bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    result = np.empty_like(repeated)
    np.put_along_axis(result, order, repeated, axis=1)
    return result


def _mean_similarity(pairs: _AnchorPairs, fit: LocalAffines) -> NDArray[np.float64]:
    counted = fit.weights > 0
    return (pairs.similarity * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


def _returned(
    own: _Windows, target: PreparedTarget, answers_mm: Points, *, settings: MatchingSettings
) -> Points:
    """Return (n, 3) where the answers of a group are matched to in the template's windows, mm."""
    queries = query_vectors(target.embedded, answers_mm, interpolation=settings.query_interpolation)
    vectors = target.joint_queries(queries)[:, None]
    place, _ = own.nearest(vectors)
    return _world(own.volume, own.peaks_xyz(place, vectors))[:, 0]


def _world(volume: PreparedTarget, positions_xyz: Tensor) -> Points:
    return world_of_cells(volume.embedded, positions_xyz.cpu().numpy())
