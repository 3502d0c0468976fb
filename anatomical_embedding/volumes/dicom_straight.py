"""Slices of a tilted gantry, or with unequal gaps, brought to a straight grid of equal steps by their exact places.

The grid has the directions and the pixels of the slices, its slices lie along their normal. Each of its slices is
interpolated once: in the two stored slices above and below it, shifted in their own planes, and between these two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

ROUNDING_VOX = 1e-3
"""By which the slices may leave the grid before it grows by a pixel."""


@dataclass(frozen=True)
class Straightening:
    """Where stored slices lie on a straight grid.

    Attributes
    ----------
    slices_vox : (N,) number of the grid's slice at the height of each stored one, ascending, with fractions.
    pixels_vox : (N, 2) column and row of the grid at the first pixel of each stored slice, 0 or more.
    num_slices : of the grid.
    """

    slices_vox: NDArray[np.float64]
    pixels_vox: NDArray[np.float64]
    num_slices: int


def straightening_of(
    heights_mm: NDArray[np.float64], pixels_vox: NDArray[np.float64]
) -> tuple[Straightening, float]:
    """Return how slices come to a straight grid that begins with the lowest, and the distance of its slices in mm.

    The distance is the usual one of the stored slices, changed by so little that the last slice lies on the grid.

    Parameters
    ----------
    heights_mm : (N,) ascending place of each slice along the normal.
    pixels_vox : (N, 2) column and row of the first pixel of each slice, on any common grid of their pixels.
    """
    span_mm = float(heights_mm[-1] - heights_mm[0])
    num_slices = max(round(span_mm / float(np.median(np.diff(heights_mm)))), 1) + 1
    step_mm = span_mm / (num_slices - 1)
    places = (heights_mm - heights_mm[0]) / step_mm
    return Straightening(places, pixels_vox - pixels_vox.min(axis=0), num_slices), step_mm


def straighten(array: NDArray, how: Straightening) -> NDArray:
    """Return (columns, rows, slices) values on the straight grid, with the lowest value where no slice reaches.

    Whole numbers stay whole, rounded.
    """
    extent = np.ceil(how.pixels_vox.max(axis=0) - ROUNDING_VOX).astype(int)
    size_x, size_y = array.shape[0] + int(extent[0]), array.shape[1] + int(extent[1])
    lowest = float(array.min())
    straight = np.empty((size_x, size_y, how.num_slices), dtype=array.dtype, order="F")
    moved: dict[int, NDArray[np.float64]] = {}
    for number in range(how.num_slices):
        above = int(np.clip(np.searchsorted(how.slices_vox, number), 1, len(how.slices_vox) - 1))
        low, high = how.slices_vox[above - 1 : above + 1]
        share = float(np.clip((number - low) / (high - low), 0.0, 1.0))
        moved = {
            place: moved[place]
            if place in moved
            else _moved(array[..., place], how.pixels_vox[place], shape=(size_x, size_y), outside=lowest)
            for place in (above - 1, above)
        }
        values = (1.0 - share) * moved[above - 1] + share * moved[above]
        straight[..., number] = np.rint(values) if array.dtype.kind in "iu" else values
    return straight


def _moved(
    plane: NDArray, first_vox: NDArray[np.float64], *, shape: tuple[int, int], outside: float
) -> NDArray[np.float64]:
    """Return one slice on the pixels of the grid, whose place of its first pixel is given."""
    if plane.shape == shape and not first_vox.any():
        return plane.astype(np.float64)
    return affine_transform(
        plane.astype(np.float64),
        np.ones(2),
        offset=-first_vox,
        output_shape=shape,
        order=1,
        mode="constant",
        cval=outside,
    )
