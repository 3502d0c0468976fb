"""The schemas that editors check with: a stock validator takes what is delivered, and refuses what is misspelt."""

import copy
import inspect
import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files
from tests.run_files import DELIVERED, YARDSTICK, put, readme_example

SCHEMA_PATH = REPOSITORY / "config.schema.json"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", [*DELIVERED, YARDSTICK], ids=lambda path: path.stem)
def test_every_file_is_valid_by_the_schema_in_its_first_line(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    schema = json.loads((path.parent / named[1]).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(content)) == []
    assert list(Draft202012Validator(schema).iter_errors(content | {"titel": "misspelt"}))


def test_settings_written_out_and_the_example_of_the_readme_are_valid(validator):
    whole = completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))
    assert list(validator.iter_errors(whole)) == []
    assert list(validator.iter_errors(yaml.safe_load(readme_example()))) == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("titel",), "A run"),
        (("preparation",), "fine"),
        (("datasets", "phantom_ct", "kind"), "fantom"),
        (("datasets", "phantom_ct", "num_subject"), 3),
        (("models", "sam", "recipe"), "sam_smal"),
        (("models", "sam", "training", "num_step"), 3),
        (("models", "sam", "training", "num_steps"), -1),
        (("methods",), {"wide": {"kind": "closest"}}),
        (("registrations", "round_1", "deeds", "recipe"), "sam_small"),
        (("confidence",), {"fit": {"num_folds": 1}}),
    ],
)
def test_what_is_misspelt_or_out_of_range_is_refused(validator, keys, value):
    content = copy.deepcopy(read_run_files([REPOSITORY / "config.yaml"]))
    put(content, keys, value)
    assert list(validator.iter_errors(content))


class Inner(Settings):
    """A section."""

    step_mm: float
    """One of its fields:
    on two lines.
    """
    plain: int


class Outer(Inner):
    """A section with all fields of another and one of its own."""

    inner: Inner
    """A section in a section."""


def test_the_text_below_a_field_describes_it():
    schema = Outer.model_json_schema()
    assert schema["description"] == "A section with all fields of another and one of its own."
    assert {name: field.get("description") for name, field in schema["properties"].items()} == {
        "step_mm": "One of its fields:\non two lines.",
        "plain": None,
        "inner": "A section in a section.",
    }
    fields = schema["$defs"]["Inner"]["properties"]
    assert (
        fields["step_mm"] == schema["properties"]["step_mm"]
        and fields["plain"] == schema["properties"]["plain"]
    )


def test_every_key_of_a_run_file_is_described():
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []


def test_settings_are_ready_without_a_look_at_their_source(monkeypatch):
    """Every stage loads them all, and reading the source of each took half of its start."""
    monkeypatch.setattr(inspect, "getsource", _refuse)
    monkeypatch.setattr(inspect, "getblock", _refuse)

    class Section(Settings):
        step_mm: float
        """A field."""

    assert Section.model_validate({"step_mm": 2}).step_mm == 2.0


def _refuse(*_):
    raise AssertionError("read the source")
