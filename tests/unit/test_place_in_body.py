"""Where in the body a point lies, by hand."""

import numpy as np
import pytest

from anatomical_embedding.matching.place_in_body import NAMES, place_in_body
from anatomical_embedding.volumes.volume import Volume


def body():
    """Return a body of 6 x 3 voxels of 2 x 3 mm in the slices 1 and 2 of 4, none in the others."""
    mask = np.zeros((10, 8, 4), np.uint8)
    mask[2:8, 4:7, 1:3] = 1
    return Volume(mask, np.diag([2.0, 3.0, 5.0, 1.0]))


def test_place_by_hand():
    # the middle of the width 2..7 is voxel 4.5, the front edge of 4..6 is 3.5
    points_mm = np.array([[4.5 * 2, 3.5 * 3, 5.0], [2.0 * 2, 6.0 * 3, 10.0], [7.5 * 2, 5.0 * 3, 6.0]])
    found = place_in_body(body(), points_mm)
    assert set(found) == set(NAMES)
    np.testing.assert_allclose(found["body_off_middle"], [0.0, 2.5 / 6, 0.5])
    np.testing.assert_allclose(found["body_behind_front"], [0.0, 2.5 / 3, 0.5])
    np.testing.assert_allclose(found["body_width_mm"], 12.0)
    np.testing.assert_allclose(found["body_thickness_mm"], 9.0)


def test_nothing_is_told_without_a_body_or_a_point():
    points_mm = np.array(
        [[np.nan, 0.0, 0.0], [9.0, 12.0, 0.0], [9.0, 12.0, 5.0]]
    )  # the slice 0 shows no body
    assert np.isnan(place_in_body(body(), points_mm)["body_off_middle"]).tolist() == [True, True, False]
    for values in place_in_body(None, points_mm).values():
        assert np.isnan(values).all()


def test_the_last_slice_counts_beyond_the_ends():
    whole = Volume(np.ones((4, 4, 4), np.uint8), np.eye(4))
    beyond = place_in_body(whole, np.array([[1.5, -0.5, 40.0]]))
    assert beyond["body_off_middle"][0] == pytest.approx(0.0)
    assert beyond["body_behind_front"][0] == pytest.approx(0.0)
