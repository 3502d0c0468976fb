"""What the cells around a query say of its answer: whether they agree with it, and how alike they are to each other.

The neighbours are matched near the answer and back (`anchor_windows`), and the robust affine map through them has a
place of its own for the query: the farther the answer lies from it, the less it can be believed. And where a query
looks like the places beside it, its place is known the less exactly; this differs from organ to organ, and is seen in
the template alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.anchor_windows import (
    anchor_pairs,
    fit_anchors,
    mean_similarity,
    queries_in_memory,
    windows_round,
)
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.matching.query_vectors import nearest_cells, query_vectors
from anatomical_embedding.settings.confidence import EvidenceSettings
from anatomical_embedding.settings.neighbours import NeighbourSettings
from anatomical_embedding.volumes.affine import Points

AXES = np.concatenate([np.eye(3), -np.eye(3)])
UP = [2, 5]
"""Those of `AXES` that run along the body."""


def measure_neighbours(
    template: PreparedTarget,
    target: PreparedTarget,
    queries_mm: Points,
    answers_mm: Points,
    *,
    settings: EvidenceSettings,
) -> dict[str, NDArray[np.float64]]:
    """Return feature -> (N,) numbers, NaN where a query or an answer is not finite.

    Parameters
    ----------
    template, target : volumes of the queries and of the answers.
    queries_mm, answers_mm : (N, 3) world mm of each.

    Returns
    -------
    `neighbour_distance_mm` of the answer from its place by the neighbours, `neighbour_spread_mm` of these from their
    map, `neighbour_count` of those that agree and their mean `neighbour_similarity`; `alikeness`, the mean similarity
    of the query and the six places `alike_mm` from it along the axes, and `alikeness_up` of those above and below.
    """
    rows = np.flatnonzero(np.isfinite(queries_mm).all(axis=1) & np.isfinite(answers_mm).all(axis=1))
    measured = _agreement(template, target, queries_mm[rows], answers_mm[rows], settings=settings.neighbours)
    measured |= _alikeness(template, queries_mm[rows], distance_mm=settings.alike_mm)
    features = {name: np.full(len(queries_mm), np.nan) for name in measured}
    for name, values in measured.items():
        features[name][rows] = values
    return features


def _agreement(
    template: PreparedTarget,
    target: PreparedTarget,
    queries_mm: Points,
    answers_mm: Points,
    *,
    settings: NeighbourSettings,
) -> dict[str, NDArray[np.float64]]:
    own_cells, other_cells = _flat_cells(template, queries_mm), _flat_cells(target, answers_mm)
    names = ("neighbour_distance_mm", "neighbour_spread_mm", "neighbour_count", "neighbour_similarity")
    found = np.full((len(names), len(queries_mm)), np.nan)
    group_size = queries_in_memory(template, 1, settings)
    for start in range(0, len(queries_mm), group_size):
        part = slice(start, start + group_size)
        own = windows_round(template, own_cells[part, None], settings)
        other = windows_round(target, other_cells[part, None], settings)
        pairs = anchor_pairs(own, other, own_cells[part], settings)
        is_usable = np.ones(pairs.similarity.shape, dtype=bool)
        fit = fit_anchors(pairs, queries_mm[part], target, is_usable, settings)
        found[:, part] = (
            np.linalg.norm(fit.answers_mm - answers_mm[part], axis=1),
            fit.residual_mm,
            (fit.weights > 0).sum(axis=1),
            mean_similarity(pairs, fit),
        )
    return dict(zip(names, found, strict=True))


def _flat_cells(volume: PreparedTarget, points_mm: Points) -> torch.Tensor:
    """Return the (N,) flat fine cells in which points lie."""
    x, y, z = nearest_cells(volume.embedded.fine, points_mm).T
    return torch.from_numpy(np.ravel_multi_index((z, y, x), volume.embedded.fine.shape_zyx)).to(volume.device)


def _alikeness(
    template: PreparedTarget, queries_mm: Points, *, distance_mm: float
) -> dict[str, NDArray[np.float64]]:
    def vectors(points_mm: Points) -> torch.Tensor:
        interpolation = template.settings.query_interpolation
        return template.joint_queries(
            query_vectors(template.embedded, points_mm, interpolation=interpolation)
        )

    beside_mm = queries_mm[:, np.newaxis] + distance_mm * AXES  # (N, 6, 3)
    beside = vectors(beside_mm.reshape(-1, 3)).view(len(queries_mm), len(AXES), -1)
    similarity = torch.einsum("nc,nkc->nk", vectors(queries_mm), beside).double().cpu().numpy()
    return {"alikeness": similarity.mean(axis=1), "alikeness_up": similarity[:, UP].mean(axis=1)}
