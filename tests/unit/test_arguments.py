"""Arguments of the library's functions that mean nothing are refused, and not taken for another."""

import numpy as np
import pytest

from anatomical_embedding import api
from anatomical_embedding.arguments import point_array
from anatomical_embedding.errors import UserError
from anatomical_embedding.usage.carried_points import carry_registered_points
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from tests.packaged_model import points_in, write_model, write_two_scans
from tests.unit.test_carried_points import POINTS, model, registration


@pytest.mark.parametrize(
    ("points", "shape"), [([1, 2, 3], (1, 3)), (np.eye(3), (3, 3)), ([], (0, 3)), (np.ones((5, 3)), (5, 3))]
)
def test_points_are_rows_of_three(points, shape):
    assert point_array(points).shape == shape
    np.testing.assert_array_equal(point_array(points).ravel(), np.ravel(points))


@pytest.mark.parametrize(
    "points", [np.ones((3, 2)), [1, 2], np.ones((2, 2, 3)), np.ones(6), 4.0, ["a", 1, 2], [[1, 2, 3], [1]]]
)
def test_other_arrays_are_no_points(points):
    """Three rows of two numbers had been read as two points, whose coordinates were mixed."""
    with pytest.raises(UserError, match=r"^points are .*expected \(N, 3\)"):
        point_array(points)


def test_carried_points_are_of_a_scan_that_there_is():
    with pytest.raises(UserError, match=r"shape \(3, 5\)"):
        carry_registered_points(model(), registration(), POINTS.T)
    with pytest.raises(UserError, match="side is 'Fixed', expected one of 'fixed', 'moving'"):
        carry_registered_points(model(), registration(), POINTS, side="Fixed")


def test_words_for_reading_are_known():
    with pytest.raises(UserError, match="modality is 'CT', expected one of 'ct', 'mr'"):
        ReadingOptions(modality="CT")
    with pytest.raises(UserError, match="geometry is 'SFORM', expected one of 'sform', 'qform'"):
        ReadingOptions(geometry="SFORM")


def test_what_match_cannot_take_is_refused(tmp_path):
    write_model(tmp_path)
    first, _ = write_two_scans(tmp_path)
    used = api.load_model(tmp_path / "tiny.safetensors")
    scan = api.embed_scan(used, first, modality="ct")
    with pytest.raises(UserError, match="refinement is 'best', expected one of 'none', 'parabolic', 'voxel'"):
        api.match_points(used, scan, scan, points_in(first, count=1), refinement="best")
    points = points_in(first, count=2)
    with pytest.raises(UserError, match=r"shape \(3, 2\)"):
        api.match_points(used, scan, scan, points.T)
    with pytest.raises(UserError, match="a similarity map shows one point, got 2"):
        api.map_similarity(used, scan, scan, points)
