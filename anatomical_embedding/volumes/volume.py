"""A volume: an array and the affine that places it in the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.volumes.grid import Grid


@dataclass(frozen=True)
class Volume(Grid):
    """Voxels with their place in the world.

    Attributes
    ----------
    array : (X, Y, Z), any dtype.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    array: NDArray
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Number of voxels along X, Y and Z."""
        return self.array.shape  # type: ignore[return-value]

    def nearest_values(self, points_mm: ArrayLike) -> NDArray:
        """Return the (N,) value of the voxel nearest to each of (N, 3) finite points, mm RAS+; 0 beyond the grid."""
        nearest, is_inside = self.nearest_voxels(points_mm)
        values = np.zeros(len(nearest), dtype=self.array.dtype)
        values[is_inside] = self.array[tuple(nearest[is_inside].T)]
        return values


@dataclass(frozen=True)
class VolumeHeader(Grid):
    """The grid of a volume without its values, as the header of its file tells it.

    Attributes
    ----------
    shape : number of voxels along X, Y and Z.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


def zeros_on(grid: Grid) -> Volume:
    """Return a volume of zeros on a grid, read-only, which takes no memory."""
    return Volume(np.broadcast_to(np.zeros((), np.uint8), grid.shape), np.asarray(grid.affine))


@dataclass(frozen=True)
class FoundVolume:
    """What a file of an owner holds, and what its reader had to mend or to choose.

    Attributes
    ----------
    volume : voxels and place.
    remarks : a sentence each; empty for a file that says all as it should.
    names : of the labels in a label map whose file names them, by their numbers.
    """

    volume: Volume
    remarks: tuple[str, ...]
    names: Mapping[int, str] = field(default_factory=dict)
