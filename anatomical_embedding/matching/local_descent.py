"""The place, turn and stretch at which the surroundings of two points agree best: a few Gauss-Newton steps.

The voxels of the coarser scan around its point are taken as they are, `F(y)`; the finer one is read by splines where
they should lie in it, `G(t + M y)`. Shift `t`, matrix `M`, gain and offset of the intensity are those that make the
weighted squares of the difference smallest; by how much the finer one is the sharper is unknown as well. Samples that
differ much more than the others, such as a lesion that grew, lose their weight (Geman and McClure 1985). A coarse scan
read between its voxels instead shows its aliasing, which a small ball fits.

Source: Lucas and Kanade, An iterative image registration technique (1981); Baker and Matthews, Lucas-Kanade 20 years
on (IJCV 2004), forwards additive form.
"""

from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_lattice import Lattice, lattice_splines, sample_lattice, strides_of
from anatomical_embedding.matching.local_splines import Splines
from anatomical_embedding.matching.surroundings import Surroundings, own_blur_mm
from anatomical_embedding.settings.refinement import DescentPassSettings, DescentSettings

NUM_SHIFTS, NUM_MATRIX, NUM_BLURS = 3, 9, 3
NUM_UNKNOWNS = NUM_SHIFTS + NUM_MATRIX + NUM_BLURS + 2
OF_SHIFT, OF_MATRIX = slice(NUM_SHIFTS), slice(NUM_SHIFTS, NUM_SHIFTS + NUM_MATRIX)
OF_BLUR = slice(NUM_SHIFTS + NUM_MATRIX, NUM_SHIFTS + NUM_MATRIX + NUM_BLURS)
LARGEST_STEP_MM = 2.0
LARGEST_BEND = 0.1
SMALLEST_STEP = 0.02
"""A step of a smaller share of the distance of samples is the last."""
NORMAL_FROM_MEDIAN = 1.4826
"""Standard deviation of normal numbers, in units of the median of their sizes."""
OUTLIER_SCALES = 1.5
"""A sample that differs by so many standard deviations has a quarter of its weight left."""
SMALLEST_SCALE = 0.05
"""As a share of the standard deviation of the ball: neither interpolation at its edges is an outlier, nor an edge that
still lies a fraction of a millimetre off among fat that agrees anywhere, and that alone tells where to go."""
DAMPING = 1e-5
SMALLEST_UNEXPLAINED = 1e-6
SMALLEST_FREEDOM = 0.5
COARSER = 1.01
"""Voxels wider than so many of the other scan are coarser than these."""
BALL_MM3 = 4.0 / 3.0 * np.pi


class Descent(NamedTuple):
    """Where the steps ended.

    Attributes
    ----------
    shift_mm : (N, 3) from the place that was given.
    matrices : (N, 3, 3) float32: the surroundings of the place are `matrices @ x` where the template has x.
    correlation : (N,) weighted correlation of the two surroundings there, in [-1, 1].
    gain : (N,) by how much less is left unexplained than at the start, in units of what noise alone would bring about
        (the F statistic, with the voxels of the coarser scan, or every k-th of them, for samples).
    """

    shift_mm: NDArray[np.float64]
    matrices: torch.Tensor
    correlation: NDArray[np.float64]
    gain: NDArray[np.float64]


class _Comparison:
    """Which of two scans is read on its voxels, and which between them; with a blur, both at the samples in hand.

    Parameters
    ----------
    template, target : what is seen around N points, and around N places.
    samples : what of it is compared.
    """

    def __init__(self, template: Surroundings, target: Surroundings, samples: DescentPassSettings):
        is_target_coarse = not _has_coarser_voxels(template, target)
        coarser = target if is_target_coarse else template
        self.of_voxels = samples.blur_mm == 0.0
        self.is_forth = not (self.of_voxels and is_target_coarse)
        self._fixed, self._moving = (template, target) if self.is_forth else (target, template)
        self._blur_mm = np.maximum(own_blur_mm(coarser.volume), max(samples.blur_mm, template.blur_mm))
        self._step_mm = samples.step_mm
        self.voxel_mm3 = float(np.prod(coarser.volume.spacing_mm))
        strides = strides_of(coarser.volume, samples.step_mm) if self.of_voxels else np.ones(3)
        self.sample_mm3 = self.voxel_mm3 * float(np.prod(strides))

    def moving(self, shift_mm: NDArray[np.float64], *, radius_mm: float) -> Splines:
        """Return what is read between its samples, around the target's places shifted by (N, 3) mm, or the points."""
        if not self.of_voxels:
            return self._moving.splines(self._blur_mm)
        return lattice_splines(
            self._moving.volume,
            self._moving.middles_mm,
            self._moving.middles_mm + (shift_mm if self.is_forth else 0.0),
            radius_mm=radius_mm,
            step_mm=self._step_mm,
            lattice_of=self._fixed.volume,
        )

    def fixed(self, shift_mm: NDArray[np.float64], *, radius_mm: float) -> Lattice:
        """Return what lies around the points of the template, or around the target's places, shifted by (N, 3) mm."""
        if not self.of_voxels:
            return self._fixed.lattice(radius_mm=radius_mm, step_mm=self._step_mm, blur_mm=self._blur_mm)
        middles_mm = self._fixed.middles_mm + (0.0 if self.is_forth else shift_mm)
        return sample_lattice(self._fixed.volume, middles_mm, radius_mm=radius_mm, step_mm=self._step_mm)

    def widened(self, radius_mm: float, *, min_voxels: int) -> float:
        """Return by how much a ball has to be larger to hold enough voxels."""
        return max(1.0, (min_voxels * self.sample_mm3 / BALL_MM3) ** (1.0 / 3.0) / radius_mm)

    def freedom(self, deviation_mm: float) -> float:
        """Return how many samples bear on each unknown, beyond the one that it takes."""
        num_samples = (2.0 * np.pi**0.5 * deviation_mm) ** 3 / self.sample_mm3
        return max(num_samples / NUM_UNKNOWNS - 1.0, SMALLEST_FREEDOM)


def descend(
    template: Surroundings,
    target: Surroundings,
    shift_mm: NDArray[np.float64],
    *,
    matrices: torch.Tensor,
    left_out_mm: NDArray[np.float64],
    settings: DescentSettings,
    samples: DescentPassSettings,
) -> Descent:
    """Return by how far places of the target have to move to agree with the points of the template.

    Parameters
    ----------
    template, target : what is seen around N points, and around N places.
    shift_mm : (N, 3) of the places to begin at, from the middle of what is seen.
    matrices : (N, 3, 3) to begin with.
    left_out_mm : (N,) radius of the ball in the middle that does not count.
    settings, samples : weights and stiffness, and what is sampled; a shift beyond its reach is not to be trusted.
    """
    scans = _Comparison(template, target, samples)
    widened = scans.widened(samples.half_size_mm, min_voxels=samples.min_voxels)
    deviation_mm = widened * samples.deviation_mm
    radius_mm = widened * samples.half_size_mm
    fit = _Fit(
        scans.fixed(shift_mm, radius_mm=radius_mm),
        scans.moving(shift_mm, radius_mm=radius_mm + samples.reach_mm),
        left_out_mm=left_out_mm,
        deviation_mm=deviation_mm,
        stiffness=settings.stiffness,
    )
    middle = torch.from_numpy((shift_mm if scans.is_forth else np.zeros_like(shift_mm)).astype(np.float32))
    start = _Pose(
        middle, matrices if scans.is_forth else torch.linalg.inv(matrices), torch.zeros(middle.shape)
    )
    end, at_start, correlation = fit.descended(start, samples=samples, is_blurred_once=scans.of_voxels)
    moved, matrix = end.place - middle, end.matrix
    if not scans.is_forth:
        matrix = torch.linalg.inv(matrix)
        moved = -(matrix @ moved[..., None])[..., 0]
    gain = (1.0 - at_start**2) / (1.0 - correlation**2).clamp_min(SMALLEST_UNEXPLAINED) - 1.0
    gain = gain * scans.freedom(deviation_mm)
    return Descent(moved.double().numpy(), matrix, correlation.double().numpy(), gain.double().numpy())


def _has_coarser_voxels(one: Surroundings, other: Surroundings) -> bool:
    return bool(one.volume.spacing_mm.max() > COARSER * other.volume.spacing_mm.max())


class _Pose(NamedTuple):
    """How N surroundings are laid onto the others.

    Attributes
    ----------
    place : (N, 3) mm, from the middle of what is seen of the finer scan.
    matrix : (N, 3, 3).
    blur_mm2 : (N, 3) half the variance, along the axes of the world, by which the finer scan is the sharper one.
    """

    place: torch.Tensor
    matrix: torch.Tensor
    blur_mm2: torch.Tensor


class _Seen(NamedTuple):
    """(N, P) values of the finer scan, their (N, P, 3) derivatives, and the (N, P) weights that they have."""

    values: torch.Tensor
    slopes: torch.Tensor
    bends: torch.Tensor
    counted: torch.Tensor


class _Glance(NamedTuple):
    """(N, P) values of the finer scan, and the (N, P) weights that they have."""

    values: torch.Tensor
    counted: torch.Tensor


class _Fit:
    """The voxels of one scan, looked for in the other.

    Parameters
    ----------
    fixed, moving : what is compared, of N points.
    left_out_mm : (N,) radius of the ball in the middle that does not count.
    deviation_mm : of the Gaussian that weighs samples by their distance.
    stiffness : resistance of the matrix.
    """

    def __init__(
        self,
        fixed: Lattice,
        moving: Splines,
        *,
        left_out_mm: NDArray[np.float64],
        deviation_mm: float,
        stiffness: float,
    ):
        self._fixed, self._moving = fixed, moving
        self._deviation_mm, self._stiffness = deviation_mm, stiffness
        distance2 = (fixed.offsets_mm**2).sum(dim=2)
        is_beyond = distance2 >= torch.from_numpy(left_out_mm**2)[:, None]
        self._weights = torch.exp(-distance2 / (2.0 * deviation_mm**2)) * is_beyond * fixed.is_inside

    def descended(
        self, start: _Pose, *, samples: DescentPassSettings, is_blurred_once: bool
    ) -> tuple[_Pose, torch.Tensor, torch.Tensor]:
        """Return where some steps lead, and the (N,) weighted correlations at their start and end, with the end's blur.

        Parameters
        ----------
        start : where to begin, without a blur.
        samples : how many steps at most, and which is small.
        is_blurred_once : whether the blur that the first step finds is brought about in full; a linear term, as for the
            rest of it, is exact only for a small one.
        """
        of_all, fit, rows, pose, end = self, self, torch.arange(len(start.place)), start, start
        at_start = self._look(start)
        for index in range(samples.num_steps):
            step = fit._step(pose, fit._look(pose) if index else at_start)
            bend = (step[:, OF_MATRIX] / self._deviation_mm).reshape(-1, 3, 3)
            pose = _Pose(
                pose.place + step[:, OF_SHIFT].clamp(-LARGEST_STEP_MM, LARGEST_STEP_MM),
                pose.matrix + bend.clamp(-LARGEST_BEND, LARGEST_BEND),
                pose.blur_mm2 + step[:, OF_BLUR],
            )
            if is_blurred_once and index == 0:
                of_all = fit = self._blurred(pose.blur_mm2)
                pose = pose._replace(blur_mm2=pose.blur_mm2.clamp_max(0.0))
            end = _Pose(*(whole.index_copy(0, rows, part) for whole, part in zip(end, pose, strict=True)))
            is_moving = step[:, OF_SHIFT].abs().amax(dim=1) >= SMALLEST_STEP * samples.step_mm
            if not is_moving.any():
                break
            rows, pose = rows[is_moving], _Pose(*(part[is_moving] for part in pose))
            fit = fit._part(is_moving)
        begin = start._replace(blur_mm2=end.blur_mm2)
        before = _glance_at(at_start, begin) if of_all is self else of_all._glance(begin)
        return end, *of_all._correlations(before, of_all._glance(end))

    def _blurred(self, half_mm2: torch.Tensor) -> "_Fit":
        """Return the fit to the finer scan blurred by (N, 3) half the variance along each of its axes."""
        blurred = copy(self)
        blurred._moving = self._moving.blurred(half_mm2.numpy())
        return blurred

    def _part(self, is_chosen: torch.Tensor) -> "_Fit":
        """Return the fit of some of the points."""
        if is_chosen.all():
            return self
        rows = torch.nonzero(is_chosen)[:, 0]
        part = copy(self)
        part._fixed = Lattice(*(of_all[rows] for of_all in self._fixed))
        part._moving, part._weights = self._moving.part(rows), self._weights[rows]
        return part

    def _correlations(self, one: _Glance, other: _Glance) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (N,) weighted correlations at two poses, over the samples that both see."""
        counted = torch.minimum(one.counted, other.counted)
        return self._correlation(one.values, counted), self._correlation(other.values, counted)

    def _correlation(self, values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Return the (N,) weighted correlations; 0 where one is constant."""
        known, values = _centred(self._fixed.values, counted), _centred(values, counted)
        spread = _mean(known**2, counted) * _mean(values**2, counted)
        return (_mean(known * values, counted) / spread.clamp_min(1e-6).sqrt())[:, 0]

    def _look(self, pose: _Pose) -> _Seen:
        places = self._places(pose)
        slopes, bends = self._moving.derivatives(places)
        values = self._moving.values(places) + (bends * pose.blur_mm2[:, None]).sum(dim=2)
        return _Seen(values, slopes, bends, self._weights * self._moving.holds(places))

    def _glance(self, pose: _Pose) -> _Glance:
        places = self._places(pose)
        values = self._moving.values(places)
        values = values + (self._moving.bends(places) * pose.blur_mm2[:, None]).sum(dim=2)
        return _Glance(values, self._weights * self._moving.holds(places))

    def _places(self, pose: _Pose) -> torch.Tensor:
        return self._moving.places(self._fixed.offsets_mm, place_mm=pose.place, matrix=pose.matrix)

    def _step(self, pose: _Pose, looked: _Seen) -> torch.Tensor:
        """Return the (N, 17) step: shift in mm, matrix in units of 1 / deviation, blur, gain and offset."""
        offsets = self._fixed.offsets_mm
        values, slopes, bends, counted = looked
        known, seen = _centred(self._fixed.values, counted), _centred(values, counted)
        gain = _mean(known * seen, counted) / _mean(seen**2, counted).clamp_min(1e-6)
        residual = known - gain * seen
        scale = NORMAL_FROM_MEDIAN * residual.abs().median(dim=1, keepdim=True).values
        scale = torch.maximum(scale, SMALLEST_SCALE * _mean(known**2, counted).sqrt()) + 1e-3
        counted = counted / (1.0 + (residual / (OUTLIER_SCALES * scale)) ** 2) ** 2
        slopes = gain[..., None] * slopes
        by_matrix = slopes[..., :, None] * (offsets / self._deviation_mm)[..., None, :]  # (N, P, 3, 3)
        columns = torch.cat(
            [
                slopes,
                by_matrix.flatten(2),
                gain[..., None] * bends,
                seen[..., None],
                torch.ones_like(seen)[..., None],
            ],
            dim=2,
        )
        weighted = (columns * counted[..., None]).mT
        normal, right = weighted @ columns, (weighted @ residual[..., None])[..., 0]
        diagonal = normal.diagonal(dim1=1, dim2=2)
        pull, bent = torch.zeros_like(right), torch.zeros_like(right)
        pull[:, OF_MATRIX] = self._stiffness * diagonal[:, OF_SHIFT].mean(dim=1, keepdim=True)
        bent[:, OF_MATRIX] = (pose.matrix - torch.eye(3)).flatten(1) * self._deviation_mm
        normal = normal + torch.diag_embed(pull + DAMPING * diagonal + 1e-6)
        step = torch.linalg.solve(normal, right - pull * bent)
        return torch.where(torch.isfinite(step), step, 0.0)


def _glance_at(seen: _Seen, pose: _Pose) -> _Glance:
    """Return what was seen without a blur as it is with that of a pose."""
    return _Glance(seen.values + (seen.bends * pose.blur_mm2[:, None]).sum(dim=2), seen.counted)


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the (N, 1) weighted means of (N, P) values."""
    return (weights * values).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True).clamp_min(1e-9)


def _centred(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return values - _mean(values, weights)
