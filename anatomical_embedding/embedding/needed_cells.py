"""Which cells of an embedding are made: those of the body, in blocks that leave the air out.

Half of a CT of the trunk is air and table. The vectors there are of no use, yet the heads that make them take half of
the time, so they are made only near the body. The features below the heads are made everywhere: the cells of the
body see them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.settings.network import ShapeZyx

Cells = tuple[range, range, range]
"""Cells of a map along z, y and x."""

STEP_ALONG_X = 8
"""Blocks begin and end at multiples of this, so that there are few different sizes: each costs its preparation."""


def needed_cells(body: NDArray[np.bool_], *, stride_zyx: ShapeZyx, shape_zyx: ShapeZyx) -> NDArray[np.bool_]:
    """Return the cells of a map that touch a region of the volume.

    Parameters
    ----------
    body : (Z, Y, X), True in the region.
    stride_zyx : of the map, in voxels.
    shape_zyx : cells of the map; a last cell may reach over the end of the volume, or not reach it.

    Examples
    --------
    >>> needed_cells(np.array([[[0, 0, 0, 1, 0]]], bool), stride_zyx=(1, 1, 2), shape_zyx=(1, 1, 3)).tolist()
    [[[False, True, False]]]
    """
    covered = [cells * stride for cells, stride in zip(shape_zyx, stride_zyx, strict=True)]
    ends = [(0, max(0, length - size)) for length, size in zip(covered, body.shape, strict=True)]
    padded = np.pad(body, ends)[tuple(slice(length) for length in covered)]
    split = [size for pair in zip(shape_zyx, stride_zyx, strict=True) for size in pair]
    return np.asarray(padded.reshape(split).any(axis=(1, 3, 5)))


def blocks_of(needed: NDArray[np.bool_], *, cells: Cells, size_zy: tuple[int, int]) -> Iterator[Cells]:
    """Give blocks that together hold all needed cells of a part of a map, each once.

    Parameters
    ----------
    needed : (z, y, x) of the whole map.
    cells : the part.
    size_zy : largest number of cells of a block along z and y; along x it goes from the first needed cell to the last.
    """
    along_z, along_y, along_x = cells
    for rows in pieces(along_z, size_zy[0]):
        for columns in pieces(along_y, size_zy[1]):
            part = needed[rows.start : rows.stop, columns.start : columns.stop, along_x.start : along_x.stop]
            found = np.flatnonzero(part.any(axis=(0, 1)))
            if len(found):
                first = found[0] // STEP_ALONG_X * STEP_ALONG_X
                last = -(-(found[-1] + 1) // STEP_ALONG_X) * STEP_ALONG_X
                yield (
                    rows,
                    columns,
                    range(along_x.start + int(first), min(along_x.stop, along_x.start + int(last))),
                )


def pieces(cells: range, length: int) -> Iterator[range]:
    """Cut a range of cells or rows into pieces of at most `length` of them."""
    for start in range(cells.start, cells.stop, length):
        yield range(start, min(start + length, cells.stop))


def everything(shape_zyx: Sequence[int]) -> NDArray[np.bool_]:
    """Return that all cells of a map are needed, at the cost of one."""
    return np.broadcast_to(np.True_, tuple(shape_zyx))
