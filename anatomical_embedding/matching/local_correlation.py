"""The shift at which the surroundings of one place look most like those of another: weighted local correlation.

What is correlated are self-similarities (`local_self_similarity`), not intensities: they serve CT and MR alike, and a
lesion that grew or vanished weighs no more in them than the tissue around it. Every shift of a lattice is tried at
once: the weighted sums that the correlation needs are products of Fourier transforms (J. P. Lewis, Fast normalized
cross-correlation, Vision Interface 1995).
"""

from copy import copy, deepcopy
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import Cubes, cube_offsets_mm, steps_mm
from anatomical_embedding.matching.local_self_similarity import MARGIN_STEPS, self_similarity
from anatomical_embedding.matching.surroundings import Surroundings, look_around
from anatomical_embedding.settings.refinement import CorrelationSettings, ShiftSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

SPACE = (2, 3, 4)
MIRRORED = (*[slice(None)] * 2, *[slice(None, None, -1)] * 3)
PULL_PER_MM2 = 1e-5
"""Of two places that look alike the nearer one is taken."""
FLAT_SHARE = 1e-2
"""Below this share of the query's variance the surroundings of a shift count as flat: their correlation is noise."""
CHANGED_GAIN, CHANGED_LACK = 0.1, 0.7
"""The middle of the cube changed, and is left out, where the correlation without it is higher by this and lacks no more
than this share of what it lacked of 1: noise and a bend lower it everywhere."""
OUT_OF_REACH = -1.0


class BestShifts(NamedTuple):
    """Where the correlation is highest.

    Attributes
    ----------
    shift_mm : (N, 3) from the place that was given.
    correlation : (N,) in [-1, 1]; 0 or so where there is nothing to see.
    return_mm : (N,) distance from the point at which the same search ends that leads back from there.
    is_changed : (N,) bool, whether what lies farther around agrees so much better that the middle was left out.
    """

    shift_mm: NDArray[np.float64]
    correlation: NDArray[np.float64]
    return_mm: NDArray[np.float64]
    is_changed: NDArray[np.bool_]


def best_shifts(template: Surroundings, target: Surroundings, *, settings: CorrelationSettings) -> BestShifts:
    """Return by how far N places of the target have to move to look like N points of the template.

    Parameters
    ----------
    template, target : what is seen around points and places, from `around_points` and `around_places`.
    settings : cube, step, weights and reach.

    Notes
    -----
    Each scan is described once: the way back begins at the shift of the lattice nearest to the peak, so it should end
    as far from the point as the peak lies from that shift.
    """
    count, nearness = _cube(settings)
    size = 2 * count + 1
    known, searched = _described(template.cubes), _described(target.cubes)
    asked = known.middle(size)
    shifted = _Shifted(asked.values, asked.counted(nearness), *searched)
    there = _highest(shifted.correlated(asked.counted(nearness)), settings=settings)
    around = nearness * _beyond_middle(settings)
    there, is_changed = _without_middle(shifted, asked.counted(around), there, settings=settings)
    found = searched.part(there.corner, size)
    weights = np.where(is_changed[:, None, None, None], around, nearness) if is_changed.any() else nearness
    back = _highest(correlate_shifted(found.values, found.counted(weights), *known), settings=settings)
    fraction = there.steps - np.rint(there.steps)
    return BestShifts(
        there.steps * settings.step_mm,
        there.height,
        np.linalg.norm(back.steps + fraction, axis=1) * settings.step_mm,
        is_changed,
    )


def correlations_around(
    template: Volume, points_mm: Points, target: Volume, places_mm: Points, *, settings: ShiftSettings
) -> NDArray[np.float32]:
    """Return (N, M, M, M) how much (N, 3) places of the target look like (N, 3) points of the template, in [-1, 1].

    The lattice runs along the world's axes in steps of `settings.step_mm`; its middle is the place itself.
    """
    _, nearness = _cube(settings)
    known = _described(_around(template, points_mm, reach_mm=0.0, settings=settings).cubes)
    searched = _described(_around(target, places_mm, reach_mm=settings.reach_mm, settings=settings).cubes)
    return correlate_shifted(known.values, nearness * known.is_inside, *searched)


def around_points(template: Volume, points_mm: Points, *, settings: CorrelationSettings) -> Surroundings:
    """Return what is seen around (N, 3) points of the template, in mm RAS+ and finite, as far as the way back goes."""
    return _around(template, points_mm, reach_mm=settings.return_reach_mm, settings=settings)


def around_places(target: Volume, places_mm: Points, *, settings: CorrelationSettings) -> Surroundings:
    """Return what is seen around (N, 3) places of the target, in mm RAS+ and finite, as far as they may move."""
    return _around(target, places_mm, reach_mm=settings.reach_mm, settings=settings)


def _around(volume: Volume, middles_mm: Points, *, reach_mm: float, settings: ShiftSettings) -> Surroundings:
    num_steps = (
        round(settings.half_size_mm / settings.step_mm) + round(reach_mm / settings.step_mm) + MARGIN_STEPS
    )
    return look_around(
        volume,
        middles_mm,
        num_steps=num_steps,
        step_mm=settings.step_mm,
        blur_mm=settings.blur_steps * settings.step_mm,
    )


def _cube(settings: ShiftSettings) -> tuple[int, NDArray[np.float32]]:
    """Return the steps from the middle of the compared cube to its side, and the weights of its samples."""
    offsets_mm = cube_offsets_mm(steps_mm(settings.half_size_mm, step_mm=settings.step_mm))
    nearness = np.exp(-np.sum(offsets_mm**2, axis=-1) / (2.0 * settings.deviation_mm**2))
    return round(settings.half_size_mm / settings.step_mm), nearness.astype(np.float32)


def _beyond_middle(settings: CorrelationSettings) -> NDArray[np.float32]:
    """Return 0 for the samples of the compared cube within the ball that it holds, and 1 beyond this."""
    offsets_mm = cube_offsets_mm(steps_mm(settings.half_size_mm, step_mm=settings.step_mm))
    beyond = (np.linalg.norm(offsets_mm, axis=-1) - settings.half_size_mm) / settings.step_mm
    return np.clip(beyond + 0.5, 0.0, 1.0).astype(np.float32)


class _Described(NamedTuple):
    """(N, C, S, S, S) descriptors, and which of the (N, S, S, S) samples lie in the scan."""

    values: NDArray[np.float32]
    is_inside: NDArray[np.bool_]

    def middle(self, size: int) -> "_Described":
        """Return the cubes of a size in the middle of these."""
        begin = (self.values.shape[-1] - size) // 2
        inner = slice(begin, begin + size)
        return _Described(self.values[:, :, inner, inner, inner], self.is_inside[:, inner, inner, inner])

    def part(self, corners: NDArray[np.int64], size: int) -> "_Described":
        """Return the cubes of a size that begin at (N, 3) samples."""
        parts = [(slice(i, i + size), slice(j, j + size), slice(k, k + size)) for i, j, k in corners.tolist()]
        values = [cube[:, *part] for cube, part in zip(self.values, parts, strict=True)]
        inside = [cube[part] for cube, part in zip(self.is_inside, parts, strict=True)]
        return _Described(np.stack(values), np.stack(inside))

    def counted(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (N, S, S, S) weights of samples in the scan; (1, S, S, S) for all where they are the same."""
        if self.is_inside.all():
            return weights.reshape(-1, *self.is_inside.shape[1:])
        return weights * self.is_inside


class _Peaks(NamedTuple):
    """The highest of (N, M, M, M) values.

    Attributes
    ----------
    corner : (N, 3) index of each, which is also where the part of the searched cube begins.
    steps : (N, 3) where it lies below a step, seen from the middle.
    height : (N,).
    """

    corner: NDArray[np.int64]
    steps: NDArray[np.float64]
    height: NDArray[np.float64]


def _highest(correlation: NDArray[np.float32], *, settings: CorrelationSettings) -> _Peaks:
    """Return where (N, M, M, M) correlations are highest, within a ball."""
    half = (correlation.shape[1] - 1) // 2
    distance2 = np.sum(cube_offsets_mm(np.arange(-half, half + 1.0)) ** 2, axis=-1)
    is_near = distance2 <= half**2
    pulled = correlation - PULL_PER_MM2 * settings.step_mm**2 * distance2
    return _peaks(np.where(is_near, pulled, OUT_OF_REACH))


def _without_middle(
    shifted: "_Shifted", around: NDArray[np.float32], there: _Peaks, *, settings: CorrelationSettings
) -> tuple[_Peaks, NDArray[np.bool_]]:
    """Return the peaks, without the middle where this changed, and (N,) bool where it did."""
    is_changed = np.zeros(len(there.height), dtype=bool)
    rows = np.flatnonzero(there.height < 1.0 - CHANGED_GAIN)
    if not rows.size:
        return there, is_changed
    part = slice(None) if len(around) == 1 else rows
    beside = _highest(shifted.part(rows).correlated(around[part]), settings=settings)
    gain, lack = beside.height - there.height[rows], 1.0 - there.height[rows]
    is_better = (gain > CHANGED_GAIN) & (lack - gain < CHANGED_LACK * lack)
    is_changed[rows] = is_better
    chosen = deepcopy(there)
    for values, better in zip(chosen, beside, strict=True):
        values[is_changed] = better[is_better]
    return chosen, is_changed


def _described(cubes: Cubes) -> _Described:
    inner = slice(MARGIN_STEPS, -MARGIN_STEPS)
    return _Described(self_similarity(cubes.values), cubes.is_inside[:, inner, inner, inner])


def correlate_shifted(
    known: NDArray[np.float32],
    weights: NDArray[np.float32],
    searched: NDArray[np.float32],
    is_inside: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the weighted correlation of cubes with every part of larger cubes.

    Parameters
    ----------
    known : (N, C, S, S, S) samples; each channel is counted from its weighted mean.
    weights : (N, S, S, S), or (1, S, S, S) for all, 0 or more.
    searched : (N, C, L, L, L), L at least S, counted from the same means.
    is_inside : (N, L, L, L), samples that count; the others are taken for the mean.

    Returns
    -------
    (N, L - S + 1, L - S + 1, L - S + 1) in [-1, 1]; the first entry lays the cube on the first samples.
    """
    return _Shifted(known, weights, searched, is_inside).correlated(weights)


class _Shifted:
    """Cubes laid on every part of larger ones, which are transformed once for all weights.

    Parameters
    ----------
    known, weights, searched, is_inside : as for `correlate_shifted`; the weights are those of the means.
    """

    def __init__(
        self,
        known: NDArray[np.float32],
        weights: NDArray[np.float32],
        searched: NDArray[np.float32],
        is_inside: NDArray[np.bool_],
    ):
        means = (_shares(weights) * known).sum(axis=SPACE, keepdims=True)
        searched = searched - means
        if not is_inside.all():
            searched *= is_inside[:, np.newaxis]
        self._known = known - means
        self._size = known.shape[-1], searched.shape[-1]
        self._length = scipy.fft.next_fast_len(searched.shape[-1], real=True)
        self._searched = self._transformed(searched)
        self._squares = self._transformed((searched**2).sum(axis=1, keepdims=True))

    def part(self, rows: NDArray[np.int64]) -> "_Shifted":
        """Return some of the cubes, and the larger ones that they are laid on."""
        if len(rows) == len(self._known):
            return self
        part = copy(self)
        part._known = self._known[rows]
        part._searched, part._squares = self._searched[rows], self._squares[rows]
        return part

    def correlated(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what `correlate_shifted` does, with any weights."""
        shares = _shares(weights)
        weighted = shares * self._known
        variance = (weighted * self._known).sum(axis=(1, *SPACE))[:, None, None, None]
        covariance = self._summed(self._searched * self._transformed(weighted[MIRRORED]))
        spread = self._summed(self._squares * self._transformed(shares[MIRRORED]))
        return covariance / np.sqrt(
            np.maximum(spread, FLAT_SHARE * variance + 1e-6) * np.maximum(variance, 1e-6)
        )

    def _transformed(self, values: NDArray) -> NDArray:
        # A small cube is padded one axis after the other: most of its rows are no longer than it.
        found = scipy.fft.rfft(values, self._length, axis=4)
        for axis in (3, 2):
            found = scipy.fft.fft(found, self._length, axis=axis, overwrite_x=True)
        return found

    def _summed(self, products: NDArray) -> NDArray:
        small, large = self._size
        sums = scipy.fft.irfftn(products.sum(axis=1), [self._length] * 3, axes=(1, 2, 3))
        return sums[:, *[slice(small - 1, large)] * 3]


def _shares(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 1, S, S, S) weights whose sum is 1."""
    return (weights / np.maximum(weights.sum(axis=(1, 2, 3), keepdims=True), 1e-9))[:, np.newaxis]


def _peaks(correlation: NDArray[np.float32]) -> _Peaks:
    """Return the highest values, moved to the top of a parabola along each axis."""
    flat = correlation.reshape(len(correlation), -1)
    index = np.stack(np.unravel_index(flat.argmax(axis=1), correlation.shape[1:]), axis=1)
    rows = np.arange(len(correlation))
    steps = index - (correlation.shape[1] - 1) / 2.0
    for axis, length in enumerate(correlation.shape[1:]):
        middle = np.clip(index[:, axis], 1, length - 2)
        below, at, above = (
            correlation[(rows, *[middle + step if other == axis else index[:, other] for other in range(3)])]
            for step in (-1, 0, 1)
        )
        bend = below - 2.0 * at + above
        is_peak = (bend < 0.0) & (middle == index[:, axis]) & (np.minimum(below, above) > OUT_OF_REACH / 2.0)
        steps[:, axis] += np.where(is_peak, 0.5 * (below - above) / np.where(is_peak, bend, 1.0), 0.0)
    return _Peaks(index, steps, flat.max(axis=1).astype(np.float64))
