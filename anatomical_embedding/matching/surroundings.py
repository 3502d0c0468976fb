"""What a scan shows around places: read once, and compared in several ways."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import (
    BLUR_OF_VOXELS,
    SPLINE_MARGIN_VOX,
    Cubes,
    blur_matrix,
    cube_offsets_mm,
    sample_cubes,
    steps_mm,
    voxels_between,
)
from anatomical_embedding.matching.local_lattice import Lattice
from anatomical_embedding.matching.local_splines import Splines, multiplied_along, spline_basis, spline_coefficients
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
        half = (self.cubes.values.shape[-1] - 1) / 2.0
        return Splines(
            self._blurred(blur_mm),
            None if self.cubes.is_inside.all() else torch.from_numpy(self.cubes.is_inside),
            to_samples=np.eye(3) / self.step_mm,
            middles=np.full((len(self.middles_mm), 3), half),
        )

    def voxel_splines(self, shifts_mm: NDArray[np.float64], *, reach_mm: float, coarser: Volume) -> Splines:
        """Return splines through the voxels themselves, as far as reached from (N, 3) places beside the middles."""
        to_voxels = np.linalg.inv(self.volume.affine[:3, :3])
        reach = np.ceil(reach_mm * np.linalg.norm(to_voxels, axis=1)).astype(int) + SPLINE_MARGIN_VOX
        low = np.rint(self.volume.voxel_from_world(self.middles_mm + shifts_mm)).astype(int) - reach
        boxes = [voxels_between(self.volume, first, first + 2 * reach + 1) for first in low]
        sides = [
            (rows >= 0) & (rows < length)
            for rows, length in zip(
                (first[:, np.newaxis] + np.arange(2 * r + 1) for first, r in zip(low.T, reach, strict=True)),
                self.volume.shape,
                strict=True,
            )
        ]
        is_inside = sides[0][:, :, None, None] & sides[1][:, None, :, None] & sides[2][:, None, None]
        values = torch.from_numpy(np.stack(boxes))
        along = self.volume.affine[:3, :3] / self.volume.spacing_mm
        blur = BLUR_OF_VOXELS * np.linalg.norm(coarser.affine[:3, :3].T @ along, axis=0) / self.volume.spacing_mm
        import os
        finer = np.maximum(np.rint(self.volume.spacing_mm / float(os.environ.get("FS", "2.5"))), 1.0).astype(int)
        for axis, sigma, length, factor in zip("ijk", np.sqrt(np.maximum(blur**2 - BLUR_OF_VOXELS**2, 0.0)), values.shape[1:], finer, strict=True):
            matrix = blur_matrix(length, float(sigma)) if sigma > 0.01 else np.eye(length)
            if factor > 1:
                places = np.arange(factor * (length - 1) + 1) / factor
                matrix = spline_basis(places, length) @ spline_coefficients(length) @ matrix
            if sigma > 0.01 or factor > 1:
                values = multiplied_along(axis, matrix, values)
        if not is_inside.all():
            is_inside = is_inside.repeat(finer[0], 1).repeat(finer[1], 2).repeat(finer[2], 3)[:, : values.shape[1], : values.shape[2], : values.shape[3]]
        return Splines(
            values,
            None if is_inside.all() else torch.from_numpy(is_inside),
            to_samples=to_voxels * finer[:, np.newaxis],
            middles=(self.volume.voxel_from_world(self.middles_mm) - low) * finer,
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
                matrix = torch.from_numpy(blur_matrix(values.shape[-1], float(sigma)).astype(np.float32))
                values = torch.einsum(f"a{axis},nijk->n{'ijk'.replace(axis, 'a')}", matrix, values)
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
