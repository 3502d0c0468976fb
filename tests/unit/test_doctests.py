"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY

PROMPT = ">>> "


def modules_with_examples():
    """Return the names of the modules that hold examples, without loading any."""
    paths = [*REPOSITORY.glob("anatomical_embedding/**/*.py"), *REPOSITORY.glob("workflow_scripts/*.py")]
    return sorted(
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for path in paths
        if PROMPT in path.read_text(encoding="utf-8")
    )


def test_there_are_examples_in_every_part():
    parts = {name.split(".")[1] for name in modules_with_examples()}
    assert {"volumes", "files", "evaluation", "settings", "report", "registration", "patches"} <= parts


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    module = importlib.import_module(name)
    written = (REPOSITORY / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8").count(PROMPT)
    ran = doctest.testmod(module, report=True)
    assert (ran.failed, ran.attempted) == (0, written)
