"""Solids contain what their definition says, and the canvas paints all of it and nothing else."""

import numpy as np
import pytest

from anatomical_embedding.phantom.shapes import (
    Canvas,
    Capsule,
    Drum,
    Part,
    ellipsoid,
    mirrored,
    rotation_matrix,
    smooth_path,
    tube,
)


def grid(spacing_mm: float = 1.0) -> list[np.ndarray]:
    axis = np.arange(-20, 20, spacing_mm, dtype=np.float32)
    return list(np.meshgrid(axis, axis, axis, indexing="ij"))


def contains(solid, *point: float) -> bool:
    return bool(solid.contains(*(np.full((1, 1, 1), value, np.float32) for value in point))[0, 0, 0])


def test_ellipsoid_turned_by_a_right_angle_swaps_its_axes():
    turned = ellipsoid((1, 0, 0), (10, 4, 2), turn_degrees=(0, 0, 90))
    assert contains(turned, 1, 9.9, 0)
    assert not contains(turned, 1, 10.1, 0)
    assert not contains(turned, 5.1, 0, 0)
    np.testing.assert_allclose(turned.bounds_mm(), [[-3, -10, -2], [5, 10, 2]])


def test_capsule_has_round_ends_and_a_changing_radius():
    capsule = Capsule(np.zeros(3), np.array([10.0, 0, 0]), (2.0, 4.0))
    assert contains(capsule, -1.9, 0, 0)
    assert not contains(capsule, -2.1, 0, 0)
    assert contains(capsule, 5, 2.9, 0)
    assert not contains(capsule, 5, 3.1, 0)
    assert contains(capsule, 13.9, 0, 0)


def test_drum_is_cut_off_at_its_height():
    drum = Drum(np.zeros(3), (3.0, 2.0), 4.0)
    assert contains(drum, 2.9, 0, 3.9)
    assert not contains(drum, 0, 0, 4.1)
    assert not contains(drum, 0, 2.1, 0)


@pytest.mark.parametrize(
    "solid",
    [
        ellipsoid((3, -2, 4), (9, 5, 3), turn_degrees=(20, 30, 40)),
        Capsule(np.array([-8.0, 2, 3]), np.array([6.0, -3, 7]), (2.0, 5.0)),
        Drum(np.array([2.0, 2, 2]), (5.0, 3.0), 6.0),
    ],
)
def test_canvas_paints_exactly_the_points_that_the_solid_contains(solid):
    # a sheared, uneven grid: blocks of voxels are no boxes of the atlas
    x, y, z = grid()
    x, y = x + 0.3 * y, y - 0.2 * z
    canvas = Canvas(x, y, z)
    canvas.paint([Part(solid, organ=3, tissue=5)])
    np.testing.assert_array_equal(canvas.organ == 3, solid.contains(x, y, z))
    np.testing.assert_array_equal(canvas.tissue == 5, solid.contains(x, y, z))
    assert (canvas.organ == 3).any()


def test_part_is_painted_only_over_the_tissues_it_names():
    canvas = Canvas(*grid(2.0))
    ball, larger = ellipsoid((0, 0, 0), (8, 8, 8)), ellipsoid((0, 0, 0), (12, 12, 12))
    canvas.paint([Part(ball, 1, 1), Part(larger, 2, 2, over=(1,))])
    assert set(np.unique(canvas.tissue)) == {0, 2}
    np.testing.assert_array_equal(canvas.tissue == 2, ball.contains(*grid(2.0)))


def test_canvas_leaves_out_solids_beside_the_grid():
    canvas = Canvas(*grid(4.0))
    canvas.paint([Part(ellipsoid((500, 0, 0), (5, 5, 5)), 1, 1)])
    assert not canvas.organ.any()


def test_smooth_path_passes_through_its_points():
    points = np.array([[0.0, 0, 0], [10, 5, 0], [20, 0, 5], [25, -5, 9]])
    path = smooth_path(points, step_mm=2.0)
    for point in points:
        assert np.linalg.norm(path - point, axis=1).min() < 1e-9
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 3.5


def test_tube_radius_is_interpolated_between_points():
    capsules = tube([(0, 0, 0), (30, 0, 0)], [2.0, 8.0], step_mm=10.0)
    assert len(capsules) == 3
    assert capsules[0].radii_mm[0] == pytest.approx(2.0)
    assert capsules[1].radii_mm[1] == pytest.approx(capsules[2].radii_mm[0])
    assert capsules[2].radii_mm[1] == pytest.approx(8.0)


def test_rotation_matrix_turns_about_x_first():
    np.testing.assert_allclose(rotation_matrix([90, 0, 90]) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation_matrix([0, 0, 90]) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_mirrored_changes_the_side_only():
    np.testing.assert_array_equal(mirrored([(1.0, 2.0, 3.0)], side=-1), [[-1, 2, 3]])
