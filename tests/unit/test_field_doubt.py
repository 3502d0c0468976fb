"""How far a registered place may be off, worked out by hand."""

import numpy as np
import pytest

from anatomical_embedding.registration.field_doubt import doubt_at, doubt_mm, roughness_mm
from anatomical_embedding.settings.field_descent import FieldDoubtSettings
from anatomical_embedding.volumes.volume import Volume

SHAPE = (9, 8, 7)


def settings(**changes) -> FieldDoubtSettings:
    section = {
        "scale": 3.0,
        "hold_power": 2.0,
        "step_power": 1.0,
        "step_floor_mm": 1.0,
        "roughness_power": 0.5,
        "roughness_floor_mm": 4.0,
        "largest_mm": 25.0,
    }
    return FieldDoubtSettings(**section | changes)


def doubt(**changes):
    """Return the doubt of a smooth field whose weakest direction is held by 2/mm and that was moved by 5 mm."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    matrix = np.broadcast_to(turn @ np.diag([4.0, 9.0, 16.0]) @ turn.T, (*SHAPE, 3, 3))
    step = np.zeros((3, *SHAPE), np.float32)
    step[0], step[1] = 3, 4
    return doubt_mm(matrix, step, np.ones((3, *SHAPE), np.float32), settings=settings(**changes))


def test_the_doubt_is_a_product_of_powers():
    """3 / 2^2 * (5 + 1) * (0 + 4)^0.5 = 9."""
    np.testing.assert_allclose(doubt(), 9.0, rtol=1e-5)


def test_no_doubt_is_larger_than_the_largest():
    np.testing.assert_array_equal(doubt(largest_mm=6.5), 6.5)


def test_a_point_that_leaves_its_neighbours_is_rough():
    """A Gaussian of 1.5 keeps (0.266)^3 = 0.019 of a single point; the rest is its distance from the smooth field."""
    shift = np.zeros((3, 13, 13, 13), np.float32)
    shift[2, 6, 6, 6] = 2
    assert roughness_mm(shift)[6, 6, 6] == pytest.approx(2 * (1 - 0.0188), abs=0.002)
    assert roughness_mm(shift)[0, 0, 0] == pytest.approx(0, abs=1e-4)


def test_doubt_between_control_points_and_beyond_them():
    values = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    map_of_doubt = Volume(values, np.array([[-6.0, 0, 0, 1], [0, 6, 0, 2], [0, 0, 6, 3], [0, 0, 0, 1]]))
    points = np.array([[1.0, 2, 3], [-2, 2, 3], [1, 2, 4.5], [1, 2, 12.5]])
    np.testing.assert_allclose(doubt_at(map_of_doubt, points), [0, 2, 0.25, np.nan])
