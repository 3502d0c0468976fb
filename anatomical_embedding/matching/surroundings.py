"""What a scan shows around places: read once, and compared in several ways."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import (
    BLUR_OF_VOXELS,
    Cubes,
    blur_matrix,
    cube_offsets_mm,
    sample_cubes,
    steps_mm,
)
from anatomical_embedding.matching.local_lattice import Lattice
from anatomical_embedding.matching.local_splines import Splines, multiplied_along
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

    def part(self, rows: NDArray[np.int64]) -> "Surroundings":
        """Return what lies around some of the places."""
        if len(rows) == len(self.middles_mm):
            return self
        cubes = Cubes(self.cubes.values[rows], self.cubes.is_inside[rows])
        return replace(self, middles_mm=self.middles_mm[rows], cubes=cubes)

    def splines(self, blur_mm: NDArray[np.float64]) -> Splines:
        """Return splines through the samples, with (3,) standard deviations of their blur along the world's axes."""
        is_inside = (
            None if self.cubes.is_inside.all() else torch.from_numpy(self.cubes.is_inside.astype(np.float32))
        )
        half = (self.cubes.values.shape[-1] - 1) / 2.0
        return Splines(
            self._blurred(blur_mm),
            is_inside,
            to_samples=np.eye(3) / self.step_mm,
            middles=np.full((len(self.middles_mm), 3), half),
        )

    def lattice(self, *, radius_mm: float, step_mm: float, blur_mm: NDArray[np.float64]) -> Lattice:
        """Return the samples of the ball around each middle, about `step_mm` apart, blurred as those of `splines`."""
        stride = max(round(step_mm / self.step_mm), 1)
        half = (self.cubes.values.shape[-1] - 1) // 2
        radius_mm = min(radius_mm, half * self.step_mm)
        offsets_mm = cube_offsets_mm(
            np.arange(-(half // stride), half // stride + 1) * stride * self.step_mm
        ).reshape(-1, 3)
        offsets_mm = offsets_mm[np.sum(offsets_mm**2, axis=1) <= radius_mm**2]
        chosen = np.rint(offsets_mm / self.step_mm).astype(int) + half
        index = (slice(None), *chosen.T)
        return Lattice(
            self._blurred(blur_mm)[index],
            torch.from_numpy(offsets_mm.astype(np.float32)).expand(len(self.middles_mm), -1, -1),
            torch.from_numpy(self.cubes.is_inside[index].astype(np.float32)),
        )

    def _blurred(self, blur_mm: NDArray[np.float64]) -> torch.Tensor:
        """Return the (N, S, S, S) samples with the blur that they lack."""
        has_mm = np.maximum(self.blur_mm, own_blur_mm(self.volume))
        missing = np.sqrt(np.maximum(blur_mm**2 - has_mm**2, 0.0)) / self.step_mm
        values = torch.from_numpy(self.cubes.values)
        for axis, sigma in zip("ijk", missing, strict=True):
            if sigma > 0.0:
                values = multiplied_along(axis, blur_matrix(values.shape[-1], float(sigma)), values)
        return values


def look_around(
    volume: Volume, middles_mm: Points, *, num_steps: int, step_mm: float, blur_mm: float
) -> Surroundings:
    """Return what lies within some steps along each axis of (N, 3) places in mm RAS+."""
    cubes = sample_cubes(volume, middles_mm, steps_mm(num_steps * step_mm, step_mm=step_mm), blur_mm=blur_mm)
    return Surroundings(volume, middles_mm, cubes, step_mm, blur_mm)


def own_blur_mm(volume: Volume) -> NDArray[np.float64]:
    """Return the (3,) standard deviations of the blur of a scan's voxels along the axes of the world."""
    return BLUR_OF_VOXELS * np.linalg.norm(volume.affine[:3, :3], axis=1)
