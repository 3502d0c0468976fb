"""Blocks of voxels round control points: their means, and values between their middles."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def block_means(image: Floats, stride: int) -> Floats:
    """Return the means of blocks of `stride` voxels along each axis.

    Parameters
    ----------
    image : (X, Y, Z), each size a multiple of `stride`.

    Examples
    --------
    >>> block_means(np.arange(8, dtype=np.float32).reshape(2, 2, 2), 2)
    array([[[3.5]]], dtype=float32)
    """
    if stride == 1:
        return image
    for axis in range(image.ndim):
        first, *others = (image[(slice(None),) * axis + (slice(n, None, stride),)] for n in range(stride))
        image = sum(others, start=first)
    return image * np.float32(stride**-image.ndim)


def between_blocks(image: Floats, stride: int) -> Floats:
    """Return values at voxels, linear between the middles of blocks of `stride` voxels and even beyond the outermost.

    Parameters
    ----------
    image : (A, B, C).

    Examples
    --------
    >>> between_blocks(np.array([[[0, 4]]], dtype=np.float32), 2)[0, 0]
    array([0., 1., 3., 4.], dtype=float32)
    """
    if stride == 1:
        return image
    for axis in range(image.ndim):
        grown = np.empty(
            [size * (stride if side == axis else 1) for side, size in enumerate(image.shape)], image.dtype
        )
        padded = np.pad(
            image, [(1, 1) if side == axis else (0, 0) for side in range(image.ndim)], mode="edge"
        )
        before, here, behind = (padded[_along(axis, n, n + image.shape[axis])] for n in range(3))
        for voxel in range(stride):
            offset = np.float32((voxel + 0.5) / stride - 0.5)  # of the voxel from the middle of its block
            towards = before if offset < 0 else behind
            grown[_along(axis, voxel, None, stride)] = here + abs(offset) * (towards - here)
        image = grown
    return image


def _along(axis: int, start: int, stop: int | None, step: int | None = None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop, step),)
