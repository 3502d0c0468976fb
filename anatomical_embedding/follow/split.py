"""Whether a lesion is in two parts now: the scan beside what it would look like with two parts, with one, and without.

Two balls put into its surroundings (`surroundings`) are two parts, one ball a lesion that is whole, and the
surroundings alone one that has gone. The two parts with a gap between them that explain the scan best, near the place
where the lesion is expected, are looked at together with what became of it before: logistic weights, fitted on
synthetic bodies, say how likely it has split. A part of them has to be new, beside the former lesion.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from anatomical_embedding.follow.look import Look
from anatomical_embedding.follow.records import State
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.surroundings import (
    Comparison,
    Shapes,
    Way,
    balls,
    compare,
    half_sphere,
    samples,
)
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
PER_SQUARED_OFFSET = 0.25
"""What parts explain counts less by this, in shares of what the lesion explained, a squared radius from its place."""
NUM_DIRECTIONS = 40
"""Half of the directions in which the parts are looked for; the others are opposite."""
CORE = 0.67
"""Radius of what of a part has to be there, in radii of the part."""
GAP = 0.25
"""Radius of the ball between the two that has to be free."""
SMALLEST_GAP = 0.2
"""Between the surfaces of two parts."""
NUM_ROUNDS = 3
FINE, RESIZED = 0.1 * (np.indices((5, 5, 5)).reshape(3, -1).T - 2.0), np.array([0.8, 0.9, 1.1, 1.25])
"""By which the best balls are moved, and factors of their radii, so often."""
PART_RADII, WHOLE_RADII = (0.4, 0.8), (0.4, 1.7)
"""Of a part and of a lesion that is whole, at least and at most."""
HISTORY: dict[State | None, float] = {"split": 1.0, "gone": -1.0}
"""What the last visit that tells its state says of two parts now; nothing where it called it anything else."""
WHOLE_SCALES = (0.5, 0.65, 0.8, 1.0, 1.2, 1.4, 1.6)
WHOLE_OFFSETS = np.vstack([np.zeros(3), *(share * half_sphere(7) for share in (0.25, -0.25, 0.5, -0.5))])
"""Sizes and places of a lesion that is whole."""


@dataclass(frozen=True)
class Parts:
    """Two parts that a lesion may be in: (2, 3) middles in mm RAS+, and how likely it is."""

    middles_mm: Points
    probability: float


@dataclass(frozen=True)
class PartsEvidence:
    """What tells of the best pair of parts.

    Attributes
    ----------
    margin : by how much more it explains than one ball or none, as a share of what the lesion explained.
    weaker : how strong the weaker part is, as a share of how the lesion looked; at least 0 and at most 1.
    aside : distance of the middle between the parts from the place, in radii of the lesion.
    history : 1 where the last visit that tells its state found it in two parts, -1 where it was gone, else 0.
    """

    margin: float
    weaker: float
    aside: float
    history: float


def find_parts(
    before: Volume,
    now: Volume,
    way: Way,
    lesion: tuple[Source, Look],
    others_mm: Sequence[tuple[FloatArray, float]] = (),
    *,
    last: State | None = None,
    settings: LesionSplitSettings,
) -> Parts | None:
    """Return the two parts that a lesion is in now, if it is; None where there is no such pair.

    Parameters
    ----------
    before, lesion : the scan that shows the lesion whole, the lesion there, and how it looks.
    now : the other scan.
    way : from the lesion in the first to its place in the other.
    others_mm : (3,) places and radii of other lesions; what lies there is none of its parts.
    last : what the last visit that tells its state called it; None where no visit does.

    Notes
    -----
    Parts that are too small to be measured are not looked for: tissue everywhere has pieces of a few millimetres.
    """
    radius_mm = lesion[0].radius_mm
    if PART_RADIUS * radius_mm < settings.smallest_radius_mm:
        return None
    seen = compare(before, now, way, [lesion], unit_mm=radius_mm, step=STEP, reach=REACH)
    if seen is None:
        return None
    found = best_pair(
        seen,
        lambda middles: _is_free(way.carry(radius_mm * middles), others_mm),
        history=HISTORY.get(last, 0.0),
        settings=settings,
    )
    if found is None:
        return None
    middles, evidence = found
    weights = settings.log_odds.model_dump()
    log_odds = weights["constant"] + sum(weights[name] * value for name, value in asdict(evidence).items())
    return Parts(way.carry(radius_mm * middles), float(expit(log_odds)))


def best_pair(
    seen: Comparison,
    is_free: Callable[[Points], NDArray[np.bool_]],
    *,
    history: float,
    settings: LesionSplitSettings,
) -> tuple[Points, PartsEvidence] | None:
    """Return (2, 3) middles of the best pair of parts, and what tells of it; None without one.

    Parameters
    ----------
    seen : the scan beside the surroundings of the lesion; lengths are in its radii.
    is_free : (2, K, 3) middles of parts -> (K,) whether both lie outside of other lesions.
    history : of `PartsEvidence`.
    """
    shapes = _shapes(settings.scales)
    lesion = float(seen.fit_balls(np.zeros((1, 3)), 1.0).square[0])
    if lesion == 0.0:
        return None  # the scan does not hold its place
    worth = _Worth(seen, lesion, settings.gap, is_free)
    can_be = worth.has_gap(AROUND)[shapes.between] & is_free(shapes.middles)
    known = np.where(can_be, worth.of_shapes(shapes.parts, shapes.middles), -np.inf)
    pairs = [
        _refined(
            shapes.middles[:, start], PART_RADIUS * shapes.scales[[start, start]], PART_RADII, worth.of_parts
        )
        for start in _best_of_each(known, shapes.scales)
        if np.isfinite(known[start])
    ]
    if not pairs:
        return None
    parts, middles, radii = max(pairs, key=lambda pair: pair[0])
    shape = np.max(balls(seen.points, middles, radii), axis=0)
    if seen.fit_outside(shape).product < settings.new * seen.fit(shape).square:
        return None
    start = int(worth.of_shapes(shapes.wholes, shapes.wholes_at[np.newaxis]).argmax())
    whole, _, _ = _refined(
        shapes.wholes_at[[start]], shapes.wholes_radii[[start]], WHOLE_RADII, worth.of_balls
    )
    cores = [
        float(seen.fit_balls(*each).share[0])
        for each in zip(middles[:, np.newaxis], CORE * radii, strict=True)
    ]
    return middles, PartsEvidence(
        margin=parts - max(whole, 0.0),
        weaker=float(np.clip(min(cores), 0.0, 1.0)),
        aside=float(np.linalg.norm(middles.mean(axis=0))),
        history=history,
    )


@dataclass(frozen=True)
class _Worth:
    """How much of a scan a lesion explains as it may be now, as a share of what it explained; less beside its place.

    Attributes
    ----------
    seen : the scan beside the surroundings of the lesion.
    lesion : what the lesion explained.
    gap : largest share of lesion between two parts.
    is_free : as in `best_pair`.
    """

    seen: Comparison
    lesion: float
    gap: float
    is_free: Callable[[Points], NDArray[np.bool_]]

    def has_gap(self, between: Points) -> NDArray[np.bool_]:
        """Return (K,) whether (K, 3) middles between two parts are free of lesion."""
        return np.asarray(self.seen.fit_balls(between, GAP).share <= self.gap)

    def of_shapes(self, shape: Shapes, middles: Points) -> FloatArray:
        """Return (K,) what (K, N) shapes are worth, of one or two balls with (B, K, 3) middles."""
        aside = np.linalg.norm(middles.mean(axis=0), axis=-1)
        return np.asarray(self.seen.fit(shape).gain / self.lesion - PER_SQUARED_OFFSET * aside**2)

    def of_balls(self, middles: Points, radii: FloatArray) -> FloatArray:
        """Return (K,) what (B, K, 3) middles and (B, K) radii of balls are worth."""
        shape = np.max([balls(self.seen.points, *each) for each in zip(middles, radii, strict=True)], axis=0)
        return self.of_shapes(shape, middles)

    def of_parts(self, middles: Points, radii: FloatArray) -> FloatArray:
        """Return the same of two parts; minus infinity where they touch, or lie in other lesions."""
        is_apart = np.linalg.norm(middles[1] - middles[0], axis=1) >= radii.sum(axis=0) + SMALLEST_GAP
        can_be = is_apart & self.has_gap(middles.mean(axis=0)) & self.is_free(middles)
        return np.where(can_be, self.of_balls(middles, radii), -np.inf)


def _best_of_each(worth: FloatArray, groups: FloatArray) -> list[int]:
    """Return the place of the largest of (K,) numbers in each of (K,) groups."""
    return [int(np.where(groups == group, worth, -np.inf).argmax()) for group in np.unique(groups)]


def _refined(
    middles: Points,
    radii: FloatArray,
    limits: tuple[float, float],
    worth: Callable[[Points, FloatArray], FloatArray],
) -> tuple[float, Points, FloatArray]:
    """Return the worth of (B, 3) balls that are moved and resized one after the other, their middles and (B,) radii.

    Parameters
    ----------
    limits : smallest and largest radius.
    worth : (B, K, 3) middles and (B, K) radii of K sets of balls -> what each is worth.
    """
    num = len(FINE) + len(RESIZED)
    best = float(worth(middles[:, np.newaxis], radii[:, np.newaxis])[0])
    for _ in range(NUM_ROUNDS):
        before = best
        for moving in range(len(radii)):
            near = np.repeat(middles[:, np.newaxis], num, axis=1)
            near[moving, : len(FINE)] += FINE
            sizes = np.repeat(radii[:, np.newaxis], num, axis=1)
            sizes[moving, len(FINE) :] = np.clip(sizes[moving, len(FINE) :] * RESIZED, *limits)
            found = worth(near, sizes)
            chosen = int(found.argmax())
            if found[chosen] > best:
                best, middles, radii = float(found[chosen]), near[:, chosen], sizes[:, chosen]
        if best == before:
            break
    return best, middles, radii


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
    wholes, wholes_at, wholes_radii : (W, N) 1 in a lesion that is whole, (W, 3) its middle, and (W,) its radius.
    """

    middles: Points
    scales: FloatArray
    between: NDArray[np.intp]
    parts: Shapes
    wholes: Shapes
    wholes_at: Points
    wholes_radii: FloatArray


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
    radii = np.repeat(WHOLE_SCALES, len(WHOLE_OFFSETS))
    return _Shapes(middles, sizes, between, parts, balls(points, offsets, radii), offsets, radii)
