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
import torch.nn.functional as F
from numpy.typing import NDArray

from anatomical_embedding.matching.local_cubes import cube_offsets_mm, sample_cubes, steps_mm
from anatomical_embedding.settings.refinement import DescentSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

NUM_SHIFTS, NUM_MATRIX = 3, 9
LARGEST_STEP_MM = 2.0
LARGEST_BEND = 0.1
SMALLEST_STEP_MM = 0.02
NORMAL_FROM_MEDIAN = 1.4826
"""Standard deviation of normal numbers, in units of the median of their sizes."""
OUTLIER_SCALES = 2.0
"""A sample that differs by so many standard deviations has a quarter of its weight left."""
DAMPING = 1e-5


class Descent(NamedTuple):
    """Where the steps ended.

    Attributes
    ----------
    shift_mm : (N, 3) from the place that was given.
    matrices : (N, 3, 3) float32: the surroundings of the place are `matrices @ x` where the template has x.
    correlation : (N,) weighted correlation of the two surroundings there, in [-1, 1].
    """

    shift_mm: NDArray[np.float64]
    matrices: torch.Tensor
    correlation: NDArray[np.float64]


def descend(
    template: Volume,
    points_mm: Points,
    target: Volume,
    places_mm: Points,
    *,
    matrices: torch.Tensor | None,
    reach_mm: float,
    num_steps: int,
    settings: DescentSettings,
) -> Descent:
    """Return by how far (N, 3) places of the target have to move to agree with (N, 3) points of the template.

    Parameters
    ----------
    points_mm, places_mm : mm RAS+, each in the world of its scan; finite.
    matrices : (N, 3, 3) to begin with; None for the identity.
    reach_mm : the target is sampled so far beyond the cube; a shift that is larger is not to be trusted.
    num_steps : at most.
    settings : cube, step, weights and stiffness.
    """
    steps = steps_mm(settings.half_size_mm, step_mm=settings.step_mm)
    wide = steps_mm(settings.half_size_mm + reach_mm, step_mm=settings.step_mm)
    blur_mm = settings.blur_steps * settings.step_mm
    known = sample_cubes(template, points_mm, steps, blur_mm=blur_mm)
    searched = sample_cubes(target, places_mm, wide, blur_mm=blur_mm)
    count = len(known.values)
    offsets = torch.from_numpy(cube_offsets_mm(steps).reshape(-1, 3).astype(np.float32))
    in_ball = (offsets**2).sum(dim=1) <= settings.half_size_mm**2
    offsets = offsets[in_ball]  # (P, 3)
    values = torch.from_numpy(known.values.reshape(count, -1))[:, in_ball]
    weights = torch.exp(-(offsets**2).sum(dim=1) / (2.0 * settings.deviation_mm**2)) * torch.from_numpy(
        known.is_inside.reshape(count, -1)[:, in_ball]
    )
    surroundings = _Surroundings(
        searched.values, searched.is_inside, step_mm=settings.step_mm, half_mm=wide[-1]
    )
    shift = torch.zeros(count, 3)
    matrix = torch.eye(3).repeat(count, 1, 1) if matrices is None else matrices
    for _ in range(num_steps):
        step = _step(values, weights, offsets, surroundings, shift=shift, matrix=matrix, settings=settings)
        shift = shift + step[:, :NUM_SHIFTS].clamp(-LARGEST_STEP_MM, LARGEST_STEP_MM)
        bend = (step[:, NUM_SHIFTS : NUM_SHIFTS + NUM_MATRIX] / settings.deviation_mm).reshape(count, 3, 3)
        matrix = matrix + bend.clamp(-LARGEST_BEND, LARGEST_BEND)
        if float(step[:, :NUM_SHIFTS].abs().max()) < SMALLEST_STEP_MM:
            break
    seen, _, is_inside = surroundings.look(offsets, shift, matrix)
    correlation = _correlation(values, seen, weights * is_inside)
    return Descent(shift.double().numpy(), matrix, correlation.double().numpy())


class _Surroundings:
    """Cubes of the target with their slopes, to be read at any place.

    Parameters
    ----------
    values, is_inside : (N, L, L, L).
    step_mm : distance of samples.
    half_mm : half the edge of the cubes.
    """

    def __init__(
        self, values: NDArray[np.float32], is_inside: NDArray[np.bool_], *, step_mm: float, half_mm: float
    ):
        samples = torch.from_numpy(values)
        slopes = torch.stack(torch.gradient(samples, spacing=step_mm, dim=(1, 2, 3)), dim=1)
        inside = torch.from_numpy(is_inside.astype(np.float32))
        self._channels = torch.cat([samples[:, None], slopes, inside[:, None]], dim=1)  # (N, 5, L, L, L)
        self._half_mm = half_mm

    def look(
        self, offsets: torch.Tensor, shift: torch.Tensor, matrix: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what lies at `shift + matrix @ offsets`.

        (N, P) values, (N, P, 3) slopes per mm, and (N, P) whether it lies in the scan, between 0 and 1 at its edge.
        """
        places = (shift[:, None] + offsets @ matrix.mT) / self._half_mm
        found = F.grid_sample(
            self._channels,
            places.flip(-1)[:, None, None],
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )[:, :, 0, 0]  # (N, 5, P)
        return found[:, 0], found[:, 1:4].mT, found[:, 4]


def _step(
    values: torch.Tensor,
    weights: torch.Tensor,
    offsets: torch.Tensor,
    surroundings: _Surroundings,
    *,
    shift: torch.Tensor,
    matrix: torch.Tensor,
    settings: DescentSettings,
) -> torch.Tensor:
    """Return the (N, 14) step: shift in mm, matrix in units of 1 / deviation, change of gain and of offset."""
    seen, slopes, is_inside = surroundings.look(offsets, shift, matrix)
    counted = weights * is_inside
    known, seen = _centred(values, counted), _centred(seen, counted)
    gain = _mean(known * seen, counted) / _mean(seen**2, counted).clamp_min(1e-6)
    residual = known - gain * seen
    scale = NORMAL_FROM_MEDIAN * residual.abs().median(dim=1, keepdim=True).values + 1e-3
    counted = counted / (1.0 + (residual / (OUTLIER_SCALES * scale)) ** 2) ** 2
    slopes = gain[..., None] * slopes
    by_matrix = slopes[..., :, None] * (offsets / settings.deviation_mm)[:, None, :]  # (N, P, 3, 3)
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
    bent[:, NUM_SHIFTS : NUM_SHIFTS + NUM_MATRIX] = (matrix - torch.eye(3)).flatten(1) * settings.deviation_mm
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
