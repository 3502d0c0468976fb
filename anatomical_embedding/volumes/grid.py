"""How far two grids of one shape lie apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import transform_points


def largest_distance_mm(
    first: NDArray[np.float64], second: NDArray[np.float64], *, shape: Sequence[int]
) -> float:
    """Return the largest distance in mm between equal voxels of two grids, which a corner voxel has.

    Parameters
    ----------
    first, second : (4, 4) affines of the grids.
    shape : (3,) size of both.

    Examples
    --------
    >>> largest_distance_mm(np.eye(4), np.diag([1.0, 1.0, 1.1, 1.0]), shape=(5, 5, 11))
    1.0
    """
    corners = np.array(np.meshgrid(*[(0.0, size - 1.0) for size in shape])).reshape(3, -1).T
    apart = transform_points(first, corners) - transform_points(second, corners)
    return round(float(np.linalg.norm(apart, axis=1).max()), 9)
