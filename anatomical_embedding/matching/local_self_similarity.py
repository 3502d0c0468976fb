"""What CT and MR have in common around a place: which of its neighbours resemble each other.

Six channels a sample, one for each diagonal along which a pair of its neighbours can lie: `exp(-D / V)`, where D is the
squared difference of the patches around the two neighbours and V the mean of the six D. Intensities enter by squared
differences alone, so an inverted or stretched contrast leaves the channels nearly as they are.

Source: Heinrich et al., "Towards realtime multimodal fusion for image-guided interventions using self-similarities"
(MICCAI 2013), MIND-SSC. It counts a second pair along each diagonal, a step beside the first; that brought nothing here
(docs/accuracy/points.md) and costs as much.
"""

import numpy as np
from numpy.typing import NDArray

AXES = (1, 2, 3)
MARGIN_STEPS = 2
"""Samples that a cube loses at each side: one to the neighbours, one to their patches."""
DIAGONALS = tuple(
    (first, second, sign) for first in AXES for second in AXES if second > first for sign in (1, -1)
)
"""From one neighbour to the other: a step along one axis and one along, or against, a second one."""
PATCH_SAMPLES = 27
BUT_LAST, BUT_FIRST = slice(None, -1), slice(1, None)
SMALLEST_DEVIATION = 1e-3
"""Of the noise, in units of the cube's own standard deviation: where nothing varies no neighbour differs."""


def self_similarity(cubes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (N, 6, S - 4, S - 4, S - 4) descriptors of (N, S, S, S) samples.

    A patch is a sample and the 26 around it.
    """
    inner = cubes.shape[1] - 2 * MARGIN_STEPS
    sums = np.empty((len(cubes), len(DIAGONALS), inner, inner, inner), np.float32)
    for channel, (first, second, sign) in enumerate(DIAGONALS):
        near, far = [slice(None)] * 4, [slice(None)] * 4
        near[first], far[first] = BUT_LAST, BUT_FIRST
        near[second], far[second] = (BUT_LAST, BUT_FIRST) if sign > 0 else (BUT_FIRST, BUT_LAST)
        difference = cubes[tuple(near)] - cubes[tuple(far)]
        patches = _summed_over_patches(np.square(difference, out=difference))
        # From a neighbour on the second axis to the next on the first.
        begins = {second: 0 if sign > 0 else 1}
        rows = [slice(begin, begin + inner) for begin in (begins.get(axis, 1) for axis in AXES)]
        sums[:, channel] = patches[:, *rows]
    spread = cubes.reshape(len(cubes), -1).std(axis=1)
    floor = (PATCH_SAMPLES * (SMALLEST_DEVIATION * spread) ** 2)[:, None, None, None, None] + 1e-9
    np.divide(sums, -(sums.mean(axis=1, keepdims=True) + floor), out=sums)
    return np.exp(sums, out=sums)


def _summed_over_patches(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums over three samples along each axis; every axis loses its two ends."""
    for axis in AXES:
        rows = np.moveaxis(values, axis, 0)
        total = rows[:-2] + rows[1:-1]
        total += rows[2:]
        values = np.moveaxis(total, 0, axis)
    return values
