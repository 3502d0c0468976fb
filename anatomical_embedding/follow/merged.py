"""Lesions that were apart where they were given and are one now.

The surroundings stay, so that each place is still on its side of what is one lesion now; the middles of the tissue
round the two places have come nearer, or a gap between them has closed: on the way from one to the other the scan looks
like lesion all along, and did not before. Masks are not asked: two fitted ones beside each other often touch though a
gap of a voxel is to be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.given_rows import as_point
from anatomical_embedding.follow.lesion_tissue import middle_of_tissue
from anatomical_embedding.follow.look import measure_look, values_at
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.visits import VisitScans
from anatomical_embedding.settings.follow import FollowSettings, MergeSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.volume import Volume

STEP_MM = 1.0
"""Of the way between two places."""
WIDTH = 0.25
"""Of the way, in radii of the smaller lesion: single voxels are noise."""


def mark_merged(
    rows: Sequence[LesionRow],
    sources: Mapping[int, Source],
    scans: VisitScans,
    target: Volume,
    *,
    settings: FollowSettings,
) -> list[LesionRow]:
    """Return the rows; those that are one with another are `merged`, with the numbers of the others.

    One of the two must be seen. The other may not look so, since its place can lie at the far end of what both are.

    Parameters
    ----------
    sources : each lesion where it was given.
    target : scan of the visit.
    """
    places = {
        row.lesion: np.array(row.point_mm)
        for row in rows
        if row.state in ("present", "gone", "review", "split") and np.isfinite(row.point_mm).all()
    }
    present = {row.lesion for row in rows if row.state in ("present", "split")}
    partners: dict[int, list[int]] = {}
    middles: dict[int, NDArray[np.float64]] = {}
    for first, second in combinations(places, 2):
        pair = sources[first], sources[second]
        if pair[0].visit != pair[1].visit or not present & {first, second}:
            continue
        before = require_raw(scans[pair[0].visit]).volume
        ends_mm = places[first], places[second]
        joined_mm = middles_of_one(pair, ends_mm, before, target, settings=settings)
        if joined_mm is not None:
            partners.setdefault(first, []).append(second)
            partners.setdefault(second, []).append(first)
            middles |= dict(zip((first, second), joined_mm, strict=True))
    return [
        replace(
            row,
            state="merged",
            related=tuple(partners[row.lesion]),
            point_mm=as_point(middles[row.lesion]),
            note="",
        )
        if row.lesion in partners
        else row
        for row in rows
    ]


def lesions_alone(sources: Mapping[int, Source], *, settings: MergeSettings) -> set[int]:
    """Return the lesions that are too far from all others of their visit to merge with one."""
    near: set[int] = set()
    for first, second in combinations(sources, 2):
        pair = sources[first], sources[second]
        if pair[0].visit == pair[1].visit and _are_near(pair, settings):
            near |= {first, second}
    return set(sources) - near


def _are_near(pair: tuple[Source, Source], settings: MergeSettings) -> bool:
    apart_mm = float(np.linalg.norm(pair[0].centre_mm - pair[1].centre_mm))
    return apart_mm <= settings.apart * (pair[0].radius_mm + pair[1].radius_mm)


def middles_of_one(
    pair: tuple[Source, Source],
    places_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
    before: Volume,
    target: Volume,
    *,
    settings: FollowSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the middles of the tissue of two lesions of one visit that are one in another scan; None if they are not.

    Parameters
    ----------
    pair : the lesions where they were given.
    places_mm : two (3,) places in the target.
    before, target : scans of the two visits.
    """
    merging = settings.merging
    if not _are_near(pair, merging):
        return None
    apart_mm = float(np.linalg.norm(pair[0].centre_mm - pair[1].centre_mm))
    looks = [
        measure_look(before, lesion.centre_mm, lesion.radius_mm, settings=settings.look) for lesion in pair
    ]
    first, second = (
        middle_of_tissue(target, place, look, lesion.radius_mm, settings=settings.tissue)
        for place, look, lesion in zip(places_mm, looks, pair, strict=True)
    )
    inner = float(np.mean([look.inner for look in looks]))
    contrast = float(np.mean([look.contrast for look in looks]))
    width_mm = WIDTH * min(lesion.radius_mm for lesion in pair)

    def lowest(scan: Volume, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64]) -> float:
        way = _way_between(scan, start_mm, end_mm, width_mm=width_mm)
        return float(np.min(1.0 + (way - inner) / contrast))

    is_nearer = np.linalg.norm(first - second) <= merging.nearer * apart_mm
    if is_nearer and lowest(target, first, second) >= merging.bridge:
        return first, second
    now, then = lowest(target, *places_mm), lowest(before, pair[0].centre_mm, pair[1].centre_mm)
    return (first, second) if now >= merging.closed and now - then >= merging.rise else None


def _way_between(
    scan: Volume, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], *, width_mm: float
) -> NDArray[np.float64]:
    """Return (N,) means of a scan over a small star round each point of the way from one place to another."""
    num = max(int(np.linalg.norm(end_mm - start_mm) / STEP_MM), 1) + 1
    points_mm = start_mm + np.linspace(0.0, 1.0, num)[:, np.newaxis] * (end_mm - start_mm)
    star = width_mm * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    return np.asarray(values_at(scan, points_mm[:, np.newaxis] + star).mean(axis=1))
