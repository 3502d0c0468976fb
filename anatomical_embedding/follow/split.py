"""Whether a lesion is in two parts now: the scan beside what it would look like with two parts, with one, and without.

Two balls put into its surroundings (`surroundings`) are two parts, one ball a lesion that is whole, and the
surroundings alone one that has gone. Two parts that explain the scan best are believed where each is there on its own,
with a gap between them, and where what they cover beside the former lesion is new. Those that fit less well than parts
without a gap have to be there more clearly, and so have those of a lesion that was gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.look import Look
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.surroundings import Shapes, Way, balls, compare, half_sphere, samples
from anatomical_embedding.settings.follow import LesionSplitSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
STEP, REACH = 0.2, 1.9
"""Distance of the samples, and how far they reach from the middle; lengths here are in radii of the lesion."""
PART_RADIUS, PART_APART = 0.6, 0.85
"""Of the parts of a lesion of radius 1: their radius, and their distance from the middle between them."""
AROUND = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.3, -0.3, 0.6, -0.6))])
"""Middles between two parts that are tried: a lesion that parts draws its match to one."""
NUM_DIRECTIONS = 40
"""Half of the directions in which the parts are looked for; the others are opposite."""
CORE = 0.4
"""Radius of what of a part has to be there."""
GAP = 0.25
"""Radius of the ball between the two that has to be free."""
WIDER = 1.2
"""Radius of the ball in which the middle of a part is looked for, in radii of the part."""
WHOLE_SCALES = (0.5, 0.65, 0.8, 1.0, 1.2, 1.4, 1.6)
WHOLE_OFFSETS = np.vstack([np.zeros(3), *(share * half_sphere(7) for share in (0.25, -0.25, 0.5, -0.5))])
"""Sizes and places of a lesion that is whole."""


def find_parts(
    before: Volume,
    now: Volume,
    way: Way,
    lesion: tuple[Source, Look],
    others_mm: Sequence[tuple[FloatArray, float]] = (),
    *,
    was_gone: bool = False,
    settings: LesionSplitSettings,
) -> Points | None:
    """Return (2, 3) middles of the two parts that a lesion is now; None where it is not in two parts.

    Parameters
    ----------
    before, lesion : the scan that shows the lesion whole, the lesion there, and how it looks.
    now : the other scan.
    way : from the lesion in the first to its place in the other.
    others_mm : (3,) places and radii of other lesions; what lies there is none of its parts.
    was_gone : whether the lesion was gone at the visit before.

    Notes
    -----
    Parts that are too small to be measured are not looked for: tissue everywhere has pieces of a few millimetres.
    """
    radius_mm = lesion[0].radius_mm
    if PART_RADIUS * radius_mm < settings.smallest_radius_mm:
        return None
    seen = compare(before, now, way, [lesion], unit_mm=radius_mm, step=STEP, reach=REACH)
    shapes = _shapes(settings.scales)
    is_free = _is_free(way.carry(radius_mm * shapes.middles), others_mm)
    if seen is None or not is_free.any():
        return None
    gain = np.where(is_free, seen.fit(shapes.parts).gain, -np.inf)
    has_gap = (seen.fit_balls(AROUND, GAP).share <= settings.gap)[shapes.between]
    is_doubtful = was_gone or not has_gap[gain.argmax()]
    gain = np.where(has_gap, gain, -np.inf)
    best = int(gain.argmax())
    middles, scale = shapes.middles[:, best], shapes.scales[best]
    is_split = (
        gain[best] > max(float(seen.fit(shapes.wholes).gain.max()), 0.0)
        and seen.fit_balls(middles, CORE * scale).share.min()
        >= (settings.part_in_doubt if is_doubtful else settings.part)
        and seen.fit_outside(shapes.parts[best]).share >= settings.new
    )
    if not is_split:
        return None
    moved = [seen.middle_of(middle, WIDER * PART_RADIUS * scale) for middle in middles]
    return way.carry(radius_mm * np.array(moved))


def _is_free(parts_mm: Points, others_mm: Sequence[tuple[FloatArray, float]]) -> NDArray[np.bool_]:
    """Return (K,) whether both of (2, K, 3) parts lie outside of other lesions."""
    free = np.ones(parts_mm.shape[1], dtype=bool)
    for centre_mm, radius_mm in others_mm:
        free &= np.linalg.norm(parts_mm - centre_mm, axis=-1).min(axis=0) >= radius_mm
    return free


@dataclass(frozen=True)
class _Shapes:
    """What a lesion of radius 1 may be now, on the N samples round its middle.

    Attributes
    ----------
    middles, scales : (2, K, 3) of two parts, and (K,) the size of both together.
    between : (K,) which of `AROUND` lies between them.
    parts : (K, N) 1 in both of them.
    wholes : (W, N) 1 in a lesion that is whole.
    """

    middles: Points
    scales: FloatArray
    between: NDArray[np.intp]
    parts: Shapes
    wholes: Shapes


@lru_cache(maxsize=1)
def _shapes(scales: tuple[float, ...]) -> _Shapes:
    cube, is_near = samples(STEP, REACH)
    points = cube[is_near]
    ways = PART_APART * half_sphere(NUM_DIRECTIONS)
    rows = [AROUND[:, np.newaxis] + scale * np.stack([ways, -ways])[:, np.newaxis] for scale in scales]
    middles = np.concatenate(rows, axis=1).reshape(2, -1, 3)  # scales, middles and directions in one row
    sizes = np.repeat(scales, len(AROUND) * NUM_DIRECTIONS)
    between = np.tile(np.repeat(np.arange(len(AROUND)), NUM_DIRECTIONS), len(scales))
    parts = np.maximum(*(balls(points, each, PART_RADIUS * sizes) for each in middles))
    offsets = np.tile(WHOLE_OFFSETS, (len(WHOLE_SCALES), 1))
    wholes = balls(points, offsets, np.repeat(WHOLE_SCALES, len(WHOLE_OFFSETS)))
    return _Shapes(middles, sizes, between, parts, wholes)
