"""A model, two scans and their stores, and the command run on them."""

import json

import pytest

from tests.command import run
from tests.packaged_model import write_model, write_two_scans

POINT_MM = (12.0, 9.0, 30.0)
"""In the body of the first scan."""


@pytest.fixture(scope="module", name="folder")
def fixture_folder(tmp_path_factory):
    """Return a folder with a model, two scans and their stores."""
    folder = tmp_path_factory.mktemp("doors")
    write_model(folder)
    scans = write_two_scans(folder)
    assert run(["embed", *scans, *model_of(folder), "--output", folder / "stores"]) == 0
    return folder


def model_of(folder):
    return ["--checkpoint", folder / "tiny.safetensors"]


def answer_and_notes(capsys, arguments):
    """Run the command, which must end well, and return what it printed: the JSON, and the notes."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    notes = [line.removeprefix("note: ") for line in printed.err.splitlines() if line.startswith("note: ")]
    return json.loads(printed.out), notes


def stored(folder, name):
    return folder / "stores" / f"{name}.safetensors"
