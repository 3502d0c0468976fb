"""Tests of anatomical_embedding.matching.stable_points and of the robust map below it."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import chi

from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.local_affine import fit_local_affines
from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.settings.matching import HeadWeights, MatchingSettings, StablePointSettings
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from tests.reference.fixed_points import fixed_points_everywhere
from tests.reference.synthetic_embeddings import ORIGIN, synthetic_volume

VOXEL_MM = 2.0
GRID = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
SHAPE = (56, 52, 48)
MATCHING = MatchingSettings(
    head_weights=HeadWeights(fine=1, coarse=1, semantic=1),
    query_interpolation="trilinear",
    search="exact",
    num_candidates=16,
    scan_precision="fp32",
    refinement="parabolic",
    max_memory_mb=256,
    device="cpu",
)
ANCHORS = StablePointSettings(
    anchor_radius_steps=1,
    anchor_step_cells=2,
    num_places=4,
    window_radius_cells=4,
    smallest_similarity=0.0,
    largest_shift_mm=40.0,
    affine_stiffness_mm=2.0,
    min_anchors=4,
)
PATIENT = np.array([[1.12, 0.08, 0.0], [-0.06, 0.93, 0.05], [0.03, 0.0, 1.05]])
SHIFT_MM = np.array([-6.3, 4.1, 2.7])
ROUNDING_MM = 1e-4
"""Peaks are read off similarities in fp32, whose last bit depends on how many queries share a product."""


def into_target(points_mm):
    return points_mm @ PATIENT.T + SHIFT_MM


def into_template(points_mm):
    return (points_mm - SHIFT_MM) @ np.linalg.inv(PATIENT).T


def affine_pair(*, anatomy_of=into_template, **kind):
    """Return a template whose anatomy is its world, and a target that shows it through a known affine map."""
    kind = {"num_channels": 96, "coarse_stride_vox": (8, 8, 8)} | kind
    return (
        synthetic_volume(GRID, SHAPE, volume_id="template", **kind),
        synthetic_volume(GRID, SHAPE, volume_id="target!", anatomy_of=anatomy_of, **kind),
    )


def queries_mm(num_points=40, *, seed=0):
    """Return template points that lie well inside both volumes."""
    return np.random.default_rng(seed).uniform(30, 70, size=(num_points, 3))


@pytest.mark.slow
@pytest.mark.parametrize("search", ["exact", "pruned"])
@pytest.mark.parametrize("has_semantic", [False, True])
def test_known_affine_pair_is_found_below_a_voxel(search, has_semantic):
    template, target = affine_pair(has_semantic=has_semantic)
    asked = MATCHING.model_copy(update={"search": search})
    points_mm = queries_mm()
    found = match_stable_points(template, target, points_mm, settings=asked, stable_points=ANCHORS)
    error_mm = np.linalg.norm(found.matches.points_mm - into_target(points_mm), axis=1)
    assert error_mm.max() < VOXEL_MM
    assert not found.is_fallback.any()
    assert found.num_anchors.min() >= 20
    assert found.residual_mm.max() < VOXEL_MM
    assert found.cycle_error_mm.max() < VOXEL_MM
    assert found.matches.similarity.min() > 0.9


@pytest.mark.slow
def test_two_fifths_of_the_anchors_may_be_wrong():
    """Cells of the target drawn at random show anatomy of elsewhere, so their anchors go astray."""
    random = np.random.default_rng(4)

    def corrupted(points_mm):
        anatomy_mm = into_template(points_mm)
        is_wrong = random.random(anatomy_mm.shape[:-1]) < 0.4
        elsewhere_mm = random.uniform(0, 100, size=anatomy_mm.shape)
        return np.where(is_wrong[..., None], elsewhere_mm, anatomy_mm)

    template, target = affine_pair(anatomy_of=corrupted)
    points_mm = queries_mm(60, seed=2)
    found = match_stable_points(template, target, points_mm, settings=MATCHING, stable_points=ANCHORS)
    nearest = match_nearest(template, target, points_mm, settings=MATCHING)
    error_mm = np.linalg.norm(found.matches.points_mm - into_target(points_mm), axis=1)
    nearest_error_mm = np.linalg.norm(nearest.points_mm - into_target(points_mm), axis=1)
    assert error_mm.max() < 2 * VOXEL_MM
    assert error_mm.mean() < nearest_error_mm.mean()


@pytest.mark.slow
def test_windows_give_what_searching_everywhere_gives():
    template, target = affine_pair(noise=0.35)
    points_mm = queries_mm(20, seed=3)
    found = match_stable_points(template, target, points_mm, settings=MATCHING, stable_points=ANCHORS)
    asked = MATCHING.model_copy(update={"refinement": "none"})
    windowed = match_stable_points(template, target, points_mm, settings=asked, stable_points=ANCHORS)
    everywhere_mm = fixed_points_everywhere(
        template, target, points_mm, radius_steps=1, step_cells=2, largest_shift_mm=40.0, stiffness_mm=2.0
    )
    gap_mm = np.linalg.norm(windowed.matches.points_mm - everywhere_mm, axis=1)
    assert np.quantile(gap_mm, 0.9) < 0.5 * VOXEL_MM
    assert found.num_anchors.min() >= ANCHORS.min_anchors


def test_answers_do_not_depend_on_the_memory_bound_or_on_each_other():
    template, target = affine_pair(noise=0.3)
    points_mm = queries_mm(12)
    whole = match_stable_points(template, target, points_mm, settings=MATCHING, stable_points=ANCHORS)
    narrow = MATCHING.model_copy(update={"max_memory_mb": 64})
    again = match_stable_points(template, target, points_mm, settings=narrow, stable_points=ANCHORS)
    np.testing.assert_allclose(again.matches.points_mm, whole.matches.points_mm, atol=ROUNDING_MM)
    alone = match_stable_points(template, target, points_mm[5], settings=MATCHING, stable_points=ANCHORS)
    np.testing.assert_allclose(alone.matches.points_mm[0], whole.matches.points_mm[5], atol=ROUNDING_MM)


def test_vectors_of_many_cells_are_those_of_each():
    """Once most cells of a small volume are asked for their vectors are kept."""
    prepared = prepare_target(affine_pair(has_semantic=True)[0], settings=MATCHING)
    cells = torch.arange(int(np.prod(prepared.embedded.fine.shape_zyx))).flip(0)
    few = torch.cat([prepared.joint_vectors(part) for part in cells.split(1000)])
    assert torch.equal(prepared.joint_vectors(cells), few)
    assert few.shape == (len(cells), prepared.num_channels)
    torch.testing.assert_close(few.norm(dim=1), torch.ones(len(cells)), atol=1e-3, rtol=0.0)


def test_too_few_anchors_fall_back_to_nearest_and_say_so():
    template, target = affine_pair(noise=0.3)
    points_mm = queries_mm(10)
    strict = ANCHORS.model_copy(update={"smallest_similarity": 1.0})
    found = match_stable_points(template, target, points_mm, settings=MATCHING, stable_points=strict)
    nearest = match_nearest(template, target, points_mm, settings=MATCHING)
    assert found.is_fallback.all()
    assert (found.num_anchors == 0).all()
    assert np.isnan(found.residual_mm).all()
    assert np.isfinite(found.cycle_error_mm).all()
    np.testing.assert_array_equal(found.matches.points_mm, nearest.points_mm)
    np.testing.assert_array_equal(found.matches.similarity, nearest.similarity)


def test_anchors_on_a_line_fall_back_to_nearest():
    """A template one cell thick in two directions has no other anchors."""
    kind = {"num_channels": 64, "coarse_stride_vox": (4, 4, 4)}
    template = synthetic_volume(GRID, (2, 2, 40), volume_id="template", **kind)
    target = synthetic_volume(GRID, (20, 20, 40), volume_id="target!", **kind)
    found = match_stable_points(
        template,
        target,
        [[1.0, 1.0, 40.0]],
        settings=MATCHING,
        stable_points=ANCHORS.model_copy(
            update={"anchor_radius_steps": 3, "anchor_step_cells": 1, "min_anchors": 5}
        ),
    )
    assert found.is_fallback.all()
    assert found.num_anchors[0] >= 5
    assert found.matches.status == ("found",)


def test_queries_outside_fail_with_a_reason():
    template, target = affine_pair()
    points_mm = [[40, 40, 40], [-500, 0, 0], [np.nan, 0, 0]]
    found = match_stable_points(template, target, points_mm, settings=MATCHING, stable_points=ANCHORS)
    assert found.matches.status == ("found", "failed", "failed")
    assert not found.is_fallback[1:].any()
    assert np.isnan(found.matches.points_mm[1:]).all()


def test_other_model_is_refused():
    template, target = affine_pair()
    other = dataclasses.replace(target, origin=dataclasses.replace(ORIGIN, checkpoint_sha256="d" * 64))
    with pytest.raises(UserError, match="come from different models"):
        match_stable_points(template, other, [[0, 0, 0]], settings=MATCHING, stable_points=ANCHORS)


def test_windows_must_hold_the_anchors():
    with pytest.raises(ValueError, match="expected at least the reach of the anchors"):
        StablePointSettings.model_validate(ANCHORS.model_dump() | {"anchor_radius_steps": 3})


def test_affine_map_is_recovered_exactly_and_outliers_are_left_out():
    random = np.random.default_rng(0)
    offsets_mm = random.uniform(-20, 20, size=(6, 40, 3))
    partners_mm = offsets_mm @ PATIENT.T + SHIFT_MM
    partners_mm[:, :16] = random.uniform(-80, 80, size=(6, 16, 3))
    importance = np.ones((6, 40))
    importance[0] = 0
    importance[1, 4:] = 0  # the four points that are left are wrong and agree on nothing
    fit = fit_local_affines(offsets_mm, partners_mm, importance, stiffness_mm=1e-3, smallest_scale_mm=0.1)
    np.testing.assert_allclose(fit.answers_mm[2:], np.tile(SHIFT_MM, (4, 1)), atol=1e-4)
    np.testing.assert_allclose(fit.matrices[2:], np.tile(PATIENT, (4, 1, 1)), atol=1e-4)
    assert (fit.weights[2:, 16:] > 0.99).all()
    assert np.isnan(fit.answers_mm[0]).all()
    assert (fit.weights[0] == 0).all()


def test_weights_are_those_of_the_biweight_for_normal_residuals():
    """Tukey's biweight with the cutoff that is 95 % efficient, over the lengths of normal vectors in space."""
    random = np.random.default_rng(1)
    offsets_mm = random.uniform(-20, 20, size=(1, 4000, 3))
    partners_mm = offsets_mm @ PATIENT.T + SHIFT_MM + random.normal(0, 2, size=offsets_mm.shape)
    fit = fit_local_affines(
        offsets_mm, partners_mm, np.ones((1, 4000)), stiffness_mm=1e-3, smallest_scale_mm=0.1
    )
    expected = chi(3).expect(lambda length: (1 - (length / 4.685) ** 2) ** 2, ub=4.685)
    assert fit.weights.mean() == pytest.approx(expected, abs=0.01)


def test_few_points_close_together_cannot_bend_the_map():
    """Two points 2 mm apart that differ by 1 mm: without resistance they would ask for a stretch by a half."""
    offsets_mm = np.array([[[-1.0, 0, 0], [1.0, 0, 0]]])
    partners_mm = np.array([[[-1.5, 0, 0], [1.5, 0, 0]]])
    importance = np.ones((1, 2))
    stiff = fit_local_affines(offsets_mm, partners_mm, importance, stiffness_mm=3.0, smallest_scale_mm=5.0)
    # Ridge by hand: variance 1, bend 0.5, so the excess is 0.5 * 1 / (1 + 9).
    assert stiff.matrices[0, 0, 0] == pytest.approx(1.05, abs=1e-6)
    np.testing.assert_allclose(stiff.answers_mm, [[0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(stiff.spread_mm, [[1, 0, 0]], atol=1e-9)


def test_answers_stay_inside_the_target():
    template, target = affine_pair()
    corner_mm = transform_points(GRID, [[55.0, 51.0, 47.0]])
    found = match_stable_points(template, target, corner_mm, settings=MATCHING, stable_points=ANCHORS)
    inside = transform_points(invert_affine(GRID), found.matches.points_mm)
    assert np.all((inside >= -1e-9) & (inside <= np.array(SHAPE) - 1 + 1e-9))
