"""Where the tissue of a lesion lies round its place at another visit.

A place follows the body. Lesions that grow together move within it, and one that parts leaves its middle free; both are
told by how far the scan looks like the lesion and not like what surrounded it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.look import TINY, Look, cube_offsets, values_at
from anatomical_embedding.settings.follow import LesionSplitSettings, TissueSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
NUM_DIRECTIONS = 40
"""Half of the directions in which the parts of a lesion are looked for; the others are opposite."""
NUM_STEPS = 4
"""Until a place has moved to the middle of the tissue round it."""
AROUND = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.3, -0.3, 0.6, -0.6))])
"""Middles between two parts that are tried, from the place in radii: a lesion that parts draws its match to one."""
PART, PROBE, MIDDLE = 0.9, 0.32, 0.2
"""Of two parts at one scale: their distance from the middle between them, and the radii of what is averaged in each and
in the middle."""
MIDDLE_RING, PART_RING = 0.6, 0.9
"""Radii of the rings round the middle and round each part, across the line from one part to the other."""
BEYOND, PART_RADIUS = 1.95, 0.63
"""Distance of what lies beyond each part from the middle, and the radius of a part."""
FARTHEST, NEARER = 1.3, 0.4
"""Of a part from the place of the lesion, in radii of the lesion, since parts lie where it lay; and by how much more
like one a middle has to look that lies a radius farther from the place."""
APART = 1.2
"""Of the middles of two parts, in radii of the lesion: two pieces nearer to each other are one."""
TWICE = 2.0
"""A share as far above 1 as another is below it is as little like the lesion."""
NUM_ON_RING = 8


@dataclass(frozen=True)
class TissueContrast:
    """A scan in shares of a lesion: 1 for `inner`, the lesion itself, 0 for `around`, what surrounds it."""

    scan: Volume
    inner: float
    around: float

    def shares(self, points_mm: Points) -> FloatArray:
        """Return (...) shares at (..., 3) points; NaN outside the scan."""
        span = self.inner - self.around
        return np.asarray(
            (values_at(self.scan, points_mm) - self.around) / (span if abs(span) > TINY else TINY)
        )

    def likeness(self, points_mm: Points) -> FloatArray:
        """Return (...) how much like the lesion a scan is at (..., 3) points: 1 where it is, less to either side."""
        shares = self.shares(points_mm)
        return np.asarray(np.minimum(shares, TWICE - shares))

    def mean_shares(self, points_mm: Points, radius_mm: float) -> FloatArray:
        """Return (...) means over a small star round (..., 3) points."""
        return np.asarray(self.shares(points_mm[..., np.newaxis, :] + radius_mm * STAR).mean(axis=-1))


def half_sphere(number: int) -> FloatArray:
    """Return (N, 3) directions that, with their opposites, cover the sphere evenly (Fibonacci)."""
    step = np.arange(number) + 0.5
    height = 1.0 - step / number
    angle = np.pi * (1.0 + 5.0**0.5) * step
    across = np.sqrt(1.0 - height**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=1)


STAR = np.vstack([np.zeros(3), half_sphere(6), -half_sphere(6)])
DIRECTIONS = half_sphere(NUM_DIRECTIONS)


def rings_across(ways: FloatArray) -> FloatArray:
    """Return (D, N, 3) points of the unit circle across each of (D, 3) directions."""
    least = np.eye(3)[np.abs(ways).argmin(axis=1)]  # the axis that is farthest from each direction
    first = np.cross(ways, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    angles = 2.0 * np.pi / NUM_ON_RING * np.arange(NUM_ON_RING)[:, np.newaxis]
    return np.cos(angles) * first[:, np.newaxis] + np.sin(angles) * np.cross(ways, first)[:, np.newaxis]


RINGS = rings_across(DIRECTIONS)


def middle_of_tissue(
    scan: Volume, place_mm: FloatArray, look: Look, radius_mm: float, *, settings: TissueSettings
) -> FloatArray:
    """Return (3,) the middle of the lesion's tissue round a place; the place itself where there is too little.

    Parameters
    ----------
    scan : of the visit.
    place_mm : (3,) where the body puts the lesion.
    look, radius_mm : of the lesion at a visit that shows it.

    Notes
    -----
    Mean shift over a ball of the lesion's radius, weighted by the share of lesion.
    """
    tissue = TissueContrast(scan, look.inner, look.inner - look.contrast)
    offsets = cube_offsets(int(radius_mm / settings.step_mm), settings.step_mm).reshape(-1, 3)
    ball = offsets[np.linalg.norm(offsets, axis=1) <= radius_mm]
    middle = np.asarray(place_mm, dtype=np.float64)
    for _ in range(NUM_STEPS):
        share = np.clip(np.nan_to_num(tissue.shares(middle + ball)), 0.0, 1.0)
        share[share < settings.smallest_share] = 0.0
        if share.sum() < settings.smallest_part * len(ball):
            return np.asarray(place_mm, dtype=np.float64)
        middle = middle + share @ ball / share.sum()
        moved = middle - place_mm
        distance = float(np.linalg.norm(moved))
        if distance > settings.farthest * radius_mm:
            middle = place_mm + moved * settings.farthest * radius_mm / distance
    return middle


def find_parts(
    now: TissueContrast,
    place_mm: FloatArray,
    radius_mm: float,
    others_mm: Sequence[tuple[FloatArray, float]] = (),
    *,
    settings: LesionSplitSettings,
) -> Points | None:
    """Return (2, 3) middles of the two parts that a lesion is now; None where it is not in two parts.

    Parameters
    ----------
    now, place_mm : the visit, and (3,) where the lesion lies there.
    radius_mm : of the lesion where it is whole.
    others_mm : (3,) places and radii of other lesions; what lies there is none of its parts.

    Notes
    -----
    Two pieces of its tissue lie on opposite sides of a free middle, and the rings round that and round both pieces,
    across the line from one to the other, are free as well, as is what lies beyond. A lesion that is whole fills the
    first, larger tissue of the same look the others, and one that is gone leaves the sides free. Parts that are too
    small to be measured are not looked for: tissue everywhere has pieces of a few millimetres.
    """
    if PART_RADIUS * radius_mm < settings.smallest_radius_mm:
        return None
    middles_mm = (place_mm + radius_mm * AROUND)[:, np.newaxis]  # (O, 1, 3)
    best, parts_mm = -np.inf, None
    off = NEARER * np.linalg.norm(AROUND, axis=1)[:, np.newaxis]
    for scale in settings.scales:
        reach_mm = scale * radius_mm
        ways_mm = PART * reach_mm * DIRECTIONS  # (D, 3)
        sides_mm = np.stack([middles_mm + ways_mm, middles_mm - ways_mm])  # (2, O, D, 3)
        sides = now.mean_shares(sides_mm, PROBE * reach_mm)
        inner = np.minimum(sides.min(axis=0), TWICE - sides.max(axis=0))
        middle = now.likeness(middles_mm[..., np.newaxis, :] + MIDDLE * reach_mm * STAR).mean(axis=-1)
        rings = [_on_rings(now, middles_mm, MIDDLE_RING * reach_mm)]
        rings += [_on_rings(now, side_mm, PART_RING * reach_mm) for side_mm in sides_mm]
        ring = np.max(np.stack(np.broadcast_arrays(*rings)), axis=0)
        margins = np.stack(
            np.broadcast_arrays(
                inner - settings.inner,
                settings.middle - middle,
                settings.ring - ring,
                settings.beyond - _beyond(now, middles_mm, reach_mm),
            )
        )
        is_free = _is_free(sides_mm, place_mm, FARTHEST * radius_mm, others_mm)
        is_split = np.isfinite(margins).all(axis=0) & (margins.min(axis=0) > 0.0) & is_free
        rank = np.where(is_split, margins.min(axis=0) - off, -np.inf)
        found = np.unravel_index(rank.argmax(), rank.shape)
        if rank[found] > best:
            best, parts_mm = float(rank[found]), sides_mm[:, found[0], found[1]]
    return parts_mm


def tissue_of_parts(
    now: TissueContrast, look: Look, parts_mm: Points, radius_mm: float, *, settings: TissueSettings
) -> Points | None:
    """Return (2, 3) the middles of the tissue of both parts; None where they turn out to be one piece.

    Parameters
    ----------
    look, radius_mm : of the lesion at a visit that shows it whole.
    parts_mm : (2, 3) as `find_parts` returns them.
    """
    here = replace(look, contrast=look.inner - now.around)
    middles_mm = np.array(
        [
            middle_of_tissue(now.scan, part, here, PART_RADIUS * radius_mm, settings=settings)
            for part in parts_mm
        ]
    )
    return middles_mm if np.linalg.norm(middles_mm[0] - middles_mm[1]) >= APART * radius_mm else None


def _beyond(now: TissueContrast, middles_mm: Points, reach_mm: float) -> FloatArray:
    """Return (O, D) how much what lies beyond either part looks like the lesion; nothing does outside the scan."""
    ways_mm = BEYOND * reach_mm * DIRECTIONS
    ends_mm = np.stack([middles_mm + ways_mm, middles_mm - ways_mm])
    likeness = now.likeness(ends_mm[..., np.newaxis, :] + PROBE * reach_mm * STAR)
    return np.asarray(np.nan_to_num(likeness).mean(axis=-1).max(axis=0))


def _is_free(
    sides_mm: Points, place_mm: FloatArray, farthest_mm: float, others_mm: Sequence[tuple[FloatArray, float]]
) -> NDArray[np.bool_]:
    """Return (O, D) whether both sides lie no farther from a place than they may, and outside of other lesions."""
    free = np.linalg.norm(sides_mm - place_mm, axis=-1).max(axis=0) <= farthest_mm
    for centre_mm, radius_mm in others_mm:
        free &= np.linalg.norm(sides_mm - centre_mm, axis=-1).min(axis=0) >= radius_mm
    return np.asarray(free)


def _on_rings(now: TissueContrast, centres_mm: Points, radius_mm: float) -> FloatArray:
    """Return (O, D) mean likenesses on rings round (O, D or 1, 3) centres, each across one of the directions."""
    return np.asarray(now.likeness(centres_mm[:, :, np.newaxis] + radius_mm * RINGS).mean(axis=-1))
