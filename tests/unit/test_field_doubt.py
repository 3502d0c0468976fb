"""How far a registered place may be off, worked out by hand."""

import numpy as np

from anatomical_embedding.registration.field_doubt import doubt_at, doubt_mm, strain, within_body
from anatomical_embedding.settings.field_descent import FieldDoubtSettings
from anatomical_embedding.volumes.volume import Volume

SHAPE = (9, 8, 7)


def settings(**changes) -> FieldDoubtSettings:
    section = {
        "scale": 3.0,
        "hold_power": 2.0,
        "step_power": 1.0,
        "step_floor_mm": 1.0,
        "strain_power": 0.5,
        "strain_floor": 4.0,
        "largest_mm": 25.0,
    }
    return FieldDoubtSettings(**section | changes)


def doubt(**changes):
    """Return the doubt of a smooth field whose weakest direction is held by 2/mm and that was moved by 5 mm."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    matrix = np.broadcast_to(turn @ np.diag([4.0, 9.0, 16.0]) @ turn.T, (*SHAPE, 3, 3))
    step = np.zeros((3, *SHAPE), np.float32)
    step[0], step[1] = 3, 4
    shift = np.ones((3, *SHAPE), np.float32)
    return doubt_mm(matrix, step, shift, spacing_mm=np.full(3, 6.0), settings=settings(**changes))


def test_the_doubt_is_a_product_of_powers():
    """3 / 2^2 * (5 + 1) * (0 + 4)^0.5 = 9."""
    np.testing.assert_allclose(doubt(), 9.0, rtol=1e-5)


def test_no_doubt_is_larger_than_the_largest():
    np.testing.assert_array_equal(doubt(largest_mm=6.5), 6.5)


def test_strain_of_a_stretch_and_a_shear():
    """0.3 along x for every mm of x and 0.4 along z for every mm of y: a root of 0.09 + 0.16."""
    x, y, _ = np.indices(SHAPE) * 6.0
    shift = np.stack([0.3 * x, np.zeros(SHAPE), 0.4 * y]).astype(np.float32)
    np.testing.assert_allclose(strain(shift, np.full(3, 6.0)), 0.5, rtol=1e-5)


def test_outside_the_body_the_doubt_is_the_largest():
    """Voxels of 4 mm at 0, 4, ..., 36 mm, of which those at 12 to 24 are body; control points at 0, 6, ..., 36 mm."""
    mask = np.zeros((10, 2, 2), np.uint8)
    mask[3:7] = 1
    body = Volume(mask, np.diag([4.0, 4, 4, 1]))
    values = Volume(np.full((7, 1, 1), 1.5, np.float32), np.diag([6.0, 6, 6, 1]))
    found = within_body(values, body, largest_mm=20.0).array[:, 0, 0]
    np.testing.assert_array_equal(found, [20, 20, 1.5, 1.5, 1.5, 20, 20])


def test_doubt_between_control_points_and_beyond_them():
    values = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    map_of_doubt = Volume(values, np.array([[-6.0, 0, 0, 1], [0, 6, 0, 2], [0, 0, 6, 3], [0, 0, 0, 1]]))
    points = np.array([[1.0, 2, 3], [-2, 2, 3], [1, 2, 4.5], [1, 2, 12.5]])
    np.testing.assert_allclose(doubt_at(map_of_doubt, points), [0, 2, 0.25, np.nan])
