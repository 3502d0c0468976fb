"""The map between atlas and body: closed form, inverse, derivative, and sameness on grids and points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomical_embedding.phantom.body import BODY_HIGHEST_MM, BODY_LOWEST_MM, draw_body, draw_pose
from anatomical_embedding.phantom.motion import MAX_STRETCH, BodyMotion, BumpField, random_lattice
from anatomical_embedding.phantom.shapes import rotation_matrix
from tests.phantom_settings import phantom_settings


def one_bump(growth: float = 0.0) -> BumpField:
    return BumpField(
        np.array([[10.0, 0.0, 0.0]]), np.array([20.0]), np.array([[3.0, 0.0, -4.0]]), np.array([growth])
    )


def random_body(seed: int) -> BodyMotion:
    random = np.random.default_rng(seed)
    return draw_pose(draw_body(phantom_settings().body, random), tilt_degrees=15.0, random=random)


def jacobian_determinants(body: BodyMotion, points: np.ndarray) -> np.ndarray:
    """Return the change of volume from the world to the atlas, by central differences of 0.02 mm."""
    columns = [
        (body.atlas_from_world(points + step) - body.atlas_from_world(points - step)) / 0.02
        for step in 0.01 * np.eye(3)
    ]
    return np.linalg.det(np.stack(columns, axis=2))


def test_bump_shifts_its_centre_and_fades_like_a_gaussian():
    displacement = one_bump().at_points([[10, 0, 0], [10, 20, 0], [10, 0, 500]])
    np.testing.assert_allclose(displacement[0], [3, 0, -4])
    np.testing.assert_allclose(displacement[1], np.exp(-0.5) * np.array([3, 0, -4]))
    np.testing.assert_allclose(displacement[2], 0, atol=1e-12)


def test_growth_moves_points_away_from_the_centre():
    still = BumpField(np.zeros((1, 3)), np.array([20.0]), np.zeros((1, 3)), np.array([0.5]))
    np.testing.assert_allclose(still.at_points([[2, 0, 0]]), [[np.exp(-0.005), 0, 0]])


def test_derivative_equals_finite_differences():
    field = one_bump(growth=0.3).plus(
        random_lattice(
            np.random.default_rng(0), lowest_mm=[-50] * 3, highest_mm=[50] * 3, pitch_mm=50.0, size_mm=4.0
        )
    )
    points = np.random.default_rng(2).uniform(-40, 40, (20, 3))
    step = 1e-4
    for axis in range(3):
        forward, backward = points.copy(), points.copy()
        forward[:, axis] += step
        backward[:, axis] -= step
        slope = (field.at_points(forward) - field.at_points(backward)) / (2 * step)
        np.testing.assert_allclose(field.derivative_at(points)[:, :, axis], slope, atol=1e-7)


def test_lattice_has_the_asked_standard_deviation_inside_the_box():
    field = random_lattice(
        np.random.default_rng(3), lowest_mm=[-400] * 3, highest_mm=[400] * 3, pitch_mm=80.0, size_mm=5.0
    )
    points = np.random.default_rng(4).uniform(-350, 350, (800, 3))
    assert field.at_points(points).std() == pytest.approx(5.0, rel=0.1)


def test_turned_field_is_the_same_field_of_a_turned_body():
    rotation = rotation_matrix([10, -20, 30])
    points = np.random.default_rng(5).uniform(-40, 40, (10, 3))
    turned = one_bump(growth=0.2).turned(rotation).at_points(points @ rotation.T)
    np.testing.assert_allclose(turned, one_bump(growth=0.2).at_points(points) @ rotation.T, atol=1e-12)


def test_limited_field_keeps_weak_fields_and_tames_strong_ones():
    points = np.random.default_rng(6).uniform(-40, 60, (500, 3))
    assert np.array_equal(one_bump().limited(points).shifts_mm, one_bump().shifts_mm)
    wild = BumpField(np.zeros((1, 3)), np.array([20.0]), np.array([[60.0, 0, 0]]), np.zeros(1))
    tamed = np.linalg.norm(wild.limited(points).derivative_at(points), ord=2, axis=(1, 2))
    assert tamed.max() == pytest.approx(MAX_STRETCH)


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_inverse_and_positive_jacobian_of_random_bodies(seed):
    body = random_body(seed)
    atlas_points = np.random.default_rng(seed).uniform(BODY_LOWEST_MM, BODY_HIGHEST_MM, (60, 3))
    world_points = body.world_from_atlas(atlas_points)
    np.testing.assert_allclose(body.atlas_from_world(world_points), atlas_points, atol=0.01)
    np.testing.assert_allclose(
        body.world_from_atlas(body.atlas_from_world(world_points)), world_points, atol=0.01
    )
    assert jacobian_determinants(body, world_points).min() > 0.05


def test_grid_gives_the_same_atlas_points_as_points_do():
    body = random_body(9)
    axes = [origin + np.linspace(150, -150, 7 + axis) for axis, origin in enumerate(body.origin_mm)]
    on_grid = np.stack(body.atlas_on_grid(*axes), axis=-1).reshape(-1, 3)
    grid_points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(on_grid, body.atlas_from_world(grid_points), atol=2e-3)
