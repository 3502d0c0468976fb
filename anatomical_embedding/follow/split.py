"""Whether a lesion is in two parts now: the scan beside what it would look like with two parts, with one, and without.

The visit that shows the lesion tells what surrounds it. What surrounds it now looks like that, through the map between
the two scans, so tissue beside it that looks like lesion, and did so before, is no part of it. Inside its former extent
its surroundings go on. Two balls in this picture are two parts, one ball a lesion that is whole, and the picture itself
is a lesion that is gone. Two parts that explain the scan best are believed where each is there on its own, and where
what they cover beside the former lesion is new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.spatial import cKDTree

from anatomical_embedding.follow.lesion_tissue import half_sphere
from anatomical_embedding.follow.look import TINY, Look, values_at
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.settings.follow import LesionSplitSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
STEP, REACH = 0.2, 1.9
"""Distance of the samples, and how far they reach from the middle; lengths here are in radii of the lesion."""
PART_RADIUS, PART_APART = 0.6, 0.85
"""Of the parts of a lesion of radius 1: their radius, and their distance from the middle between them."""
AROUND = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.3, -0.3, 0.6, -0.6))])
"""Middles between two parts that are tried: a lesion that parts draws its match to one."""
CORE = 0.4
"""Radius of what of a part has to be there."""
SHIFTS = 0.15 * (np.indices((5, 5, 5)).reshape(3, -1).T - 2.0)
"""By which each part is moved to where it explains most."""
NUM_DIRECTIONS = 40
"""Half of the directions in which the parts are looked for; the others are opposite."""
WHOLE_SCALES = (0.5, 0.65, 0.8, 1.0, 1.2, 1.4, 1.6)
WHOLE_OFFSETS = np.vstack(
    [np.zeros(3), *(share * half_sphere(7) for share in (0.25, -0.25, 0.5, -0.5))]
)  # fmt: skip
"""Sizes and places of a lesion that is whole."""
EDGE_MM = 2.5
"""What is nearer to the former lesion is blurred with it, and tells nothing of its surroundings."""
NUM_BINS, FEWEST_OF_BIN = 10, 5
"""Of values before, for each of which the value now is told from the surroundings."""
NUM_NEAREST = 60
"""Samples round the former lesion that tell what has come in its place."""
MOST = 1.5
"""Differences count up to this share of the lesion's contrast."""
AMPLITUDES = (0.6, 1.3)
"""Of lesions that are there, as a share of how they looked."""
FEWEST_KNOWN = 50


def find_parts(
    before: Volume,
    now: Volume,
    source: Source,
    look: Look,
    place_mm: FloatArray,
    matrix: FloatArray,
    others_mm: Sequence[tuple[FloatArray, float]] = (),
    *,
    settings: LesionSplitSettings,
) -> Points | None:
    """Return (2, 3) middles of the two parts that a lesion is now; None where it is not in two parts.

    Parameters
    ----------
    before, source, look : the scan that shows the lesion whole, the lesion there, and how it looks.
    now, place_mm : the visit, and (3,) where the lesion lies there.
    matrix : (3, 3) how offsets from the lesion are turned and stretched from there to here.
    others_mm : (3,) places and radii of other lesions; what lies there is none of its parts.

    Notes
    -----
    Parts that are too small to be measured are not looked for: tissue everywhere has pieces of a few millimetres.
    """
    if PART_RADIUS * source.radius_mm < settings.smallest_radius_mm:
        return None
    seen = _compare(before, now, source, look, place_mm, matrix)
    if seen is None:
        return None
    shapes = _shapes(settings.scales)
    is_free = _is_free(place_mm + source.radius_mm * shapes.parts @ matrix.T, others_mm)
    if not is_free.any():
        return None
    two, one = seen.fit(shapes.balls), seen.fit(shapes.wholes)
    gain = np.where(is_free, _gain(two.product.sum(axis=0), two.square.sum(axis=0)), -np.inf)
    best = int(gain.argmax())
    middles, scale = shapes.parts[:, best], shapes.scales[best]
    cores = seen.fit(_balls(seen.points, middles, np.full(2, CORE * scale)))
    is_split = (
        gain[best] > max(float(_gain(one.product, one.square).max()), 0.0)
        and float((cores.product / np.maximum(cores.square, TINY)).min()) >= settings.part
        and seen.fit_outside(shapes.balls[:, best]) >= settings.new
    )
    if not is_split:
        return None
    moved = np.array([seen.moved(middle, PART_RADIUS * scale) for middle in middles])
    return np.asarray(place_mm + source.radius_mm * moved @ matrix.T)


@dataclass(frozen=True)
class _Fit:
    """Of each shape: the sum of the products of what is seen and what it would change, and of the squares of this."""

    product: FloatArray
    square: FloatArray


@dataclass(frozen=True)
class _Comparison:
    """A scan beside what surrounds a lesion: (N,) differences in shares of its contrast.

    Attributes
    ----------
    seen : of the scan from the surroundings.
    expected : of the lesion from the surroundings.
    is_outside : where the lesion was not.
    points : (N, 3) where they lie round the middle, in radii of the lesion.
    """

    seen: NDArray[np.float32]
    expected: NDArray[np.float32]
    is_outside: Mask
    points: FloatArray

    def fit(self, shapes: NDArray[np.float32]) -> _Fit:
        """Return how shapes fit, (..., N) with 1 inside."""
        products = np.stack([self.seen * self.expected, self.expected**2], axis=1)
        sums = (shapes.reshape(-1, shapes.shape[-1]) @ products).reshape(*shapes.shape[:-1], 2)
        return _Fit(*np.moveaxis(sums.astype(np.float64), -1, 0))

    def moved(self, middle: FloatArray, radius: float) -> FloatArray:
        """Return the (3,) middle near one of a ball that explains most."""
        middles = middle + SHIFTS
        fit = self.fit(_balls(self.points, middles, np.full(len(middles), radius)))
        return np.asarray(middles[_gain(fit.product, fit.square).argmax()])

    def fit_outside(self, shapes: NDArray[np.float32]) -> float:
        """Return the share of the lesion's look in shapes where the lesion was not."""
        fit = self.fit(shapes * self.is_outside)
        return float(fit.product.sum() / max(fit.square.sum(), TINY))


def _gain(product: FloatArray, square: FloatArray) -> FloatArray:
    """Return by how much the sum of squares falls when a shape is put in, as strong as fits within limits."""
    strength = np.clip(product / np.maximum(square, TINY), *AMPLITUDES)
    return np.asarray(2.0 * strength * product - strength**2 * square)


def _compare(
    before: Volume, now: Volume, source: Source, look: Look, place_mm: FloatArray, matrix: FloatArray
) -> _Comparison | None:
    """Return a scan beside the surroundings of a lesion; None where too little of them is known."""
    cube, is_near = _samples()
    offsets_mm = source.radius_mm * cube
    then, values = (
        values_at(before, source.centre_mm + offsets_mm), values_at(now, place_mm + offsets_mm @ matrix.T)
    )  # fmt: skip
    inside = _inside(source, offsets_mm)
    is_outside = source.radius_mm * STEP * distance_transform_edt(~inside) > EDGE_MM
    then, values, is_outside, points = (each[is_near] for each in (then, values, is_outside, cube))
    is_known = np.isfinite(then) & np.isfinite(values)
    around = is_known & is_outside
    if around.sum() < FEWEST_KNOWN or not (is_known & ~is_outside).any() or abs(look.contrast) < TINY:
        return None
    surroundings = np.zeros(len(points))
    surroundings[around] = _carried(then[around], values[around])
    distances, nearest = cKDTree(points[around]).query(
        points[is_known & ~is_outside], k=min(NUM_NEAREST, int(around.sum()))
    )
    weights = np.maximum(distances, STEP / 2.0) ** -3.0
    surroundings[is_known & ~is_outside] = (weights * surroundings[around][nearest]).sum(
        axis=1
    ) / weights.sum(axis=1)
    seen, expected = (
        np.where(is_known, np.clip((each - surroundings) / abs(look.contrast), -MOST, MOST), 0.0)
        for each in (np.nan_to_num(values), look.inner)
    )
    return _Comparison(seen.astype(np.float32), expected.astype(np.float32), is_outside, points)


def _inside(source: Source, offsets_mm: FloatArray) -> Mask:
    """Return where (..., 3) offsets from the middle of a lesion lie in it; a ball where it is a point."""
    if source.mask is None:
        return np.asarray(np.linalg.norm(offsets_mm, axis=-1) <= source.radius_mm)
    voxels = source.mask.voxel_from_world(source.centre_mm + offsets_mm)
    share = map_coordinates(source.mask.array.astype(np.float64), np.moveaxis(voxels, -1, 0), order=1)
    return np.asarray(share >= 0.5)  # noqa: PLR2004


def _carried(then: FloatArray, now: FloatArray) -> FloatArray:
    """Return what (N,) values of one scan are in another: medians of those that go with like values, on a line."""
    edges = np.unique(np.quantile(then, np.linspace(0.0, 1.0, NUM_BINS + 1)))
    bins = np.clip(np.searchsorted(edges, then, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = [bins == number for number in np.unique(bins)]
    groups = [group for group in groups if group.sum() >= FEWEST_OF_BIN]
    if not groups:
        return np.full(then.shape, np.median(now))
    middles = [(np.median(then[group]), np.median(now[group])) for group in groups]
    return np.interp(then, *np.array(middles).T)


def _is_free(parts_mm: Points, others_mm: Sequence[tuple[FloatArray, float]]) -> Mask:
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
    parts : (2, K, 3) middles of two parts.
    scales : (K,) size of both together.
    balls : (2, K, N) 1 in each of them.
    wholes : (W, N) 1 in a lesion that is whole.
    """

    parts: Points
    scales: FloatArray
    balls: NDArray[np.float32]
    wholes: NDArray[np.float32]


@lru_cache(maxsize=1)
def _shapes(scales: tuple[float, ...]) -> _Shapes:
    cube, is_near = _samples()
    points = cube[is_near]
    ways = PART_APART * half_sphere(NUM_DIRECTIONS)
    parts = np.concatenate(
        [AROUND[:, np.newaxis] + scale * np.stack([ways, -ways])[:, np.newaxis] for scale in scales],
        axis=1,
    ).reshape(2, -1, 3)  # scales, middles and directions in one row
    sizes = np.repeat(scales, len(AROUND) * NUM_DIRECTIONS)
    balls = np.stack([_balls(points, middles, PART_RADIUS * sizes) for middles in parts])
    offsets = np.tile(WHOLE_OFFSETS, (len(WHOLE_SCALES), 1))
    wholes = _balls(points, offsets, np.repeat(WHOLE_SCALES, len(WHOLE_OFFSETS)))
    return _Shapes(parts, sizes, balls, wholes)


def _balls(points: Points, middles: Points, radii: FloatArray) -> NDArray[np.float32]:
    """Return (K, N) 1 where (N, 3) points lie in balls with (K, 3) middles and (K,) radii."""
    squared = (points**2).sum(axis=1) - 2.0 * middles @ points.T + (middles**2).sum(axis=1)[:, np.newaxis]
    return np.asarray(squared <= radii[:, np.newaxis] ** 2, dtype=np.float32)


@lru_cache(maxsize=1)
def _samples() -> tuple[FloatArray, Mask]:
    """Return the (S, S, S, 3) samples of a cube, and which of them are near enough to its middle."""
    axis = STEP * np.arange(-int(REACH / STEP + 0.5), int(REACH / STEP + 0.5) + 1)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return cube, np.asarray(np.linalg.norm(cube, axis=-1) <= REACH)
