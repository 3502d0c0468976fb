"""Normalised cross-correlation as a loop over places, in float64."""

import numpy as np


def slow_correlation_map(array, cube):
    """Return the correlation of a cube with the cube round every voxel, outermost voxels repeated."""
    size = cube.shape[0]
    padded = np.pad(np.asarray(array, dtype=np.float64), size // 2, mode="edge")
    centred = cube.astype(np.float64) - cube.mean(dtype=np.float64)
    result = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        other = padded[tuple(slice(index, index + size) for index in place)]
        other = other - other.mean()
        norm = np.sqrt((centred**2).sum() * (other**2).sum())
        result[place] = (centred * other).sum() / norm if norm > 0 else 0.0
    return result
