"""Lesions that were apart where they were given and are one now.

The surroundings stay, so that each place is still on its side of what is one lesion now. From the tissue round one to
that round the other there is a way on which the scan looks like lesion all along, and there was none before: the valley
between the two has filled. The best way is asked, not the straight one, since places err. Masks are not asked: two
fitted ones beside each other often touch though a gap of a voxel is to be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from anatomical_embedding.follow.given_rows import as_point
from anatomical_embedding.follow.lesion_tissue import TWICE, TissueContrast, middle_of_tissue
from anatomical_embedding.follow.look import measure_look
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.states import calibrated
from anatomical_embedding.follow.visits import VisitScans
from anatomical_embedding.settings.follow import FollowSettings, MergeSettings
from anatomical_embedding.usage.scans import require_raw
from anatomical_embedding.volumes.volume import Volume

STEP_MM, SMOOTHING_STEPS = 1.5, 1.0
"""Of the samples between two places, and how far these are smoothed: single voxels are noise."""
WIDTH, END = 0.9, 0.5
"""How far a way may leave the straight one, in radii of the larger lesion, and where it ends, in radii of each."""
LEVELS = np.arange(1.0, 0.0, -0.05)
"""Shares of lesion that a way is looked for at."""


def mark_merged(
    rows: Sequence[LesionRow],
    sources: Mapping[int, Source],
    found_mm: Mapping[int, NDArray[np.float64]],
    scans: VisitScans,
    target: Volume,
    *,
    settings: FollowSettings,
) -> list[LesionRow]:
    """Return the rows; those that are one with another are `merged`, with the numbers of the others.

    One of the two must not be gone. The other may look so, since its place can lie at the far end of what both are.

    Parameters
    ----------
    sources : each lesion where it was given.
    found_mm : (3,) where the lesions lie that are not given at the visit, before their tissue is looked at.
    target : scan of the visit.
    """
    places = {
        row.lesion: found_mm.get(row.lesion, np.array(row.point_mm))
        for row in rows
        if row.state in ("present", "gone", "review", "split") and np.isfinite(row.point_mm).all()
    }
    present = {row.lesion for row in rows if row.state in ("present", "split", "review")}
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
    certainty = calibrated(settings.merging.certainty, settings.calibration)
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
    looks = [
        measure_look(before, lesion.centre_mm, lesion.radius_mm, settings=settings.look) for lesion in pair
    ]
    first, second = (
        middle_of_tissue(target, place, look, lesion.radius_mm, settings=settings.tissue)
        for place, look, lesion in zip(places_mm, looks, pair, strict=True)
    )
    inner = float(np.mean([look.inner for look in looks]))
    around = inner - float(np.mean([look.contrast for look in looks]))
    radii_mm = pair[0].radius_mm, pair[1].radius_mm
    centres_mm = pair[0].centre_mm, pair[1].centre_mm
    now = share_of_best_way(TissueContrast(target, inner, around), (first, second), radii_mm)
    then = share_of_best_way(TissueContrast(before, inner, around), centres_mm, radii_mm)
    apart_mm = float(np.linalg.norm(centres_mm[0] - centres_mm[1]))
    has_changed = now - then >= merging.rise or np.linalg.norm(first - second) <= merging.nearer * apart_mm
    return (first, second) if now >= merging.bridge and has_changed else None


def share_of_best_way(
    tissue: TissueContrast,
    ends_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
    radii_mm: tuple[float, float],
) -> float:
    """Return the share of lesion that the best way from one place to another nowhere falls below; 0 without any.

    Parameters
    ----------
    ends_mm, radii_mm : the two places, (3,) each, and the radii of the lesions there.
    """
    reach_mm = max(radii_mm)
    low, high = np.minimum(*ends_mm) - reach_mm, np.maximum(*ends_mm) + reach_mm
    axes = [np.arange(start, stop + STEP_MM, STEP_MM) for start, stop in zip(low, high, strict=True)]
    points_mm = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    shares = gaussian_filter(np.nan_to_num(tissue.shares(points_mm)), SMOOTHING_STEPS)
    shares = np.minimum(shares, TWICE - shares)
    along = ends_mm[1] - ends_mm[0]
    part = np.clip((points_mm - ends_mm[0]) @ along / max(float(along @ along), STEP_MM**2), 0.0, 1.0)
    off_mm = np.linalg.norm(points_mm - ends_mm[0] - part[..., np.newaxis] * along, axis=-1)
    shares[off_mm > WIDTH * reach_mm] = 0.0
    begin, end = (
        np.linalg.norm(points_mm - place, axis=-1) <= max(END * radius_mm, STEP_MM)
        for place, radius_mm in zip(ends_mm, radii_mm, strict=True)
    )
    for level in LEVELS:
        pieces, _ = label(shares >= level)
        if np.intersect1d(pieces[begin & (pieces > 0)], pieces[end & (pieces > 0)]).size:
            return float(level)
    return 0.0
