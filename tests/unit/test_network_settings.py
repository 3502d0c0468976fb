"""Strides and sizes that follow from the network's settings, and what is refused."""

import pydantic
import pytest

from anatomical_embedding.settings.network import NetworkSettings
from anatomical_embedding.settings.published_weights import published_network
from tests.reference.small_networks import isotropic_settings

PUBLISHED = published_network("sampp")


def test_strides_of_the_published_network():
    assert PUBLISHED.fine_stride_zyx == (2, 2, 2)
    assert PUBLISHED.coarse_stride_zyx == (4, 16, 16)


def test_strides_of_an_isotropic_network():
    settings = isotropic_settings()
    assert settings.fine_stride_zyx == (2, 2, 2)
    assert settings.coarse_stride_zyx == (8, 8, 8)


@pytest.mark.parametrize(
    ("shape", "fine", "coarse"),
    [
        ((32, 96, 96), (16, 48, 48), (8, 6, 6)),
        ((48, 96, 80), (24, 48, 40), (12, 6, 5)),
        ((34, 100, 68), (17, 50, 34), (9, 7, 5)),
        ((37, 77, 59), (18, 39, 30), (9, 5, 4)),
    ],
)
def test_map_sizes_are_those_of_the_published_code(shape, fine, coarse):
    level_shapes = PUBLISHED.level_shapes(shape)
    assert level_shapes[0] == fine
    assert level_shapes[-1] == coarse


def test_settings_survive_json():
    assert NetworkSettings.model_validate_json(PUBLISHED.model_dump_json()) == PUBLISHED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem_kernel_zyx": (4, 7, 7)}, "stem has a kernel of 4 along z; kernels must be odd"),
        (
            {"stage_kernels_zyx": ((1, 3, 3), (1, 3, 3), (3, 3, 3), (1, 3, 3))},
            "stage 4 has stride 2 but a kernel of 1 along z",
        ),
        (
            {"stage_strides_zyx": ((1, 2, 2), (1, 1, 1), (1, 1, 1), (1, 1, 1))},
            "the coarse map has the stride",
        ),
        ({"stem_stride_zyx": (3, 1, 1)}, "less than or equal to 2"),
        ({"stage_channels": (64, 128, 256)}, "stage_channels"),
        ({"width": 64}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        NetworkSettings.model_validate(PUBLISHED.model_dump() | change)
