"""Array order: which way the axes of an array run in the body."""

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.volume import Volume

LPS = ("L", "P", "S")


def axis_codes(grid: Grid) -> tuple[str, str, str]:
    """Return where the three array axes run to, each the closest of L/R, P/A and S/I.

    Examples
    --------
    >>> axis_codes(Volume(np.zeros((2, 2, 2)), np.diag([-1.0, -1.0, 1.0, 1.0])))
    ('L', 'P', 'S')
    """
    return nibabel.aff2axcodes(grid.affine)


def to_lps(volume: Volume) -> Volume:
    """Return the volume with its array axes running to the left, to the back and up.

    Axes are only swapped and flipped, to the closest order: nothing is resampled, every voxel keeps its world
    position, and the directions of an oblique volume stay in the affine. The array is a view. (The published
    preparation flips arrays and keeps the old origin, which moves every volume in the world.)
    """
    return _reordered(volume, axcodes2ornt(LPS))


def to_axes_of(volume: Volume, affine: NDArray[np.float64]) -> Volume:
    """Return the volume with its array axes running as closely as those of another affine, as `to_lps` does."""
    return _reordered(volume, io_orientation(affine))


def _reordered(volume: Volume, axes: NDArray) -> Volume:
    change = ornt_transform(io_orientation(volume.affine), axes)
    array = apply_orientation(volume.array, change)
    affine = volume.affine @ inv_ornt_aff(change, volume.array.shape)
    return Volume(array, np.asarray(affine, dtype=np.float64))
