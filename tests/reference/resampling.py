"""Slow references of resampling, written from the definitions."""

import numpy as np
from numpy.typing import NDArray


def mean_of_linear_interpolant(
    values: NDArray, *, new_size: int, stride: float, num_samples: int = 20001
) -> NDArray[np.float64]:
    """Resample one axis by quadrature of the linear interpolant over a window round each new centre."""
    window = np.sqrt(max(stride**2 - 1.0, 0.0))
    offsets = (np.arange(num_samples) + 0.5) / num_samples - 0.5
    centres = (np.arange(new_size) + 0.5) * stride - 0.5
    return np.array(
        [np.interp(centre + window * offsets, np.arange(len(values)), values).mean() for centre in centres]
    )


def trilinear_value(array: NDArray, point_vox: NDArray) -> float | None:
    """Interpolate one point from its eight neighbours; None where it lies beyond the outer voxel centres."""
    if np.any(point_vox < 0) or np.any(point_vox > np.array(array.shape) - 1):
        return None
    low = np.minimum(np.floor(point_vox).astype(int), np.array(array.shape) - 2)
    part = point_vox - low
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part))
        total += weight * array[tuple(low + corner)]
    return total
