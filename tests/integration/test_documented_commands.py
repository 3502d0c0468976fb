"""What README.md and docs/api.md tell a user to type works as it stands there, with the models of the demo."""

import json
import os
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.settings.published_weights import published_network
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.documented_commands import blocks_of, commands_of
from tests.integration.warm_servers import warm_python
from tests.packaged_model import write_dicom_series

pytestmark = pytest.mark.slow

POINT_OF_README = np.array([-247.0, -76.0, 141.0])
POINT_OF_API = np.array([-12.5, 40.0, 310.0])
SMALL_ORGANS = (1, 2)
"""Their surroundings ask for some hundred points, those of all organs for thousands."""


def moved(path):
    """Return a volume of the demo in a world where the point of docs/api.md lies where that of README.md did."""
    volume = read_volume(path, require_contrast=False)
    affine = volume.affine.copy()
    affine[:3, 3] += POINT_OF_API - POINT_OF_README
    return Volume(volume.array, affine)


@pytest.fixture(scope="module")
def workplace(demo, tmp_path_factory):
    """Return a folder with the results of the demo, the command, and files with the names that the documents use."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "results").symlink_to(demo / "results")
    script = folder / ".venv" / "bin" / "anatomical-embedding"
    script.parent.mkdir(parents=True)
    command = shlex.join([warm_python(), "-m", "anatomical_embedding.cli.main"])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    (script.parent / "activate").touch()  # what it would do is done by `environment`
    (script.parent / "deeds").symlink_to(demo / "results" / "deeds" / "deeds")
    first, second = (
        demo / "results" / "phantoms" / "phantom_ct" / f"phantom_00{number}" for number in (0, 1)
    )
    for name, path in (("a", first), ("b", second), ("baseline", first)):
        write_volume(moved(path / "ct.nii.gz"), folder / f"{name}.nii.gz")
    for name in ("series", "follow_up_dicom"):
        write_dicom_series(moved(second / "ct.nii.gz"), folder / name)
    organs = moved(first / "labels.nii.gz")
    few = np.where(np.isin(organs.array, SMALL_ORGANS), organs.array, 0)
    write_volume(Volume(few, organs.affine), folder / "organs.nii.gz")
    write_volume(Volume((few == SMALL_ORGANS[0]).astype(np.uint8), organs.affine), folder / "lesion.nii.gz")
    write_markups(POINT_OF_API[np.newaxis], ["place"], folder / "points.mrk.json")
    registered = min((demo / "results" / "registrations" / "round_1").glob("*_ct__*")).name
    pair = demo / "results" / "phantoms" / "phantom_pairs" / registered.partition("_ct__")[0]
    for name in ("ct", "mr"):
        (folder / f"{name}.nii.gz").symlink_to(pair / f"{name}.nii.gz")
    torch.manual_seed(0)
    torch.save(EmbeddingNetwork(published_network("sam")).state_dict(), folder / "SAM.pth")
    middle = read_volume(pair / "ct.nii.gz").centre_mm  # what `transform-points` is given lies in the scan
    line = ",".join([*map(str, middle), "middle"])
    (folder / "points.csv").write_text(f"x_mm,y_mm,z_mm,name\n{line}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def environment(workplace):
    """Return the environment of a user: the command on the path, no browser, and `make` that only says what it does."""
    path = os.pathsep.join([str(workplace / ".venv" / "bin"), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY), "BROWSER": "true", "MAKEFLAGS": "n"}


def done(command, folder, environment):
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=REPOSITORY if command.startswith("make") else folder,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )


def first_line(command, folder, environment):
    """Return the first line of a command that runs until Ctrl-C."""
    with subprocess.Popen(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        line = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        return line


def runs_here(command):
    """Say whether a command is one of the demo; those of published weights run in test_installed_package.py."""
    return not command.startswith(("snakemake", "pip")) and "--checkpoint sam.safetensors" not in command


@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_commands_work_as_they_are_written(document, workplace, environment):
    commands = [command for command in commands_of(document) if runs_here(command)]
    assert commands
    for command in commands:
        if " view " in command:
            assert first_line(command, workplace, environment).startswith("http://127.0.0.1:"), command
            continue
        ran = done(command, workplace, environment)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        if " match " in command:
            assert any(f",{word}," in ran.stdout for word in ("found", "review", "unknown")), ran.stdout


def test_the_python_of_the_documents_runs_as_it_is_written(workplace, environment):
    code = "\n".join(blocks_of("docs/api.md", language="python"))
    ran = subprocess.run(
        [sys.executable, "-"],
        input=code,
        cwd=workplace,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads((workplace / "registered" / "start.json").read_text(encoding="utf-8"))
