"""Lesions that were apart where they were given and are one now.

Two balls put into the surroundings of a pair (`surroundings`) are its lesions now, and one ball is one of them, where
the other has gone. Two that explain the scan best are one lesion where they nearly touch, what lies between them is
lesion, and they have approached or grown towards each other: the balls that fit best may miss by a part of a voxel.
Places are not asked beyond the middle between the two: the match of either may end anywhere in what both are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.given_rows import as_point
from anatomical_embedding.follow.look import measure_look
from anatomical_embedding.follow.places import AnsweredPlace
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.states import calibrated
from anatomical_embedding.follow.surroundings import Comparison, Shapes, Way, balls, compare, half_sphere
from anatomical_embedding.follow.visits import VisitScans
from anatomical_embedding.settings.follow import FollowSettings, MergeSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
STEP, BEYOND = 0.25, 1.0
"""Distance of the samples, and how far they reach beyond the lesions, in radii of the larger one."""
SIZES = (0.8, 1.0, 1.2)
"""Of both lesions, in their former ones."""
NEARER = (0.3, 0.45, 0.6, 0.75, 0.9, 1.05)
"""Distances between the two, in their former one."""
SHIFTS = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.3, -0.3, 0.6, -0.6))])
"""Of the middle between the two, and of a lesion that is there alone, in radii of the larger one."""
BETWEEN = 0.3
"""Radius of the ball between the two that has to be filled."""
FINE = 0.1 * (np.indices((5, 5, 5)).reshape(3, -1).T - 2.0)
"""By which each of two that are one is moved to where it explains most."""
TURN = 0.45
"""Tangent of the angle by which the way from one to the other may have turned."""
MERGED_STATES = ("present", "gone", "review", "split")
"""States of lesions that may be one with another."""


def mark_merged(
    rows: Sequence[LesionRow],
    sources: Mapping[int, Source],
    places: Mapping[int, AnsweredPlace],
    scans: VisitScans,
    target: Volume,
    *,
    settings: FollowSettings,
) -> list[LesionRow]:
    """Return the rows; those that are one with another are `merged`, with the numbers of the others.

    Either may look gone, since its place can lie at the far end of what both are; one that is in two parts more surely
    than any pair has merged is none of a pair.

    Parameters
    ----------
    sources : each lesion where it was given.
    places : where the lesions that are not given at the visit lie by the visits before.
    target : scan of the visit.
    """
    certainty = calibrated(settings.merging.certainty, settings.calibration)
    asked = [
        row.lesion
        for row in rows
        if row.lesion in places
        and row.state in MERGED_STATES
        and not (row.state == "split" and row.probability >= certainty)
        and np.isfinite(places[row.lesion].point_mm).all()
    ]
    partners: dict[int, list[int]] = {}
    middles: dict[int, FloatArray] = {}
    for first, second in combinations(asked, 2):
        pair = sources[first], sources[second]
        if pair[0].visit != pair[1].visit:
            continue
        before = require_raw(scans[pair[0].visit]).volume
        joined_mm = middles_of_one(pair, (places[first], places[second]), before, target, settings=settings)
        if joined_mm is not None:
            partners.setdefault(first, []).append(second)
            partners.setdefault(second, []).append(first)
            middles |= dict(zip((first, second), joined_mm, strict=True))
    return [
        replace(
            row,
            state="merged",
            probability=certainty if row.how in ("direct", "joint") else row.probability,
            related=tuple(partners[row.lesion]),
            point_mm=as_point(middles[row.lesion]),
            note="",
        )
        if row.lesion in partners
        else row
        for row in rows
    ]


def middles_of_one(
    pair: tuple[Source, Source],
    places: tuple[AnsweredPlace, AnsweredPlace],
    before: Volume,
    target: Volume,
    *,
    settings: FollowSettings,
) -> Points | None:
    """Return (2, 3) the middles of two lesions of one visit that are one in another scan; None if they are not.

    Parameters
    ----------
    pair : the lesions where they were given.
    places : where they lie in the target by the visits before.
    before, target : scans of the two visits.
    """
    centres_mm = np.array([lesion.centre_mm for lesion in pair])
    apart_mm = float(np.linalg.norm(centres_mm[1] - centres_mm[0]))
    if apart_mm > settings.merging.apart * (pair[0].radius_mm + pair[1].radius_mm):
        return None
    looks = [
        measure_look(before, lesion.centre_mm, lesion.radius_mm, settings=settings.look) for lesion in pair
    ]
    if min(look.visibility(settings.look) for look in looks) < settings.merging.visibility:
        return None
    unit_mm = max(lesion.radius_mm for lesion in pair)
    way = Way(
        centres_mm.mean(axis=0),
        np.mean([place.point_mm for place in places], axis=0),
        np.mean([place.matrix_from_given for place in places], axis=0),
    )
    reach = apart_mm / unit_mm / 2.0 + BEYOND
    lesions = list(zip(pair, looks, strict=True))
    seen = compare(before, target, way, lesions, unit_mm=unit_mm, step=STEP, reach=reach)
    if seen is None:
        return None
    offsets = (centres_mm - way.from_mm) / unit_mm
    radii = np.array([lesion.radius_mm for lesion in pair]) / unit_mm
    middles = _one_lesion(seen, offsets, radii, settings.merging)
    return None if middles is None else way.carry(unit_mm * middles)


def _one_lesion(
    seen: Comparison, offsets: Points, radii: FloatArray, settings: MergeSettings
) -> Points | None:
    """Return (2, 3) middles of two lesions that are one; None if they are not.

    Parameters
    ----------
    offsets, radii : (2, 3) of the lesions from the middle between them, and (2,) radii, where they were given.
    """
    middles, sizes = _pairs(offsets)
    gaps = np.linalg.norm(middles[1] - middles[0], axis=1) - sizes * radii.sum()
    before = float(np.linalg.norm(offsets[1] - offsets[0]) - radii.sum())
    is_one = gaps <= min(settings.gap, before - settings.nearer)
    shapes = [balls(seen.points, each, sizes * radius) for each, radius in zip(middles, radii, strict=True)]
    gain = seen.fit(np.maximum(*shapes)).gain
    best = int(np.where(is_one, gain, -np.inf).argmax())
    least = min(float(seen.fit(shape[best]).share) for shape in shapes)
    others = max(float(gain[~is_one].max()), float(seen.fit(_alone(seen, offsets, radii)).gain.max()), 0.0)
    found = middles[:, best]
    between = float(seen.fit_balls(found.mean(axis=0)[np.newaxis], BETWEEN).share[0])
    is_filled = least >= settings.part and between >= settings.filled
    if not (is_one.any() and gain[best] > others and is_filled):
        return None
    for moving in (0, 1, 0, 1):  # each beside the other
        near = found[moving] + FINE
        other = balls(seen.points, found[[1 - moving]], sizes[[best]] * radii[1 - moving])
        mine = balls(seen.points, near, np.full(len(near), sizes[best] * radii[moving]))
        found[moving] = near[seen.fit(np.maximum(mine, other)).gain.argmax()]
    return found


def _pairs(offsets: Points) -> tuple[Points, FloatArray]:
    """Return (2, K, 3) middles of two lesions as they may be now, and (K,) their sizes in the former ones."""
    along = offsets[1] - offsets[0]
    apart = float(np.linalg.norm(along))
    turns = np.vstack([np.zeros(3), half_sphere(4), -half_sphere(4)])
    ways = along / apart + TURN * turns
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    found = [
        (shift + side * nearer * apart / 2.0 * way, size)
        for size, nearer, shift, way in product(SIZES, NEARER, SHIFTS, ways)
        for side in (-1.0, 1.0)
    ]
    middles, sizes = (np.array(each) for each in zip(*found, strict=True))
    return np.stack([middles[0::2], middles[1::2]]), sizes[0::2]


def _alone(seen: Comparison, offsets: Points, radii: FloatArray) -> Shapes:
    """Return (K, N) 1 in either lesion, where the other has gone."""
    return np.vstack(
        [
            balls(seen.points, offset + SHIFTS, np.full(len(SHIFTS), size * radius))
            for offset, radius in zip(offsets, radii, strict=True)
            for size in SIZES
        ]
    )
