"""A match below the size of a cell: the scans themselves tell where the surroundings of a query point lie.

An embedding answers in cells of several millimetres. Around its answer the two scans are compared as they are: by
correlation of self-similarities over a lattice of shifts (`local_correlation`), which any two contrasts allow, then,
between scans of one contrast, by Gauss-Newton steps for a local affine map (`descent_passes`). Where the other matches
of the pair expect a match elsewhere (`expected_places`), it is searched for there as well. The refined place is kept
only if its surroundings resemble those of the query, the same search from there ends at the query again, and it is no
farther from where the search began than a cell may be wrong, unless neighbours moved alike; otherwise the match stands
as it was, and the reason is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.matching.descent_passes import descended
from anatomical_embedding.matching.expected_places import distances_mm, expected_places
from anatomical_embedding.matching.local_correlation import around_places, around_points, best_shifts
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

POINTS_AT_ONCE = 32
"""Bounds the working memory to about 100 MB."""
MOST_ROUNDS = 4
"""Matches that are found where they are expected tell better where others are; after two rounds hardly any change."""
UNEXPECTED_PER_MM = 0.01
"""A place so much more alike may lie a millimetre farther from where the other matches expect it: the vertebra or rib
beside the right one looks much the same, 20 mm off."""


@dataclass(frozen=True)
class RefinedMatches:
    """Matches after the scans were looked at, in the order of the queries.

    Attributes
    ----------
    points_mm : (N, 3) mm RAS+ in the target's world; as given where not refined.
    is_refined : (N,) bool.
    reason : (N,) why a match was not refined; empty where it was.
    shift_mm : (N,) distance from the match that was given; 0 where not refined.
    correlation : (N,) of the surroundings at the best place, in [-1, 1]; NaN without a match.
    """

    points_mm: Points
    is_refined: NDArray[np.bool_]
    reason: tuple[str, ...]
    shift_mm: NDArray[np.float64]
    correlation: NDArray[np.float64]


def refine_matches(
    template: Volume,
    target: Volume,
    query_points_mm: ArrayLike,
    matches_mm: ArrayLike,
    *,
    settings: RefinementSettings,
    is_same_contrast: bool = True,
    anchors: Anchors | None = None,
) -> RefinedMatches:
    """Return matches moved to where the target looks most like the surroundings of each query.

    Parameters
    ----------
    template, target : scans, each on its own grid.
    query_points_mm : (N, 3) mm RAS+ in the template's world.
    matches_mm : (N, 3) mm RAS+ in the target's world; NaN where there is no match.
    is_same_contrast : whether the values of one scan are those of the other up to a gain and an offset, as in two CTs;
        without it a place is only as exact as its self-similarities tell, about a millimetre.
    anchors : other matches of the two scans, by which a match is expected somewhere as by those that are refined.

    Notes
    -----
    The time goes with the number of points, whatever the size of the scans, and is two to three times as long where one
    lies obliquely in the world (`benchmarks/voxel_refinement.py`).
    """
    queries_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    given_mm = np.asarray(matches_mm, dtype=np.float64).reshape(-1, 3)

    def searched(starts_mm: Points) -> _Searched:
        return _searched(
            template, queries_mm, target, starts_mm, is_same_contrast=is_same_contrast, settings=settings
        )

    found, asked_mm = searched(given_mm), np.full(given_mm.shape, np.inf)
    for _ in range(MOST_ROUNDS):
        expected_mm = expected_places(
            queries_mm,
            found.points_mm,
            np.array([not text for text in found.reason]),
            anchors=anchors,
            settings=settings.consensus,
        )
        is_astray = distances_mm(found.kept_mm(given_mm), expected_mm) > settings.consensus.astray_mm
        is_astray &= distances_mm(expected_mm, asked_mm) > settings.correlation.step_mm
        if not is_astray.any():
            break
        asked_mm[is_astray] = expected_mm[is_astray]
        found = found.or_better(
            searched(np.where(is_astray[:, np.newaxis], expected_mm, np.nan)), expected_mm
        )
    points_mm = found.kept_mm(given_mm)
    is_refined = np.array([not text for text in found.reason], dtype=bool)
    shift_mm = np.where(is_refined, distances_mm(points_mm, given_mm), 0.0)
    return RefinedMatches(points_mm, is_refined, found.reason, shift_mm, found.correlation)


@dataclass(frozen=True)
class _Searched:
    """Where a search of N matches ended, what speaks for it, and why not to keep it (empty where nothing does)."""

    points_mm: Points
    correlation: NDArray[np.float64]
    reason: tuple[str, ...]

    def kept_mm(self, given_mm: Points) -> Points:
        """Return the (N, 3) places found, and those given where they are not kept."""
        is_kept = np.array([not text for text in self.reason], dtype=bool)
        return np.where(is_kept[:, np.newaxis], self.points_mm, given_mm)

    def or_better(self, other: "_Searched", expected_mm: Points) -> "_Searched":
        """Return the other search where it may be kept, and this one fails or is worth less.

        A place is worth its correlation, and less the farther it lies from the (N, 3) places that are expected.
        """
        is_worth_more = other._worth(expected_mm) > self._worth(expected_mm)
        is_other = np.array(
            [
                not theirs and (bool(ours) or better)
                for theirs, ours, better in zip(other.reason, self.reason, is_worth_more, strict=True)
            ],
            dtype=bool,
        )
        return _Searched(
            np.where(is_other[:, np.newaxis], other.points_mm, self.points_mm),
            correlation=np.where(is_other, other.correlation, self.correlation),
            reason=tuple(np.where(is_other, other.reason, self.reason).tolist()),
        )

    def _worth(self, expected_mm: Points) -> NDArray[np.float64]:
        return self.correlation - UNEXPECTED_PER_MM * distances_mm(self.points_mm, expected_mm)


def _searched(
    template: Volume,
    queries_mm: Points,
    target: Volume,
    starts_mm: Points,
    *,
    is_same_contrast: bool,
    settings: RefinementSettings,
) -> _Searched:
    """Return where the searches around (N, 3) starts end; NaN is no start."""
    found_mm = starts_mm.copy()
    correlation, return_mm = np.full((2, len(starts_mm)), np.nan)
    for rows in _batches(np.flatnonzero(np.isfinite(starts_mm).all(axis=1))):
        query, start = queries_mm[rows], starts_mm[rows]
        known = around_points(template, query, settings=settings.correlation)
        seen = around_places(target, start, settings=settings.correlation)
        best = best_shifts(known, seen, settings=settings.correlation)
        correlation[rows], return_mm[rows] = best.correlation, best.return_mm
        found_mm[rows] = start + best.shift_mm
        # A place that will not be kept is not looked at more closely.
        part = np.flatnonzero(
            (best.correlation >= settings.min_correlation) & (best.return_mm <= settings.max_return_mm)
        )
        if is_same_contrast and part.size:
            found_mm[rows[part]] = start[part] + descended(
                known.part(part),
                seen.part(part),
                best.shift_mm[part],
                left_out_mm=np.where(best.is_changed[part], settings.correlation.half_size_mm, 0.0),
                settings=settings.descent,
            )
    moved_mm = distances_mm(found_mm, starts_mm)
    is_alone = moved_mm > settings.max_shift_alone_mm
    is_alone[is_alone] = ~_neighbours_agree(
        starts_mm, found_mm - starts_mm, np.flatnonzero(is_alone), settings=settings
    )
    reason = tuple(
        _why_not(seen, back_mm, far_mm if alone else 0.0, settings=settings)
        for seen, back_mm, far_mm, alone in zip(correlation, return_mm, moved_mm, is_alone, strict=True)
    )
    return _Searched(found_mm, correlation, reason)


def _neighbours_agree(
    places_mm: Points, shifts_mm: Points, rows: NDArray[np.int64], *, settings: RefinementSettings
) -> NDArray[np.bool_]:
    """Return for some rows whether enough of the other matches around them moved alike; NaN is no match."""
    is_near = np.linalg.norm(places_mm[rows, np.newaxis] - places_mm, axis=2) <= settings.neighbour_mm
    is_alike = np.linalg.norm(shifts_mm[rows, np.newaxis] - shifts_mm, axis=2) <= settings.max_disagreement_mm
    return np.sum(is_near & is_alike, axis=1) - 1 >= settings.min_neighbours


def _why_not(correlation: float, return_mm: float, alone_mm: float, *, settings: RefinementSettings) -> str:
    if np.isnan(correlation):
        return "there is no match to refine"
    if correlation < settings.min_correlation:
        return f"the surroundings differ (correlation {correlation:.2f})"
    if not return_mm <= settings.max_return_mm:
        return f"the way back through the scans ends {return_mm:.1f} mm from the point"
    if alone_mm:
        return f"it would move by {alone_mm:.1f} mm, and no neighbours move alike"
    return ""


def _batches(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), POINTS_AT_ONCE):
        yield rows[start : start + POINTS_AT_ONCE]
