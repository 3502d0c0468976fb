"""Where the centres of cells lie: the half-voxel convention, which every grid of another stride follows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def affine_of_cells(affine: NDArray[np.floating], *, stride_vox: ArrayLike) -> NDArray[np.float64]:
    """Return the (4, 4) affine that takes indices of embedding cells to world mm.

    Cell `i` at stride `s` covers input voxels `s*i .. s*i + s - 1`, so its centre lies at voxel `s*i + (s - 1)/2`.
    This function owns that convention.

    Parameters
    ----------
    affine : (4, 4), voxel to world of the input volume.
    stride_vox : (3,) stride of the cells in input voxels, in the order of the array axes.

    Examples
    --------
    >>> affine_of_cells(np.eye(4), stride_vox=(2, 2, 4)) @ np.array([1, 0, 0, 1.0])
    array([2.5, 0.5, 1.5, 1. ])
    """
    stride = np.asarray(stride_vox, dtype=np.float64)
    cells_to_voxels = np.eye(4)
    cells_to_voxels[:3, :3] = np.diag(stride)
    cells_to_voxels[:3, 3] = (stride - 1.0) / 2.0
    return np.asarray(affine, dtype=np.float64) @ cells_to_voxels
