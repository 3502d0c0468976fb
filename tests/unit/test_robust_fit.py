"""Maps fitted to correspondences, most of which are false."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anatomical_embedding.registration.robust_fit import (
    blocks,
    closed_form_maps,
    fit_map,
    has_plausible_scales,
    rotation_angle_rad,
    spread_mm,
)
from anatomical_embedding.settings.registration import AffineFitSettings
from anatomical_embedding.volumes.affine import transform_points


def fit_settings(**changes):
    values = {
        "kind": "rigid",
        "estimator": "ransac",
        "inlier_distance_mm": 10.0,
        "num_samples": 1000,
        "seed": 1,
        "max_rotation_component_rad": None,
        "min_inliers": 8,
        "min_inlier_fraction": 0.2,
        "min_spread_mm": 20.0,
        "max_rotation_degrees": 45.0,
        "max_scale_change": 0.3,
        "images": None,
    }
    return AffineFitSettings(**(values | changes))


def true_map(kind, generator):
    """Return a map of up to 15 degrees and 60 mm, with scale or shear where the kind has them."""
    axis = generator.standard_normal(3)
    vector = axis / np.linalg.norm(axis) * np.deg2rad(generator.uniform(0, 15))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(vector).as_matrix()
    matrix[:3, 3] = generator.uniform(-60, 60, 3) / np.sqrt(3)
    if kind == "similarity":
        matrix[:3, :3] *= generator.uniform(0.85, 1.15)
    if kind == "affine":
        matrix[:3, :3] @= np.eye(3) + generator.uniform(-0.1, 0.1, (3, 3))
    return matrix


def correspondences(matrix, generator, *, num_points=150, outliers=0.6, noise_mm=2.0):
    """Return points, partners, and which partners are true; the false ones lie anywhere in the other body."""
    fixed = generator.uniform(-150, 150, (num_points, 3)) * [1.0, 0.6, 1.0]
    moving = transform_points(matrix, fixed) + generator.normal(0, noise_mm, fixed.shape)
    is_true = np.arange(num_points) >= outliers * num_points
    moving[~is_true] = generator.uniform(-180, 180, ((~is_true).sum(), 3)) + matrix[:3, 3]
    return fixed, moving, is_true


def largest_error_mm(found, matrix, points):
    return np.linalg.norm(transform_points(found, points) - transform_points(matrix, points), axis=1).max()


@pytest.mark.parametrize("kind", ["rigid", "similarity", "affine"])
@pytest.mark.parametrize("seed", range(5))
def test_samples_find_the_map_among_60_percent_false_partners(kind, seed):
    generator = np.random.default_rng(seed)
    matrix = true_map(kind, generator)
    fixed, moving, is_true = correspondences(matrix, generator)
    fitted = fit_map(fixed, moving, settings=fit_settings(kind=kind))
    assert largest_error_mm(fitted.matrix, matrix, fixed) < 4.0
    assert fitted.is_inlier[is_true].mean() > 0.95
    assert fitted.is_inlier[~is_true].mean() < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_trimming_bears_a_quarter_of_false_partners_that_mislead_least_squares(seed):
    generator = np.random.default_rng(seed)
    matrix = true_map("rigid", generator)
    fixed, moving, _ = correspondences(matrix, generator, outliers=0.25)
    errors = {
        estimator: largest_error_mm(
            fit_map(fixed, moving, settings=fit_settings(estimator=estimator)).matrix, matrix, fixed
        )
        for estimator in ("trimmed", "least_squares")
    }
    assert errors["trimmed"] < 4.0 < errors["least_squares"]


@pytest.mark.parametrize("kind", ["rigid", "similarity", "affine"])
@pytest.mark.parametrize("seed", range(5))
def test_auto_takes_the_kind_that_made_the_partners(kind, seed):
    generator = np.random.default_rng(seed)
    matrix = true_map(kind, generator)
    fixed, moving, _ = correspondences(matrix, generator, num_points=600)
    fitted = fit_map(fixed, moving, settings=fit_settings(kind="auto"))
    assert fitted.kind == kind
    assert largest_error_mm(fitted.matrix, matrix, fixed) < 4.0


def test_auto_takes_no_affine_map_for_points_on_a_plane():
    """A slab 5 mm thick says nothing of the scale across it, which an affine map would take from noise."""
    generator = np.random.default_rng(3)
    fixed = generator.uniform(-100.0, 100.0, (400, 3)) * [1.0, 1.0, 0.025]
    moving = fixed * [1.1, 0.9, 1.0] + generator.normal(0.0, 1.0, fixed.shape)
    assert fit_map(fixed, moving, settings=fit_settings(kind="auto")).kind != "affine"
    assert fit_map(fixed, moving, settings=fit_settings(kind="auto", min_spread_mm=0.5)).kind == "affine"


def test_auto_takes_no_map_whose_scale_is_implausible():
    generator = np.random.default_rng(7)
    fixed, moving, _ = correspondences(np.diag([1.5, 1.5, 1.5, 1.0]), generator, outliers=0.2)
    assert (
        fit_map(fixed, moving, settings=fit_settings(kind="auto", max_scale_change=0.6)).kind == "similarity"
    )
    assert fit_map(fixed, moving, settings=fit_settings(kind="auto", max_scale_change=0.4)).kind == "rigid"


@pytest.mark.parametrize(
    ("scale", "is_plausible"),
    [(1.49, True), (1.51, False), (1 / 1.49, True), (1 / 1.51, False), (-1.0, False)],
)
def test_a_body_may_be_as_much_smaller_as_larger_but_no_mirror_image(scale, is_plausible):
    matrix = np.diag([1.0, scale, 1.0, 1.0])
    assert has_plausible_scales(matrix, settings=fit_settings(max_scale_change=0.5)) is is_plausible


def test_auto_tells_the_scale_of_a_part_from_false_partners_everywhere_else():
    """Of scans that share a third the rest has false partners alone, which no map explains."""
    generator = np.random.default_rng(11)
    fixed = generator.uniform(-150.0, 150.0, (600, 3))
    moving = 0.8 * fixed + generator.normal(0.0, 4.0, fixed.shape)
    is_shared = fixed[:, 2] > 50.0
    moving[~is_shared] = generator.uniform(-180.0, 180.0, ((~is_shared).sum(), 3))
    fitted = fit_map(fixed, moving, settings=fit_settings(kind="auto"))
    assert fitted.kind == "similarity"
    assert largest_error_mm(fitted.matrix, np.diag([0.8, 0.8, 0.8, 1.0]), fixed[is_shared]) < 4.0


def test_many_correspondences_give_the_map_of_all_of_them():
    """Samples are scored by some matches, but what they lead to is fitted to all."""
    generator = np.random.default_rng(12)
    fixed, moving, is_true = correspondences(np.diag([1.1, 1.0, 0.9, 1.0]), generator, num_points=5000)
    fitted = fit_map(fixed, moving, settings=fit_settings(kind="affine"))
    expected = closed_form_maps(fixed[fitted.is_inlier], moving[fitted.is_inlier], kind="affine")
    assert fitted.is_inlier[is_true].mean() > 0.95
    np.testing.assert_allclose(fitted.matrix, expected, atol=1e-9)


@pytest.mark.parametrize("per_axis", [2, 4])
def test_blocks_of_a_turned_lattice_hold_a_point_each(per_axis):
    places = np.arange(per_axis) - (per_axis - 1) / 2.0
    lattice = np.stack(np.meshgrid(*[places] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * [3.0, 2.0, 1.0]
    turned = Rotation.from_rotvec([0.3, -0.2, 0.5]).apply(lattice) + np.array([100.0, -50.0, 20.0])
    assert sorted(blocks(turned, per_axis=per_axis)) == list(range(per_axis**3))


def test_rigid_closed_form_is_scipys():
    generator = np.random.default_rng(0)
    fixed, moving = generator.normal(0, 50, (2, 30, 3))
    found = closed_form_maps(fixed, moving, kind="rigid")
    expected, _ = Rotation.align_vectors(moving - moving.mean(axis=0), fixed - fixed.mean(axis=0))
    np.testing.assert_allclose(found[:3, :3], expected.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(
        transform_points(found, fixed.mean(axis=0)[None])[0], moving.mean(axis=0), atol=1e-9
    )


def test_affine_closed_form_is_the_linear_regression():
    generator = np.random.default_rng(1)
    fixed, moving = generator.normal(0, 50, (2, 30, 3))
    solution, *_ = np.linalg.lstsq(np.hstack([fixed, np.ones((30, 1))]), moving, rcond=None)
    np.testing.assert_allclose(
        closed_form_maps(fixed, moving, kind="affine")[:3], solution.T, rtol=0, atol=1e-9
    )


def test_similarity_has_one_scale():
    generator = np.random.default_rng(2)
    matrix = true_map("similarity", generator)
    fixed = generator.normal(0, 60, (20, 3))
    found = closed_form_maps(fixed, transform_points(matrix, fixed), kind="similarity")
    np.testing.assert_allclose(found, matrix, atol=1e-9)
    scales = np.linalg.svd(found[:3, :3], compute_uv=False)
    assert np.ptp(scales) < 1e-9


def test_mirrored_partners_give_a_rotation_all_the_same():
    fixed = np.random.default_rng(3).normal(0, 60, (40, 3))
    found = closed_form_maps(fixed, fixed * [-1, 1, 1], kind="rigid")
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1.0)


def test_the_published_fit_clips_the_rotation_vector_and_keeps_the_centre():
    fixed = np.random.default_rng(4).normal(0, 60, (50, 3))
    turned = Rotation.from_rotvec([0.5, -0.1, -0.4])
    settings = fit_settings(estimator="least_squares", max_rotation_component_rad=0.2)
    fitted = fit_map(fixed, turned.apply(fixed) + np.array([10, 20, 30]), settings=settings)
    vector = Rotation.from_matrix(fitted.matrix[:3, :3]).as_rotvec()
    np.testing.assert_allclose(vector, [0.2, -0.1, -0.2], atol=1e-9)
    centre = transform_points(fitted.matrix, fixed.mean(axis=0)[None])[0]
    np.testing.assert_allclose(centre, turned.apply(fixed.mean(axis=0)) + np.array([10, 20, 30]), atol=1e-9)


def test_the_same_seed_gives_the_same_map():
    generator = np.random.default_rng(5)
    fixed, moving, _ = correspondences(true_map("affine", generator), generator)
    settings = fit_settings(kind="affine")
    first, second = (fit_map(fixed, moving, settings=settings) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 30.0, 120.0, 179.99])
def test_rotation_angle_is_scipys(degrees):
    axis = np.array([1.0, -2.0, 0.5]) / np.linalg.norm([1.0, -2.0, 0.5])
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * axis)
    assert np.rad2deg(rotation_angle_rad(rotation.as_matrix())) == pytest.approx(degrees, abs=1e-5)
    assert np.rad2deg(rotation.magnitude()) == pytest.approx(degrees, abs=1e-9)


def test_spread_tells_lines_and_planes():
    line = np.linspace(-100, 100, 41)[:, None] * [1, 1, 0]
    assert spread_mm(line)[1] < 1e-9
    plane = np.random.default_rng(6).uniform(-100, 100, (200, 3)) * [1, 1, 0]
    assert spread_mm(plane)[1] > 40
    assert spread_mm(plane)[2] < 1e-9
    assert (spread_mm(np.zeros((2, 3))) == 0).all()
