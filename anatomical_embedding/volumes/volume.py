"""A volume: an array and the affine that places it in the world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.volumes.affine import (
    Points,
    invert_affine,
    spacing_from_affine,
    transform_points,
)


@dataclass(frozen=True)
class Volume:
    """Voxels with their place in the world.

    Attributes
    ----------
    array : (X, Y, Z), any dtype.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    array: NDArray
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along X, Y and Z."""
        return self.array.shape  # type: ignore[return-value]

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """(3,) distance between voxel centres along each array axis, in mm."""
        return spacing_from_affine(self.affine)

    def world_from_voxel(self, points_vox: ArrayLike) -> Points:
        """Return (N, 3) mm RAS+ of (N, 3) voxel coordinates."""
        return transform_points(self.affine, points_vox)

    def voxel_from_world(self, points_mm: ArrayLike) -> Points:
        """Return (N, 3) voxel coordinates of (N, 3) mm RAS+."""
        return transform_points(invert_affine(self.affine), points_mm)
