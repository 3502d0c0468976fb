"""The place, turn and stretch at which the surroundings of two points agree best: a few Gauss-Newton steps.

Around a point the template is `T(x)`, around a place of the target `G(t + M x)`; shift `t`, matrix `M`, gain and offset
of the intensity are those that make the weighted squares of their difference smallest. Samples that differ much more
than the others, such as a lesion that grew, lose their weight (Geman and McClure 1985).

Source: Lucas and Kanade, An iterative image registration technique (1981); Baker and Matthews, Lucas-Kanade 20 years
on (IJCV 2004), forwards additive form.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import Cubes, cube_offsets_mm, sample_cubes, steps_mm
from anatomical_embedding.matching.local_splines import (
    between_samples,
    linear_between_samples,
    spline_coefficients,
    spline_slopes,
)
from anatomical_embedding.settings.refinement import DescentPassSettings, DescentSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

NUM_SHIFTS, NUM_MATRIX = 3, 9
NUM_UNKNOWNS = NUM_SHIFTS + NUM_MATRIX + 2
LARGEST_STEP_MM = 2.0
LARGEST_BEND = 0.1
SMALLEST_STEP_MM = 0.02
NORMAL_FROM_MEDIAN = 1.4826
"""Standard deviation of normal numbers, in units of the median of their sizes."""
OUTLIER_SCALES = 1.5
"""A sample that differs by so many standard deviations has a quarter of its weight left."""
DAMPING = 1e-5
SMALLEST_UNEXPLAINED = 1e-6
SMALLEST_FREEDOM = 0.5


class Descent(NamedTuple):
    """Where the steps ended.

    Attributes
    ----------
    shift_mm : (N, 3) from the place that was given.
    matrices : (N, 3, 3) float32: the surroundings of the place are `matrices @ x` where the template has x.
    correlation : (N,) weighted correlation of the two surroundings there, in [-1, 1].
    gain : (N,) by how much less is left unexplained than at the start, in units of what noise alone would bring about
        (the F statistic, with the voxels of the coarser scan for samples).
    """

    shift_mm: NDArray[np.float64]
    matrices: torch.Tensor
    correlation: NDArray[np.float64]
    gain: NDArray[np.float64]


def descend(
    template: Volume,
    points_mm: Points,
    target: Volume,
    places_mm: Points,
    *,
    matrices: torch.Tensor | None,
    settings: DescentSettings,
    samples: DescentPassSettings,
) -> Descent:
    """Return by how far (N, 3) places of the target have to move to agree with (N, 3) points of the template.

    Parameters
    ----------
    points_mm, places_mm : mm RAS+, each in the world of its scan; finite.
    matrices : (N, 3, 3) to begin with; None for the identity.
    settings, samples : weights and stiffness, and what is sampled; a shift beyond its reach is not to be trusted.
    """
    steps = steps_mm(samples.half_size_mm, step_mm=samples.step_mm)
    wide = steps_mm(samples.half_size_mm + samples.reach_mm, step_mm=samples.step_mm)
    blur_mm = samples.blur_steps * samples.step_mm
    known = sample_cubes(template, points_mm, steps, blur_mm=blur_mm)
    surroundings = _Surroundings(sample_cubes(target, places_mm, wide, blur_mm=blur_mm))
    count = len(known.values)
    offsets = torch.from_numpy(cube_offsets_mm(steps).reshape(-1, 3).astype(np.float32))
    in_ball = (offsets**2).sum(dim=1) <= samples.half_size_mm**2
    offsets = offsets[in_ball]  # (P, 3)
    values = torch.from_numpy(known.values.reshape(count, -1))[:, in_ball]
    slopes = _slopes(known.values, step_mm=samples.step_mm)[:, in_ball]
    weights = torch.exp(-(offsets**2).sum(dim=1) / (2.0 * samples.deviation_mm**2)) * torch.from_numpy(
        known.is_inside.reshape(count, -1)[:, in_ball]
    )
    shift = torch.zeros(count, 3)
    matrix = torch.eye(3).repeat(count, 1, 1) if matrices is None else matrices
    seen, is_inside = surroundings.look((shift[:, None] + offsets @ matrix.mT) / samples.step_mm)
    at_start = _correlation(values, seen, weights * is_inside)
    for _ in range(samples.num_steps):
        step = _step(
            values,
            slopes,
            offsets,
            seen,
            weights * is_inside,
            matrix=matrix,
            settings=settings,
            samples=samples,
        )
        shift = shift + step[:, :NUM_SHIFTS].clamp(-LARGEST_STEP_MM, LARGEST_STEP_MM)
        bend = (step[:, NUM_SHIFTS : NUM_SHIFTS + NUM_MATRIX] / samples.deviation_mm).reshape(count, 3, 3)
        matrix = matrix + bend.clamp(-LARGEST_BEND, LARGEST_BEND)
        seen, is_inside = surroundings.look((shift[:, None] + offsets @ matrix.mT) / samples.step_mm)
        if float(step[:, :NUM_SHIFTS].abs().max()) < SMALLEST_STEP_MM:
            break
    correlation = _correlation(values, seen, weights * is_inside)
    gain = (1.0 - at_start**2) / (1.0 - correlation**2).clamp_min(SMALLEST_UNEXPLAINED) - 1.0
    gain = gain * _freedom(template, target, deviation_mm=samples.deviation_mm)
    return Descent(shift.double().numpy(), matrix, correlation.double().numpy(), gain.double().numpy())


def _freedom(template: Volume, target: Volume, *, deviation_mm: float) -> float:
    """Return how many voxels of the coarser scan bear on each unknown, beyond the one that it takes."""
    voxel_mm3 = max(float(np.prod(volume.spacing_mm)) for volume in (template, target))
    num_voxels = (2.0 * np.pi**0.5 * deviation_mm) ** 3 / voxel_mm3
    return max(num_voxels / NUM_UNKNOWNS - 1.0, SMALLEST_FREEDOM)


def _slopes(cubes: NDArray[np.float32], *, step_mm: float) -> torch.Tensor:
    """Return the (N, S^3, 3) slopes per mm of (N, S, S, S) samples."""
    matrix = torch.from_numpy((spline_slopes(cubes.shape[-1]) / step_mm).astype(np.float32))
    along = [
        torch.einsum(f"nijk,a{axis}->n{'ijk'.replace(axis, 'a')}", torch.from_numpy(cubes), matrix)
        for axis in "ijk"
    ]
    return torch.stack(along, dim=-1).flatten(1, 3)


class _Surroundings:
    """Cubes of the target, to be read at any place.

    Parameters
    ----------
    cubes : samples around places.
    """

    def __init__(self, cubes: Cubes):
        count = cubes.values.shape[-1]
        matrix = torch.from_numpy(spline_coefficients(count).astype(np.float32))
        coefficients = torch.from_numpy(cubes.values)
        for _ in "xyz":  # the last axis is taken along, and comes first
            coefficients = torch.einsum("ak,nijk->naij", matrix, coefficients)
        self._coefficients = coefficients
        self._inside = None if cubes.is_inside.all() else torch.from_numpy(cubes.is_inside.astype(np.float32))
        self._middle = (count - 1) / 2.0

    def look(self, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what lies at (N, P, 3) places, counted in samples from the middle.

        (N, P) values, and (N, P) whether it lies in the scan, between 0 and 1 at its edge.
        """
        places = steps + self._middle
        seen = between_samples(self._coefficients, places)
        if self._inside is None:
            return seen, torch.ones_like(seen)
        return seen, linear_between_samples(self._inside, places[:, None])[:, 0]


def _step(
    values: torch.Tensor,
    slopes: torch.Tensor,
    offsets: torch.Tensor,
    seen: torch.Tensor,
    counted: torch.Tensor,
    *,
    matrix: torch.Tensor,
    settings: DescentSettings,
    samples: DescentPassSettings,
) -> torch.Tensor:
    """Return the (N, 14) step: shift in mm, matrix in units of 1 / deviation, change of gain and of offset.

    The slopes are those of the template, which are the target's where the two agree and need no second look.
    """
    known, seen = _centred(values, counted), _centred(seen, counted)
    gain = _mean(known * seen, counted) / _mean(seen**2, counted).clamp_min(1e-6)
    residual = known - gain * seen
    scale = NORMAL_FROM_MEDIAN * residual.abs().median(dim=1, keepdim=True).values + 1e-3
    counted = counted / (1.0 + (residual / (OUTLIER_SCALES * scale)) ** 2) ** 2
    by_matrix = slopes[..., :, None] * (offsets / samples.deviation_mm)[:, None, :]  # (N, P, 3, 3)
    columns = torch.cat(
        [slopes, by_matrix.flatten(2), seen[..., None], torch.ones_like(seen)[..., None]], dim=2
    )
    weighted = (columns * counted[..., None]).mT
    normal, right = weighted @ columns, (weighted @ residual[..., None])[..., 0]
    diagonal = normal.diagonal(dim1=1, dim2=2)
    pull = torch.zeros_like(right)
    pull[:, NUM_SHIFTS : NUM_SHIFTS + NUM_MATRIX] = settings.stiffness * diagonal[:, :NUM_SHIFTS].mean(
        dim=1, keepdim=True
    )
    bent = torch.zeros_like(right)
    bent[:, NUM_SHIFTS : NUM_SHIFTS + NUM_MATRIX] = (matrix - torch.eye(3)).flatten(1) * samples.deviation_mm
    normal = normal + torch.diag_embed(pull + DAMPING * diagonal + 1e-6)
    step = torch.linalg.solve(normal, right - pull * bent)
    return torch.where(torch.isfinite(step), step, 0.0)


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the (N, 1) weighted means of (N, P) values."""
    return (weights * values).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True).clamp_min(1e-9)


def _centred(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return values - _mean(values, weights)


def _correlation(known: torch.Tensor, seen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the (N,) weighted correlations of (N, P) values; 0 where one is constant."""
    known, seen = _centred(known, weights), _centred(seen, weights)
    spread = _mean(known**2, weights) * _mean(seen**2, weights)
    return (_mean(known * seen, weights) / spread.clamp_min(1e-6).sqrt())[:, 0]
