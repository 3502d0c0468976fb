"""The shift at which the surroundings of one place look most like those of another: weighted local correlation.

Every shift of a lattice is tried at once: the three weighted sums that the normalised cross-correlation needs are
products of Fourier transforms (J. P. Lewis, Fast normalized cross-correlation, Vision Interface 1995).
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import cube_offsets_mm, sample_cubes, steps_mm
from anatomical_embedding.settings.refinement import CorrelationSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

AXES = (1, 2, 3)
EVERYTHING = slice(None)
MIRRORED = (EVERYTHING, *[slice(None, None, -1)] * 3)
PULL_PER_MM2 = 1e-5
"""Of two places that look alike the nearer one is taken."""
FLAT_SHARE = 1e-2
"""Below this share of the query's variance the surroundings of a shift count as flat: their correlation is noise."""
OUT_OF_REACH = -1.0


class BestShifts(NamedTuple):
    """Where the correlation is highest.

    Attributes
    ----------
    shift_mm : (N, 3) from the place that was given.
    correlation : (N,) in [-1, 1]; 0 or so where there is nothing to see.
    """

    shift_mm: NDArray[np.float64]
    correlation: NDArray[np.float64]


def best_shifts(
    template: Volume,
    points_mm: Points,
    target: Volume,
    places_mm: Points,
    *,
    reach_mm: float,
    settings: CorrelationSettings,
) -> BestShifts:
    """Return by how far (N, 3) places of the target have to move to look like (N, 3) points of the template.

    Parameters
    ----------
    points_mm, places_mm : mm RAS+, each in the world of its scan; finite.
    reach_mm : largest shift.
    settings : cube, step and weights.
    """
    steps = steps_mm(settings.half_size_mm, step_mm=settings.step_mm)
    wide = steps_mm(settings.half_size_mm + reach_mm, step_mm=settings.step_mm)
    blur_mm = settings.blur_steps * settings.step_mm
    known = sample_cubes(template, points_mm, steps, blur_mm=blur_mm)
    searched = sample_cubes(target, places_mm, wide, blur_mm=blur_mm)
    nearness = np.exp(-np.sum(cube_offsets_mm(steps) ** 2, axis=-1) / (2.0 * settings.deviation_mm**2))
    correlation = correlate_shifted(
        known.values,
        (nearness * known.is_inside).astype(np.float32),
        np.where(
            searched.is_inside,
            searched.values - searched.values.mean(axis=AXES, keepdims=True),
            np.float32(0),
        ),
    )
    half = (correlation.shape[1] - 1) // 2
    distance2_mm2 = np.sum(cube_offsets_mm(np.arange(-half, half + 1) * settings.step_mm) ** 2, axis=-1)
    is_near = distance2_mm2 <= (reach_mm + 1e-6) ** 2
    correlation = np.where(is_near, correlation - PULL_PER_MM2 * distance2_mm2, OUT_OF_REACH)
    peak, height = _peaks(correlation)
    return BestShifts((peak - half) * settings.step_mm, height)


def correlate_shifted(
    known: NDArray[np.float32], weights: NDArray[np.float32], searched: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the weighted correlation of cubes with every part of larger cubes.

    Parameters
    ----------
    known, weights : (N, S, S, S) samples and their weights, 0 or more.
    searched : (N, L, L, L), L at least S.

    Returns
    -------
    (N, L - S + 1, L - S + 1, L - S + 1) in [-1, 1]; the first entry lays the cube on the first samples.
    """
    small, large = known.shape[1], searched.shape[1]
    weights = weights / np.maximum(weights.sum(axis=AXES, keepdims=True), 1e-9)
    deviation = known - (weights * known).sum(axis=AXES, keepdims=True)
    variance = (weights * deviation**2).sum(axis=AXES, keepdims=True)
    size = [scipy.fft.next_fast_len(large, real=True)] * 3
    shifted = (EVERYTHING, *[slice(small - 1, large)] * 3)

    def transformed(values: NDArray) -> NDArray:
        return scipy.fft.rfftn(np.ascontiguousarray(values, dtype=np.float32), size, axes=AXES)

    def summed(product: NDArray) -> NDArray:
        return scipy.fft.irfftn(product, size, axes=AXES)[shifted]

    of_searched, of_weights = transformed(searched), transformed(weights[MIRRORED])
    covariance = summed(of_searched * transformed((weights * deviation)[MIRRORED]))
    mean = summed(of_searched * of_weights)
    square = summed(transformed(searched**2) * of_weights)
    spread = np.maximum(square - mean**2, FLAT_SHARE * variance + 1e-6)
    return covariance / np.sqrt(spread * np.maximum(variance, 1e-6))


def _peaks(correlation: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (N, 3) index of each highest value, moved to the top of a parabola along each axis, and the value."""
    flat = correlation.reshape(len(correlation), -1)
    index = np.stack(np.unravel_index(flat.argmax(axis=1), correlation.shape[1:]), axis=1)
    rows = np.arange(len(correlation))
    peak = index.astype(np.float64)
    for axis, length in enumerate(correlation.shape[1:]):
        middle = np.clip(index[:, axis], 1, length - 2)
        below, at, above = (
            correlation[(rows, *[middle + step if other == axis else index[:, other] for other in range(3)])]
            for step in (-1, 0, 1)
        )
        bend = below - 2.0 * at + above
        is_peak = (bend < 0.0) & (middle == index[:, axis]) & (np.minimum(below, above) > OUT_OF_REACH / 2.0)
        peak[:, axis] += np.where(is_peak, 0.5 * (below - above) / np.where(is_peak, bend, 1.0), 0.0)
    return peak, flat.max(axis=1).astype(np.float64)
