"""Settings of volumes: what is refused."""

import pytest
from pydantic import ValidationError

from tests.unit.samples import prepare_settings


def _with(*path_and_value):
    *path, value = path_and_value
    content = prepare_settings().model_dump()
    entry = content
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        _with("modality", "pet"),
        _with("volumes", "spacing_mm", [2.0, 0.0, 2.0]),
        _with("volumes", "spacing_mm", [2.0, 2.0]),
        _with("volumes", "spacing_mm", [2.0, 2.0, float("inf")]),
        _with("volumes", "crop_margin_mm", -1.0),
        _with("volumes", "crop_margin", 8.0),
        _with("volumes", "body_mask", "mr", "threshold_fraction", 1.0),
        _with("volumes", "body_mask", "mr", "low_percentile", 99.9),
        _with("volumes", "body_mask", "ct", "closing_radius_mm", -2.0),
    ],
)
def test_values_out_of_range_and_unknown_keys_are_refused(content):
    with pytest.raises(ValidationError):
        type(prepare_settings()).model_validate(content)


def test_settings_survive_json():
    settings = prepare_settings(organs=["liver"])
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings
