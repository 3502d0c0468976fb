"""Axis order and intensity range of the network's input."""

import numpy as np
import pytest
from hypothesis import given, strategies

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.volumes.intensity import (
    IntensityWindow,
    apply_window,
    intensity_window,
    network_array,
    normalise_intensity,
)
from anatomical_embedding.volumes.volume import Volume


def _settings(**changes):
    published = {
        "ct_low_hu": -1024,
        "ct_high_hu": 3071,
        "mr_low_percentile": 0.2,
        "mr_high_percentile": 99.8,
        "mr_smallest_high": None,
        "output_span": 255,
        "output_offset": -50,
    }
    return IntensitySettings.model_validate(published | changes)


def test_network_order_is_a_view_with_z_first():
    array = np.arange(24).reshape(2, 3, 4)
    view = network_array(Volume(array, np.eye(4)))
    assert view.shape == (4, 3, 2)
    assert view[3, 1, 0] == array[0, 1, 3]
    assert np.shares_memory(view, array)


@pytest.mark.parametrize("data_type", [np.int16, np.int32, np.float32])
def test_ct_has_the_published_range(data_type):
    hu = np.array([-3000, -1024, 0, 3071, 9000]).astype(data_type)
    mapped = normalise_intensity(hu, modality="ct", settings=_settings())
    assert mapped.dtype == np.float32
    assert np.allclose(mapped, [-50, -50, 1024 / 4095 * 255 - 50, 205, 205], atol=1e-4)


def test_mr_percentiles_are_not_cut_to_whole_numbers():
    """1001 evenly spaced values: percentile p is p percent of the range."""
    mr = np.linspace(0.0, 0.5, 1001)
    window = intensity_window(mr, modality="mr", settings=_settings())
    assert window == pytest.approx((0.001, 0.499))
    mapped = apply_window(np.array([0.0, 0.001, 0.25, 0.499, 0.5]), window=window, settings=_settings())
    assert np.allclose(mapped, [-50, -50, 77.5, 205, 205], atol=1e-3)


@given(scale=strategies.floats(1e-3, 1e3), shift=strategies.floats(-500, 500))
def test_mr_input_does_not_depend_on_the_units_of_the_volume(scale, shift):
    mr = np.random.default_rng(0).uniform(0, 1, 500)
    plain = normalise_intensity(mr, modality="mr", settings=_settings())
    changed = normalise_intensity(mr * scale + shift, modality="mr", settings=_settings())
    assert np.allclose(plain, changed, atol=2e-4 * (1 + abs(shift) / scale))


def test_the_published_floor_leaves_scaled_mr_alone():
    mr = np.linspace(0.0, 0.5, 1001)
    window = intensity_window(mr, modality="mr", settings=_settings(mr_smallest_high=1.0))
    assert window == pytest.approx((0.001, 1.0))


def test_mr_without_contrast_is_an_error():
    mr = np.zeros(5000)
    mr[0] = 1.0
    with pytest.raises(UserError, match=r"no contrast: its percentiles 0\.2 and 99\.8 are both 0"):
        normalise_intensity(mr, modality="mr", settings=_settings())


def test_a_part_of_a_volume_uses_the_window_of_the_whole():
    window = IntensityWindow(0.0, 255.0)
    assert apply_window(np.array([100]), window=window, settings=_settings()).tolist() == [50.0]


@pytest.mark.parametrize(
    "changes",
    [{"ct_high_hu": -1024}, {"mr_low_percentile": 99.8}, {"mr_high_percentile": 101}, {"output_span": 0}],
)
def test_windows_must_ascend(changes):
    with pytest.raises(ValueError, match=r"smaller than|less than or equal|greater than"):
        _settings(**changes)
