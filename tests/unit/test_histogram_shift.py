"""Random curves of intensity: rising or inverted, inside the body alone, within the network's range."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anatomical_embedding.patches.histogram_shift import draw_monotone_points, shift_histogram
from anatomical_embedding.settings.training import HistogramShiftSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from tests.integration.tiny_training import INTENSITY

RANGE = IntensitySettings.model_validate(INTENSITY)
LOW, HIGH = RANGE.output_offset, RANGE.output_offset + RANGE.output_span


def settings(**changes):
    values = {
        "probability": 1.0,
        "num_control_points": (5, 15),
        "invert_probability": 0.0,
        "stretch_probability": 0.0,
    }
    return HistogramShiftSettings(**(values | changes))


def example(seed=0):
    generator = torch.Generator().manual_seed(seed)
    patch = LOW + (HIGH - LOW) * torch.rand((6, 7, 8), generator=generator)
    return patch, torch.rand((6, 7, 8), generator=generator) < 0.7


def shifted(patch, is_body, *, seed, **changes):
    return shift_histogram(
        patch,
        lambda: is_body,
        settings=settings(**changes),
        intensity=RANGE,
        generator=np.random.default_rng(seed),
    )


@given(st.integers(2, 40), st.integers(0, 10_000))
def test_control_points_rise_from_0_to_1(num_points, seed):
    points = draw_monotone_points(num_points, generator=np.random.default_rng(seed))
    assert points[0] == 0.0
    assert points[-1] == 1.0
    assert (np.diff(points) >= 0.0).all()


@pytest.mark.parametrize("inverts", [0.0, 1.0])
@given(st.integers(0, 1000))
def test_order_inside_the_body_is_kept_or_turned_round(inverts, seed):
    patch, is_body = example(seed)
    result = shifted(patch, is_body, seed=seed, invert_probability=inverts, stretch_probability=0.5)
    assert torch.equal(result[~is_body], patch[~is_body])
    inside = result[is_body][patch[is_body].argsort()]
    steps = inside.diff() * (1 - 2 * inverts)
    assert (steps >= -1e-3).all()
    assert result.min() >= LOW - 1e-3
    assert result.max() <= HIGH + 1e-3


def test_a_stretched_body_fills_the_range():
    patch, is_body = example()
    narrow = LOW + 0.3 * (HIGH - LOW) + 0.1 * (patch - LOW)
    result = shifted(narrow, is_body, seed=1, stretch_probability=1.0)[is_body]
    assert result.min() == pytest.approx(LOW, abs=1e-3)
    assert result.max() == pytest.approx(HIGH, abs=1e-3)


def test_nothing_happens_without_body_or_chance():
    patch, is_body = example()
    assert torch.equal(shifted(patch, torch.zeros_like(is_body), seed=0), patch)
    assert torch.equal(shifted(patch, is_body, seed=0, probability=0.0), patch)


def test_the_body_is_asked_for_only_where_it_is_needed():
    patch, is_body = example()
    asked = []

    def body():
        asked.append(1)
        return is_body

    for probability, times in ((0.0, 0), (1.0, 1)):
        generator = np.random.default_rng(0)
        shift_histogram(
            patch, body, settings=settings(probability=probability), intensity=RANGE, generator=generator
        )
        assert len(asked) == times


def test_the_patch_that_was_given_stays():
    patch, is_body = example()
    before = patch.clone()
    assert not torch.equal(shifted(patch, is_body, seed=3), before)
    assert torch.equal(patch, before)
