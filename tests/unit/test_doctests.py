"""Every example in a docstring runs and prints what it says; those of the documents need nothing internal."""

import doctest
import importlib
import re
import tempfile

import pytest

from anatomical_embedding import api
from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.documented_commands import blocks_of

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
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # what an example writes goes with the test
    module = importlib.import_module(name)
    written = (REPOSITORY / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8").count(PROMPT)
    ran = doctest.testmod(module, report=True)
    assert (ran.failed, ran.attempted) == (0, written)


def test_documents_import_what_is_public_alone():
    lines = "\n".join(blocks_of("docs/api.md", language="python")).splitlines()
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    assert imports
    for line in imports:
        assert line.startswith("from anatomical_embedding.api import "), line
        assert set(line.partition(" import ")[2].split(", ")) <= set(api.__all__)


def test_the_files_that_contributing_names_are_there():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    answers = text.partition("| where is ... | file |")[2].partition("\n\n")[0]
    named = re.findall(r"`([\w/]+\.(?:py|md))`", answers)
    assert (
        len(named) > len(answers.strip().splitlines()) - 1
    )  # every question has its file, below the line of dashes
    for name in named:
        assert any(
            (folder / name).is_file() for folder in (REPOSITORY, REPOSITORY / "anatomical_embedding")
        ), name
