"""A scan beside what it would look like without a lesion, and what balls of lesion put into that picture explain.

The visit that shows the lesion tells what surrounds it. What surrounds it now looks like that, through the map between
the two scans, so that tissue beside it that looks like lesion, and did so before, is no part of it. Inside its former
extent its surroundings go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.spatial import cKDTree

from anatomical_embedding.follow.look import TINY, Look, values_at
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
Shapes = NDArray[np.float32]
Mask = NDArray[np.bool_]
EDGE_MM = 2.5
"""What is nearer to the former lesion is blurred with it, and tells nothing of its surroundings."""
NUM_BINS, FEWEST_OF_BIN = 10, 5
"""Of values before, for each of which the value now is told from the surroundings."""
NUM_NEAREST, NEAREST = 60, 0.1
"""Samples round the former lesion that tell what has come in its place, and the distance in which all count alike."""
MOST = 1.5
"""Differences count up to this share of that of the lesion from what would lie in its place, its contrast here."""
STRENGTHS = (0.6, 1.3)
"""Of lesions that are there, as a share of how they looked."""
FEWEST_KNOWN = 50
KEPT = 4


@dataclass(frozen=True)
class Way:
    """From one scan to another: where a point lies, and (3, 3) how offsets from it are turned and stretched."""

    from_mm: FloatArray
    to_mm: FloatArray
    matrix: FloatArray

    def carry(self, offsets_mm: FloatArray) -> FloatArray:
        """Return the (..., 3) places there of (..., 3) offsets here."""
        return np.asarray(self.to_mm + offsets_mm @ self.matrix.T)


@dataclass(frozen=True)
class Fit:
    """Of each shape: the sum of products of what is seen in it and what it would change, and of squares of this."""

    product: FloatArray
    square: FloatArray

    @property
    def share(self) -> FloatArray:
        """How strong a shape is there, as a share of how the lesion looked."""
        return np.asarray(self.product / np.maximum(self.square, TINY))

    @property
    def gain(self) -> FloatArray:
        """By how much the sum of squared differences falls when a shape is put in, as strong as fits within limits."""
        strength = np.clip(self.share, *STRENGTHS)
        return np.asarray(2.0 * strength * self.product - strength**2 * self.square)


@dataclass(frozen=True)
class Comparison:
    """(N,) differences of a scan from the surroundings of a lesion, in shares of the lesion's contrast.

    Attributes
    ----------
    points : (N, 3) offsets from the middle, in units of the comparison.
    seen, expected : of the scan, and of the lesion.
    is_outside : where the lesion was not.
    """

    points: Points
    seen: NDArray[np.float32]
    expected: NDArray[np.float32]
    is_outside: Mask

    def fit(self, shapes: Shapes) -> Fit:
        """Return how shapes fit that are 1 inside, (..., N)."""
        products = np.stack([self.seen * self.expected, self.expected**2], axis=1)
        sums = (shapes.reshape(-1, shapes.shape[-1]) @ products).reshape(*shapes.shape[:-1], 2)
        return Fit(*np.moveaxis(sums.astype(np.float64), -1, 0))

    def fit_outside(self, shapes: Shapes) -> Fit:
        """Return how shapes fit where the lesion was not."""
        return self.fit(shapes * self.is_outside)

    def fit_balls(self, middles: Points, radius: float) -> Fit:
        """Return how (K, 3) balls of one radius fit."""
        return self.fit(balls(self.points, middles, np.full(len(middles), radius)))


def half_sphere(number: int) -> FloatArray:
    """Return (N, 3) directions that, with their opposites, cover the sphere evenly (Fibonacci)."""
    step = np.arange(number) + 0.5
    height = 1.0 - step / number
    angle = np.pi * (1.0 + 5.0**0.5) * step
    across = np.sqrt(1.0 - height**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=1)


def balls(points: Points, middles: Points, radii: FloatArray) -> Shapes:
    """Return (K, N) 1 where (N, 3) points lie in balls with (K, 3) middles and (K,) radii."""
    squared = (points**2).sum(axis=1) - 2.0 * middles @ points.T + (middles**2).sum(axis=1)[:, np.newaxis]
    return np.asarray(squared <= radii[:, np.newaxis] ** 2, dtype=np.float32)


@lru_cache(maxsize=KEPT)
def samples(step: float, reach: float) -> tuple[FloatArray, Mask]:
    """Return the (S, S, S, 3) samples of a cube, and which of them lie within a distance of its middle."""
    half = int(reach / step + 0.5)
    axis = step * np.arange(-half, half + 1)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return cube, np.asarray(np.linalg.norm(cube, axis=-1) <= reach)


def compare(
    before: Volume,
    now: Volume,
    way: Way,
    lesions: Sequence[tuple[Source, Look]],
    *,
    unit_mm: float,
    step: float,
    reach: float,
) -> Comparison | None:
    """Return a scan beside the surroundings of lesions; None where too little of these is known.

    Parameters
    ----------
    before, now : the scan that shows the lesions, and the other one.
    way : from one to the other.
    lesions : in the first scan, and how they look there.
    unit_mm : of lengths, such as the radius of a lesion.
    step, reach : distance of the samples, and how far they reach, in units.
    """
    cube, is_near = samples(step, reach)
    offsets_mm = unit_mm * cube
    inside = np.any([_inside(source, way.from_mm + offsets_mm) for source, _ in lesions], axis=0)
    is_outside = (unit_mm * step * distance_transform_edt(~inside) > EDGE_MM)[is_near]
    points, offsets_mm = cube[is_near], offsets_mm[is_near]
    then, values = values_at(before, way.from_mm + offsets_mm), values_at(now, way.carry(offsets_mm))
    is_known = np.isfinite(then) & np.isfinite(values)
    around, within = is_known & is_outside, is_known & ~is_outside
    if around.sum() < FEWEST_KNOWN or not within.any():
        return None
    surroundings = np.zeros(len(points))
    surroundings[around] = _values_now(then[around], values[around])
    distances, nearest = cKDTree(points[around]).query(points[within], k=min(NUM_NEAREST, int(around.sum())))
    weights = np.maximum(distances, NEAREST) ** -3.0
    surroundings[within] = (weights * surroundings[around][nearest]).sum(axis=1) / weights.sum(axis=1)
    lesion = float(np.mean([look.inner for _, look in lesions]))
    # Amid bone and soft tissue a lesion may be as bright as their median, and differ from what would lie in its place.
    contrast = max(float(np.abs(lesion - surroundings[within]).mean()), TINY)
    seen, expected = (
        np.where(is_known, np.clip((each - surroundings) / contrast, -MOST, MOST), 0.0).astype(np.float32)
        for each in (np.nan_to_num(values), lesion)
    )
    return Comparison(points, seen, expected, is_outside)


def _inside(source: Source, places_mm: FloatArray) -> Mask:
    """Return where (..., 3) places lie in a lesion; a ball where it is a point."""
    if source.mask is None:
        return np.asarray(np.linalg.norm(places_mm - source.centre_mm, axis=-1) <= source.radius_mm)
    voxels = np.moveaxis(source.mask.voxel_from_world(places_mm), -1, 0)
    return np.asarray(map_coordinates(source.mask.array.astype(np.float64), voxels, order=1) >= 0.5)  # noqa: PLR2004


def _values_now(then: FloatArray, now: FloatArray) -> FloatArray:
    """Return what (N,) values of one scan are in another: medians of those that go with like values, on a line."""
    edges = np.unique(np.quantile(then, np.linspace(0.0, 1.0, NUM_BINS + 1)))
    bins = np.clip(np.searchsorted(edges, then, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = [
        group for group in (bins == number for number in np.unique(bins)) if group.sum() >= FEWEST_OF_BIN
    ]
    middles = [(np.median(then[group]), np.median(now[group])) for group in groups]
    return np.interp(then, *np.array(middles).T)
