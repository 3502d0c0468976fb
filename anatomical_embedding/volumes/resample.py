"""Volumes on other grids.

Grids are aligned by the outer corner of their first voxel, in world mm: a voxel of the new grid at stride `s`
(new spacing / old spacing) is centred at old index `s*i + (s - 1)/2`, so nothing shifts by half a voxel.

When an axis shrinks, an image is averaged as well as sampled, because bare linear interpolation skips voxels
and lets fine structure and noise appear as false coarse structure (aliasing). The new value is the mean of
the linear interpolant of the old voxels over a window of `sqrt(s**2 - 1)` old voxels. A voxel averages over
its own width, with variance 1/12; the window adds what a voxel of width `s` lacks, `(s**2 - 1)/12`. So the
filter is the identity at `s = 1`, close to the plain mean of the covered voxels for large `s`, and exact on
linear ramps for every `s`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.volume import Volume

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SLICES_AT_ONCE = 16  # output slices a pass; bounds the memory in float32 and keeps a pass in the cache
SMALLEST_WINDOW = 0.01  # old voxels; a narrower window is a point


def resample_to_spacing(volume: Volume, *, spacing_mm: Sequence[float], is_label: bool) -> Volume:
    """Return the volume at another spacing, the outer corner of its first voxel kept.

    Parameters
    ----------
    volume : any array and affine; oblique directions are kept.
    spacing_mm : (3,) new spacing along the array axes.
    is_label : take the nearest voxel and keep the type, instead of averaging into float32.

    Returns
    -------
    Volume
        of `round(length / spacing)` voxels an axis, so that every new voxel has its centre inside the old
        volume and the far end moves by half a new voxel at most.

    Notes
    -----
    Separable; 512 x 512 x 300 to 2 mm takes about 0.2 s of one core (`benchmarks/resample.py`), in memory for
    the result and a few slices.
    """
    strides = np.asarray(spacing_mm, dtype=np.float64) / volume.spacing_mm
    sizes = [max(1, round(size / stride)) for size, stride in zip(volume.shape, strides, strict=True)]
    resampled = _take_nearest if is_label else _average
    affine = affine_of_cells(volume.affine, stride_vox=strides)
    return Volume(resampled(volume.array, sizes=sizes, strides=strides), affine)


def not_finer(volume: Volume, spacing_mm: float) -> Volume:
    """Return a volume averaged where it is finer than a grid of `spacing_mm`."""
    if (volume.spacing_mm >= spacing_mm).all():
        return volume
    return resample_to_spacing(
        volume, spacing_mm=np.maximum(volume.spacing_mm, spacing_mm).tolist(), is_label=False
    )


def resample_onto(
    volume: Volume,
    *,
    shape: Sequence[int],
    affine: NDArray[np.float64],
    is_label: bool,
    fill_value: float,
) -> Volume:
    """Return the volume on any grid: linear interpolation as float32, or the nearest label with its type.

    Nothing is averaged: bring a volume that is much finer than the grid to the grid's spacing first
    (`resample_to_spacing`).

    Parameters
    ----------
    volume : the volume to sample.
    shape : (3,) size of the new grid.
    affine : (4, 4) of the new grid, voxel index to world mm RAS+; sheared grids work.
    is_label : nearest voxel instead of linear interpolation.
    fill_value : value where the new grid lies outside the volume.
    """
    import SimpleITK  # noqa: PLC0415, most volumes are only averaged or taken as they are, and it takes long to load

    # Both grids are given to ITK in voxel units, with the whole geometry in the transform: ITK's own geometry
    # has no shear, and this way no sign of an axis has to change.
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.array.T))
    matrix = invert_affine(volume.affine) @ affine
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    resampled = SimpleITK.Resample(
        image,
        [int(size) for size in shape],
        transform,
        SimpleITK.sitkNearestNeighbor if is_label else SimpleITK.sitkLinear,
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        np.eye(3).ravel().tolist(),
        float(fill_value),
        image.GetPixelID() if is_label else SimpleITK.sitkFloat32,
    )
    return Volume(SimpleITK.GetArrayFromImage(resampled).T, np.asarray(affine, dtype=np.float64))


def _take_nearest(array: NDArray, *, sizes: Sequence[int], strides: NDArray[np.float64]) -> NDArray:
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        nearest = np.floor((np.arange(size) + 0.5) * stride).astype(np.intp)
        array = np.take(array, np.minimum(nearest, array.shape[axis] - 1), axis=axis)
    return array


def _average(array: NDArray, *, sizes: Sequence[int], strides: NDArray[np.float64]) -> NDArray[np.float32]:
    """Apply the weights of each axis, Z first: its sums run over whole slices, as memory does best."""
    if tuple(sizes) == array.shape and np.all(strides == 1.0):
        return array.astype(np.float32, order="F")  # the filter is the identity
    along_x, along_y, along_z = (
        averaging_weights(old_size, new_size=size, stride=stride)
        for old_size, size, stride in zip(array.shape, sizes, strides, strict=True)
    )
    result = np.empty(sizes[::-1], dtype=np.float32)  # (Z, Y, X)
    for first in range(0, sizes[2], SLICES_AT_ONCE):
        weights = along_z[first : first + SLICES_AT_ONCE]
        start, stop = weights.indices.min(), weights.indices.max() + 1
        slab = array[:, :, start:stop].T.astype(np.float32, order="C")  # (z, Y, X) of the old grid
        slices = weights[:, start:stop] @ slab.reshape(stop - start, -1)
        for row, plane in enumerate(slices, start=first):
            shrunk = along_y @ plane.reshape(slab.shape[1:])  # (new Y, old X)
            result[row] = (along_x @ np.ascontiguousarray(shrunk.T)).T
    return result.T


def averaging_weights(old_size: int, *, new_size: int, stride: float) -> "csr_array":
    """Return the (new_size, old_size) sparse float32 matrix that resamples one axis; each row sums to one.

    Parameters
    ----------
    old_size, new_size : voxels along the axis.
    stride : new spacing / old spacing; below one the axis grows and the weights are those of linear
        interpolation.

    Notes
    -----
    Beyond its first and last centre the axis continues with the value found there.
    """
    # Loaded where it is needed: most stages resample nothing, and all would wait for it.
    from scipy.sparse import csr_array  # noqa: PLC0415

    window = np.sqrt(max(stride**2 - 1.0, 0.0))
    centres = (np.arange(new_size) + 0.5) * stride - 0.5
    reach = int(np.ceil(window / 2.0)) + 1
    columns = np.rint(centres).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
    offsets = centres[:, None] - columns
    if window < SMALLEST_WINDOW:
        weights = np.maximum(1.0 - np.abs(offsets), 0.0)
    else:
        weights = (_hat_integral(offsets + window / 2.0) - _hat_integral(offsets - window / 2.0)) / window
    rows = np.repeat(np.arange(new_size), columns.shape[1])
    matrix = csr_array(
        (weights.ravel().astype(np.float32), (rows, np.clip(columns, 0, old_size - 1).ravel())),
        shape=(new_size, old_size),
    )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _hat_integral(end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral up to `end` of the hat of linear interpolation, `max(0, 1 - |x|)`."""
    end = np.clip(end, -1.0, 1.0)
    return np.where(end < 0.0, (1.0 + end) ** 2 / 2.0, 1.0 - (1.0 - end) ** 2 / 2.0)
