"""What a scan shows around places: read once, and compared in several ways."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import (
    BLUR_OF_VOXELS,
    Cubes,
    blur_matrix,
    sample_cubes,
    steps_mm,
)
from anatomical_embedding.matching.local_splines import Splines
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class Surroundings:
    """Cubes of samples of a scan.

    Attributes
    ----------
    volume : the scan.
    middles_mm : (N, 3) mm RAS+ in its world.
    cubes : samples around these.
    step_mm, blur_mm : their distance, and the standard deviation of their blur.
    """

    volume: Volume
    middles_mm: Points
    cubes: Cubes
    step_mm: float
    blur_mm: float

    def splines(self, blur_mm: NDArray[np.float64]) -> Splines:
        """Return splines through the samples, with (3,) standard deviations of their blur along the world's axes."""
        has_mm = np.maximum(self.blur_mm, own_blur_mm(self.volume))
        missing = np.sqrt(np.maximum(blur_mm**2 - has_mm**2, 0.0)) / self.step_mm
        length = self.cubes.values.shape[-1]
        values = torch.from_numpy(self.cubes.values)
        for sigma in missing[::-1]:  # the last axis is taken along, and comes first
            matrix = torch.from_numpy(blur_matrix(length, float(sigma)).astype(np.float32))
            values = torch.einsum("ak,nijk->naij", matrix, values)
        is_inside = None if self.cubes.is_inside.all() else torch.from_numpy(self.cubes.is_inside)
        return Splines(values, is_inside, step_mm=self.step_mm)


def look_around(
    volume: Volume, middles_mm: Points, *, num_steps: int, step_mm: float, blur_mm: float
) -> Surroundings:
    """Return what lies within some steps along each axis of (N, 3) places in mm RAS+."""
    cubes = sample_cubes(volume, middles_mm, steps_mm(num_steps * step_mm, step_mm=step_mm), blur_mm=blur_mm)
    return Surroundings(volume, middles_mm, cubes, step_mm, blur_mm)


def own_blur_mm(volume: Volume) -> NDArray[np.float64]:
    """Return the (3,) standard deviations of the blur of a scan's voxels along the axes of the world."""
    return BLUR_OF_VOXELS * np.linalg.norm(volume.affine[:3, :3], axis=1)
