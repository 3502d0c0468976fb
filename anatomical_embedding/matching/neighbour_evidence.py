"""Whether the cells around a query agree with its answer.

They are matched near the answer and back (`anchor_windows`), and the robust affine map through them has a place of its
own for the query: the farther the answer lies from it, the less it can be believed.
"""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.matching.anchor_windows import (
    anchor_pairs,
    fit_anchors,
    mean_similarity,
    queries_in_memory,
    windows_round,
)
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.neighbours import NeighbourSettings
from anatomical_embedding.volumes.affine import Points

NEIGHBOUR_FEATURES = (
    "neighbour_distance_mm",
    "neighbour_spread_mm",
    "neighbour_count",
    "neighbour_similarity",
)
"""Distance of the answer from its place by the neighbours, how far these disagree with their map, how many agree, and
their mean similarity."""


def measure_neighbours(
    template: PreparedTarget,
    target: PreparedTarget,
    queries_mm: Points,
    answers_mm: Points,
    *,
    settings: NeighbourSettings,
) -> dict[str, NDArray[np.float64]]:
    """Return each of `NEIGHBOUR_FEATURES` -> (N,) numbers, NaN where a query or an answer is not finite.

    Parameters
    ----------
    template, target : volumes of the queries and of the answers.
    queries_mm, answers_mm : (N, 3) world mm of each.
    """
    found = np.full((len(NEIGHBOUR_FEATURES), len(queries_mm)), np.nan)
    rows = np.flatnonzero(np.isfinite(queries_mm).all(axis=1) & np.isfinite(answers_mm).all(axis=1))
    group_size = queries_in_memory(template, 1, settings)
    for start in range(0, len(rows), group_size):
        part = rows[start : start + group_size]
        own_cells = template.cells_at(queries_mm[part])
        own = windows_round(template, own_cells[:, None], settings)
        other = windows_round(target, target.cells_at(answers_mm[part])[:, None], settings)
        pairs = anchor_pairs(own, other, own_cells, settings)
        is_usable = np.ones(pairs.similarity.shape, dtype=bool)
        fit = fit_anchors(pairs, queries_mm[part], target, is_usable, settings)
        found[:, part] = (
            np.linalg.norm(fit.answers_mm - answers_mm[part], axis=1),
            fit.residual_mm,
            (fit.weights > 0).sum(axis=1),
            mean_similarity(pairs, fit),
        )
    return dict(zip(NEIGHBOUR_FEATURES, found, strict=True))
