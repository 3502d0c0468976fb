"""Places around an answer that look like the query: one alone, none, and the same again some way off."""

import numpy as np
import pytest

from anatomical_embedding.matching.lookalikes import lookalike_distances_mm
from anatomical_embedding.settings.refinement import LookalikeSettings
from anatomical_embedding.volumes.volume import Volume

SETTINGS = LookalikeSettings(
    half_size_mm=16, step_mm=4, deviation_mm=10, blur_steps=0.5, reach_mm=12, sharpness=40
)
SIZE = 40
SPACING_MM = 2.0
AFFINE = np.diag([SPACING_MM] * 3 + [1.0])
MIDDLE_MM = np.full((1, 3), SPACING_MM * SIZE / 2)


def noise(*, seed, period=SIZE):
    """Return voxels at random that come again after a period along the third axis."""
    values = np.random.default_rng(seed).standard_normal((SIZE, SIZE, period))
    return Volume(np.tile(values, (1, 1, -(-SIZE // period)))[:, :, :SIZE].astype(np.float32), AFFINE)


def distance_mm(target, answer_mm, **changes):
    """Return the mean distance of the places around one answer, of a query in the middle of a scan of noise."""
    settings = SETTINGS.model_copy(update=changes)
    return lookalike_distances_mm(noise(seed=1), MIDDLE_MM, target, answer_mm, settings=settings)[0]


@pytest.mark.parametrize(("off_mm", "expected_mm"), [(0.0, 0.0), (4.0, 4.0), (8.0, 8.0)])
def test_one_place_alone_is_as_far_from_the_answer_as_the_answer_is_wrong(off_mm, expected_mm):
    answer_mm = MIDDLE_MM + np.array([off_mm, 0.0, 0.0])
    assert distance_mm(noise(seed=1), answer_mm) == pytest.approx(expected_mm, abs=0.1)


def test_where_nothing_counts_more_than_another_it_is_the_mean_over_the_ball():
    steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    lengths = np.sqrt((steps**2).sum(axis=1))
    expected_mm = 4.0 * lengths[lengths <= 3].mean()
    assert distance_mm(noise(seed=2), MIDDLE_MM, sharpness=1e-9) == pytest.approx(expected_mm, abs=1e-5)


def test_a_second_place_that_looks_the_same_is_seen():
    template = noise(seed=3, period=4)  # again after 8 mm, above and below
    found = lookalike_distances_mm(template, MIDDLE_MM, template, MIDDLE_MM, settings=SETTINGS)
    assert found[0] == pytest.approx((0.0 + 8.0 + 8.0) / 3, abs=0.1)


def test_no_match_has_no_distance():
    answers_mm = np.vstack([MIDDLE_MM, np.full((1, 3), np.nan)])
    scan = noise(seed=1)
    found = lookalike_distances_mm(scan, np.vstack([MIDDLE_MM] * 2), scan, answers_mm, settings=SETTINGS)
    assert np.isnan(found).tolist() == [False, True]
