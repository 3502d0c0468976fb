"""The fast correlation against a loop, and the answers of the baseline on volumes with known moves."""

import time

import numpy as np
import pytest

from anatomical_embedding.evaluation.baselines.answers import PreparedScan, ncc_matcher
from anatomical_embedding.evaluation.baselines.cross_correlation import (
    CorrelationTarget,
    NoCorrelationError,
    cube_round,
    odd_cube_size,
)
from anatomical_embedding.settings.evaluation import NccSettings
from anatomical_embedding.volumes.volume import Volume
from tests.reference.slow_cross_correlation import slow_correlation_map

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def isotropic(array, spacing_mm=4.0):
    return Volume(array, np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0]))


@pytest.mark.parametrize("offset", [0.0, 1000.0, -700.0])
@pytest.mark.parametrize("size", [3, 5])
def test_correlation_map_equals_the_loop(size, offset):
    generator = np.random.default_rng(size)
    array = (generator.normal(size=(9, 7, 11)) * 100 + offset).astype(np.float32)
    cube = cube_round(array, np.array([0, 6, 4]), size=size)
    target = CorrelationTarget(isotropic(array), np.ones(array.shape, dtype=bool), cube_size=size)
    slow = slow_correlation_map(array, cube)
    np.testing.assert_allclose(target.correlation_map(cube), slow, atol=2e-5)
    assert slow[0, 6, 4] == pytest.approx(1.0)


def test_a_flat_region_scores_zero_and_a_flat_cube_is_refused():
    array = np.zeros((12, 12, 12), dtype=np.float32)
    array[6:, 6:, 6:] = np.random.default_rng(0).normal(size=(6, 6, 6)) * 50
    target = CorrelationTarget(isotropic(array), np.ones(array.shape, dtype=bool), cube_size=3)
    scores = target.correlation_map(array[7:10, 7:10, 7:10])
    assert np.all(scores[:4, :4, :4] == 0.0)
    with pytest.raises(NoCorrelationError, match="equal"):
        target.correlation_map(array[:3, :3, :3])


def test_best_place_respects_body_and_radius():
    array = np.random.default_rng(1).normal(size=(10, 10, 10)).astype(np.float32)
    cube = cube_round(array, np.array([2, 3, 4]), size=3)
    everywhere = np.ones(array.shape, dtype=bool)
    target = CorrelationTarget(isotropic(array), everywhere, cube_size=3)
    found = target.best_place(cube, centre_mm=np.zeros(3), radius_mm=None)
    assert found.voxel.tolist() == [2, 3, 4]
    assert found.correlation == pytest.approx(1.0, abs=1e-5)

    far_mm = target.target.world_from_voxel([9, 9, 9])
    near = target.best_place(cube, centre_mm=far_mm, radius_mm=8.0)
    assert np.linalg.norm(target.target.world_from_voxel(near.voxel) - far_mm) <= 8.0

    outside = everywhere.copy()
    outside[2, 3, 4] = False
    without = CorrelationTarget(isotropic(array), outside, cube_size=3)
    assert without.best_place(cube, centre_mm=far_mm, radius_mm=None).voxel.tolist() != [2, 3, 4]


def test_of_a_body_its_box_is_looked_at_alone():
    """The correlations are those of the whole volume; a body of two voxels at opposite corners of a box."""
    array = np.random.default_rng(2).normal(size=(12, 9, 10)).astype(np.float32)
    cube = cube_round(array, np.array([8, 5, 9]), size=5)
    is_body = np.zeros(array.shape, dtype=bool)
    is_body[2, 4, 3] = is_body[8, 5, 9] = True
    target = CorrelationTarget(isotropic(array), is_body, cube_size=5)
    box = (slice(2, 9), slice(4, 6), slice(3, 10))
    np.testing.assert_allclose(
        target.correlation_map(cube), slow_correlation_map(array, cube)[box], atol=2e-5
    )
    assert target.best_place(cube, centre_mm=np.zeros(3), radius_mm=None).voxel.tolist() == [8, 5, 9]
    near_mm = target.target.world_from_voxel([2, 4, 4])
    assert target.best_place(cube, centre_mm=near_mm, radius_mm=5.0).voxel.tolist() == [2, 4, 3]


def test_no_candidate_is_an_error():
    array = np.random.default_rng(1).normal(size=(6, 6, 6)).astype(np.float32)
    target = CorrelationTarget(isotropic(array), np.ones(array.shape, dtype=bool), cube_size=3)
    with pytest.raises(NoCorrelationError, match="within 3 mm"):
        target.best_place(array[:3, :3, :3], centre_mm=np.array([1e4, 0.0, 0.0]), radius_mm=3.0)


@pytest.mark.parametrize(
    ("cube_mm", "spacing_mm", "expected"), [(44, 4, 11), (44, 2, 21), (1, 4, 3), (20, 4, 5), (28, 4, 7)]
)
def test_odd_cube_size(cube_mm, spacing_mm, expected):
    assert odd_cube_size(cube_mm, spacing_mm=spacing_mm) == expected


def smooth_noise(shape, seed):
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415 used here alone

    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0).astype(np.float32) * 1000


@pytest.mark.parametrize("spacing_mm", [4.0, 2.0])
def test_matcher_finds_a_shifted_anatomy_with_its_part_of_a_voxel(spacing_mm):
    array = smooth_noise((48, 44, 40), 7)
    template = isotropic(array[:40, :40, :36], spacing_mm)
    target = isotropic(array[4:44, 2:42, 4:40], spacing_mm)
    scans = {
        name: PreparedScan(volume, Volume(np.ones(volume.shape, np.uint8), volume.affine))
        for name, volume in (("template", template), ("target", target))
    }
    settings = NccSettings(cube_mm=36.0, spacing_mm=4.0, search_radius_mm=None)
    point_vox = np.array([[20.3, 17.8, 18.0]])
    answers = ncc_matcher(scans.__getitem__, settings)(
        "template", "target", template.world_from_voxel(point_vox)
    )
    expected_mm = target.world_from_voxel(point_vox - [4, 2, 4])
    assert answers[0].point_mm == pytest.approx(expected_mm[0], abs=1e-6 if spacing_mm == 4.0 else 0.5)
    assert answers[0].similarity > 0.95


def test_query_outside_the_template_fails_with_a_reason():
    volume = isotropic(smooth_noise((20, 20, 20), 1))
    scan = PreparedScan(volume, Volume(np.ones(volume.shape, np.uint8), volume.affine))
    settings = NccSettings(cube_mm=12.0, spacing_mm=4.0, search_radius_mm=None)
    (answer,) = ncc_matcher(lambda _: scan, settings)("a", "b", np.array([[500.0, 0.0, 0.0]]))
    assert answer.point_mm is None
    assert "outside the template" in answer.reason


@pytest.mark.slow
def test_one_query_takes_at_most_30_ms():
    volume = isotropic(smooth_noise((96, 72, 96), 2))
    target = CorrelationTarget(volume, np.ones(volume.shape, dtype=bool), cube_size=11)
    cube = cube_round(volume.array, np.array([40, 30, 50]), size=11)
    seconds = []
    for _ in range(7):
        started = time.process_time()
        target.best_place(cube, centre_mm=np.zeros(3), radius_mm=None)
        seconds.append(time.process_time() - started)
    assert min(seconds) <= 0.030, f"one query took {1000 * min(seconds):.0f} ms"
