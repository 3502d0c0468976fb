"""Phantom settings: what is refused, and with which words."""

import json

import pytest

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.settings.phantom import PhantomSettings
from tests.phantom_settings import phantom_settings
from workflow_scripts.command_line import parse_settings


def refused(changes: dict) -> str:
    content = json.loads(phantom_settings().model_dump_json())
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    with pytest.raises(SettingsError) as caught:
        parse_settings(PhantomSettings, json.dumps(content))
    return str(caught.value)


def test_values_out_of_range_are_refused_by_key():
    assert refused({"body.scale_fraction": 0.9}).startswith("body.scale_fraction: ")
    assert "ct.field_of_view.spacing_mm.2" in refused({"ct.field_of_view.spacing_mm": [4, 4, 0]})
    assert "is not a known key" in refused({"ct.nois_hu": 3})
    assert "expected lowest then highest value" in refused({"ct.arterial_phase": [1, 0]})


def test_mr_needs_its_section():
    assert "section mr is missing" in refused({"mr": None})
    assert phantom_settings({"modalities": ["ct"], "mr": None}).mr is None


def test_a_modality_stands_once():
    assert "names a modality twice" in refused({"modalities": ["ct", "ct"]})


def test_the_split_must_leave_subjects_for_training():
    message = refused({"num_subjects": 6, "split": {"num_test": 4, "num_validation": 2, "seed": 0}})
    assert "keeps 6 of 6 subjects out of training" in message
