"""Where a match should lie by the other matches of a pair of scans: one that is far from there is searched again."""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.matching.local_affine import fit_local_affines
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.settings.refinement import ConsensusSettings
from anatomical_embedding.volumes.affine import Points

ROWS_AT_ONCE = 64
"""Bounds the memory: hundreds of matches may ask hundreds."""
MOST_ASKED = 400
"""Of more sure matches so many, spread over their list, take part: a smooth map needs no more."""
NO_QUERY = -1
"""Number of what takes part and is none of the queries."""


def expected_places(
    queries_mm: Points,
    places_mm: Points,
    is_sure: NDArray[np.bool_],
    *,
    anchors: Anchors | None = None,
    settings: ConsensusSettings,
) -> Points:
    """Return the (N, 3) places of queries by the robust affine map of the sure matches around each, but for its own.

    Parameters
    ----------
    queries_mm, places_mm : (N, 3) mm RAS+, each in the world of its scan.
    is_sure : (N,) matches that take part.
    anchors : other matches of the two scans that take part as well, so that a query alone can be expected somewhere.
    settings : how far and how stiff.

    Returns
    -------
    NaN for a query that is NaN, and everywhere where too few take part.
    """
    sure = np.flatnonzero(is_sure)
    expected_mm = np.full(queries_mm.shape, np.nan)
    if len(sure) > MOST_ASKED:
        sure = sure[np.linspace(0, len(sure) - 1, MOST_ASKED).astype(np.int64)]
    known_mm, found_mm = queries_mm[sure], places_mm[sure]
    if anchors is not None:
        known_mm, found_mm = (
            np.vstack([known_mm, anchors.template_mm]),
            np.vstack([found_mm, anchors.target_mm]),
        )
        sure = np.concatenate([sure, np.full(len(anchors.template_mm), NO_QUERY)])
    if len(sure) <= settings.min_matches:
        return expected_mm
    known = np.flatnonzero(np.isfinite(queries_mm).all(axis=1))
    for rows in np.array_split(known, len(known) // ROWS_AT_ONCE + 1):
        offsets_mm = known_mm - queries_mm[rows, np.newaxis]  # (R, A, 3)
        nearness = np.exp(-np.sum(offsets_mm**2, axis=2) / (2.0 * settings.reach_mm**2))
        nearness[rows[:, np.newaxis] == sure] = 0.0
        expected_mm[rows] = fit_local_affines(
            offsets_mm,
            np.broadcast_to(found_mm, offsets_mm.shape),
            nearness,
            stiffness_mm=settings.stiffness_mm,
            smallest_scale_mm=settings.smallest_scale_mm,
        ).answers_mm
    return expected_mm


def distances_mm(points_mm: Points, others_mm: Points) -> NDArray[np.float64]:
    """Return the (N,) distances of points from others; NaN where one is."""
    return np.asarray(np.linalg.norm(points_mm - others_mm, axis=1))
