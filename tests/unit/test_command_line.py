"""The command `anatomical-embedding`: its help, and one line for errors that a user can fix."""

import inspect
import json
import os
import signal
import socket

import numpy as np
import pytest

from anatomical_embedding.cli.main import commands, main
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import output_of, refusal_of
from tests.oblique_scans import (
    fixture_folder,  # noqa: F401
    fixture_model,  # noqa: F401
)
from tests.packaged_model import body_scan


def test_describe_says_what_a_model_is(folder, capsys):
    said = output_of(capsys, ["describe", folder / "tiny.safetensors"])
    assert "limit          Random weights." in said
    card = json.loads(output_of(capsys, ["describe", folder / "tiny.safetensors", "--json"]))["card"]
    assert card["modalities"] == ["ct"]


def wrong_inputs(folder):
    """Return, by name, arguments that are wrong and what the line must say."""
    scan, model = folder / "first.nii.gz", folder / "tiny.safetensors"
    (folder / "text.nii.gz").write_text("no image", encoding="utf-8")
    (folder / "text.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "empty").mkdir(exist_ok=True)
    mr = body_scan(offset_vox=(2, 2, 2), affine=np.diag([-4.0, -4.0, 4.0, 1.0]))
    write_volume(Volume(np.clip(mr.array, 0, None), mr.affine), folder / "mr.nii.gz")
    match = ["match", "--checkpoint", model, "--from", scan, "--to", scan]
    carry = ["propagate", "--checkpoint", model, "--from", scan, "--to", scan]
    return {
        "mask of a scan": (
            [*carry, "--labels", scan, "--output", folder / "x" / "mask.nii.gz"],
            "first.nii.gz: has the value -1000, expected whole numbers from 0",
        ),
        "mask of no name": ([*carry, "--labels", scan, "--output", folder / "x"], "ends in .nii.gz or .nii"),
        "no point inside": (
            [*match, "--point", "9000,0,0"],
            f"no point lies inside {folder / 'first.nii.gz'}",
        ),
        "no number": ([*match, "--point", "1,2"], "expected three numbers in mm"),
        "no finite number": ([*match, "--point", "nan,0,0"], "expected three numbers in mm"),
        "no point": (match, "expected either --point or --points"),
        "other table": ([*match, "--points", folder / "text.csv"], "text.csv: "),
        "no scan": (
            ["match", "--checkpoint", model, "--from", folder / "absent.nii", "--to", scan],
            "absent.nii",
        ),
        "no image": (
            ["embed", folder / "text.nii.gz", "--checkpoint", model, "--output", folder / "x"],
            "text.nii.gz: ",
        ),
        "no series": (
            ["embed", folder / "empty", "--checkpoint", model, "--output", folder / "x"],
            "holds no DICOM series",
        ),
        "other modality": (
            ["embed", folder / "mr.nii.gz", "--checkpoint", model, "--output", folder / "x"],
            "is a scan of modality mr, judging by its header or its values",
        ),
        "other model": (
            [
                *("match", "--checkpoint", folder / "other.safetensors", "--to", scan),
                *("--from", folder / "stores" / "first.safetensors", "--point", "0,0,0"),
            ],
            "stores/first.safetensors: ",
        ),
        "weights only": (
            ["describe", folder / "tiny.trained.safetensors"],
            "holds weights but no model card",
        ),
        "no checkpoint": (["describe", folder / "text.csv"], "text.csv: "),
        "one scan": (["view", scan, "--checkpoint", model], "expected two or more scans"),
        "no program": (
            [
                "register",
                scan,
                scan,
                "--checkpoint",
                model,
                "--output",
                folder / "x",
                "--deeds",
                folder / "absent",
            ],
            "absent",
        ),
        "unknown option": (["match", "--speed"], "--speed"),
    }


NAMES = (
    "mask of a scan, mask of no name, "
    "no point inside, no number, no finite number, no point, other table, no scan, no image, no series, "
    "other modality, other model, weights only, no checkpoint, one scan, no program, unknown option"
).split(", ")


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_ends_with_one_line(folder, capsys, name):
    wrong = wrong_inputs(folder)
    assert set(wrong) == set(NAMES)
    arguments, message = wrong[name]
    assert message in refusal_of(capsys, arguments)
    assert not (folder / "x").exists()


def test_a_busy_port_is_named(folder, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        scans = [folder / "first.nii.gz", folder / "second.nii.gz"]
        arguments = ["view", *scans, "--checkpoint", folder / "tiny.safetensors", "--no-open", "--port", port]
        assert f"--port {port}: cannot listen there" in refusal_of(capsys, arguments)


def test_the_run_files_at_fault_are_named(tmp_path, capsys):
    (tmp_path / "first.yaml").write_text("title: One\n", encoding="utf-8")
    (tmp_path / "second.yaml").write_text("preparation: fine\n", encoding="utf-8")
    files = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    assert f"error: {files[0]}, {files[1]}: preparation: expected one of" in refusal_of(
        capsys, ["settings", *files]
    )


@pytest.mark.parametrize("verb", ["embed", "match", "propagate", "register", "view", "score", "describe"])
def test_every_verb_has_help(capsys, verb):
    said = output_of(capsys, [verb, "--help"])
    assert said.startswith("Usage: anatomical-embedding") and "--json" in said


@pytest.mark.parametrize("verb", sorted(commands.commands))
def test_lists_in_the_help_keep_their_lines(capsys, verb):
    """Click runs the lines of a docstring together unless a backspace marks them; a raw docstring holds none."""
    said = output_of(capsys, [verb, "--help"])
    assert "\\" not in said and "\b" not in said
    text = inspect.cleandoc(commands.commands[verb].help)
    for line in text.partition("\b\n")[2].partition("\n\n")[0].splitlines():
        assert f"\n  {line}\n" in said


def test_a_command_that_is_terminated_ends_as_after_ctrl_c(monkeypatch):
    """Else deeds would go on alone, and files that are not whole would stay."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(commands, "main", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(SystemExit) as stop:
            main([])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 143
