"""Where the tissue of a lesion lies round its place at another visit.

A place follows the body. Lesions that grow together move within it, and one that parts leaves its middle free; both are
told by how far the scan looks like the lesion and not like what surrounded it.
"""

from dataclasses import dataclass

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
AROUND = np.vstack([np.zeros(3), 0.3 * np.eye(3), -0.3 * np.eye(3)])
"""Middles between two parts that are tried, from the place in radii."""
MOST_SHARE = 1.2
"""More than this is no more like the lesion."""


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


@dataclass(frozen=True)
class SplitLook:
    """A lesion beside what may be two parts of it, in shares of its contrast.

    Attributes
    ----------
    parts_mm : (2, 3) middles of the parts.
    inner : share of lesion in the one that has less of it.
    middle : between them.
    gain : beyond the former edge of the lesion, on the side that has less of it, against the visit before.
    """

    parts_mm: Points
    inner: float
    middle: float
    gain: float

    def is_split(self, settings: LesionSplitSettings) -> bool:
        """Say whether they are parts of the lesion."""
        return (
            self.inner >= settings.inner
            and self.middle <= settings.middle
            and self.inner - self.middle >= settings.gap
            and self.gain >= settings.gain
        )


def look_for_parts(
    now: TissueContrast,
    place_mm: FloatArray,
    then: TissueContrast,
    centre_mm: FloatArray,
    radius_mm: float,
    *,
    settings: LesionSplitSettings,
) -> SplitLook | None:
    """Return the two opposite places round a lesion's that look most like parts of it; None at the scan's edge.

    Parameters
    ----------
    now, place_mm : the visit, and (3,) where the lesion lies there.
    then, centre_mm, radius_mm : a visit that shows the lesion, and the lesion there.
    """
    middles_mm = (place_mm + radius_mm * AROUND)[:, np.newaxis]  # (O, 1, 3)
    between = now.mean_shares(middles_mm, 0.2 * radius_mm)
    ways = radius_mm * DIRECTIONS  # (D, 3)
    outer = [
        now.mean_shares(middles_mm + side * settings.beyond * ways, 0.25 * radius_mm)
        - then.mean_shares(centre_mm + side * settings.beyond * ways, 0.25 * radius_mm)
        for side in (1, -1)
    ]
    gain = np.minimum(*outer)
    best: SplitLook | None = None
    best_score = -np.inf
    for apart in settings.apart:
        parts = [now.mean_shares(middles_mm + side * apart * ways, 0.3 * radius_mm) for side in (1, -1)]
        inner = np.minimum(np.minimum(*parts), 2.0 - np.maximum(*parts))
        score = inner + np.minimum(inner - between, 1.0) + 0.5 * np.minimum(gain, 1.0)
        score = np.where(np.isfinite(score), score, -np.inf)
        place = np.unravel_index(score.argmax(), score.shape)
        if score[place] > best_score:
            best_score = float(score[place])
            middle_mm, way = middles_mm[place[0], 0], apart * ways[place[1]]
            best = SplitLook(
                np.stack([middle_mm + way, middle_mm - way]),
                min(float(inner[place]), MOST_SHARE),
                float(between[place[0], 0]),
                float(gain[place]),
            )
    return best
