"""Manifests of jobs: what they hold, that they appear in the workflow only, and what differs between two runs."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY, code_of
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.provenance import (
    FOLDER_VARIABLE,
    Manifest,
    code_variable,
    differences,
    read_manifests,
)
from anatomical_embedding.registration.correspondences import Correspondences, write_correspondences
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.unit.test_robust_fit import fit_settings


def run_stage(folder, *, seed=1, **variables):
    """Run a stage that takes a second on files in a folder; its outputs go below results."""
    results = folder / "results"
    results.mkdir(exist_ok=True)
    points = np.random.default_rng(0).uniform(-100, 100, (40, 3))
    ones = np.ones(40)
    write_correspondences(Correspondences(points, points + 5.0, ones, ones, ones > 0), folder / "found.csv")
    write_volume(Volume(np.ones((8, 8, 8), np.uint8), np.eye(4)), folder / "body.nii")
    settings = fit_settings(seed=seed).model_dump_json()
    command = [sys.executable, "-m", "workflow_scripts.fit_affine", "--settings", settings]
    command += ["--correspondences", str(folder / "found.csv"), f"--fixed-body={folder / 'body.nii'}"]
    command += [f"--{name}={folder / 'body.nii'}" for name in ("fixed", "moving", "moving-body")]
    command += ["--output", str(results / "pair" / "start.json")]
    command += ["--output-transform", str(results / "pair" / "start.tfm")]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    return results


@pytest.mark.slow
def test_a_job_of_the_workflow_leaves_a_manifest(tmp_path):
    results = run_stage(tmp_path, **{FOLDER_VARIABLE: str(tmp_path / "results" / "provenance")})
    ((name, manifest),) = read_manifests(results / "provenance").items()
    assert name == "fit_affine/pair/start.json"
    assert manifest.stage == "fit_affine"
    assert manifest.code == code_of("fit_affine")
    assert manifest.settings["estimator"] == "ransac"
    assert manifest.versions["numpy"] == np.__version__
    assert manifest.device == "cpu"
    assert 0 < manifest.cpu_seconds < 60 and manifest.seconds > 0
    assert 20 < manifest.peak_memory_mb < 4000
    assert manifest.inputs == {
        str(tmp_path / name): sha256_of_file(tmp_path / name) for name in ("body.nii", "found.csv")
    }
    outputs = ("pair/start.json", "pair/start.tfm")
    assert manifest.outputs == {name: sha256_of_file(results / name) for name in outputs}


@pytest.mark.slow
def test_a_stage_run_again_writes_the_same_files_and_knows_its_outputs(tmp_path):
    variables = {FOLDER_VARIABLE: str(tmp_path / "results" / "provenance")}
    (first,) = read_manifests(run_stage(tmp_path, **variables) / "provenance").values()
    (second,) = read_manifests(run_stage(tmp_path, **variables) / "provenance").values()
    assert list(differences(first, second)) == []
    assert second.outputs == first.outputs


@pytest.mark.slow
def test_the_fingerprint_that_the_workflow_took_is_not_taken_again(tmp_path):
    folder = str(tmp_path / "results" / "provenance")
    variables = {FOLDER_VARIABLE: folder, code_variable("fit_affine"): "as planned"}
    (manifest,) = read_manifests(run_stage(tmp_path, **variables) / "provenance").values()
    assert manifest.code == "as planned"


@pytest.mark.slow
def test_without_the_workflow_there_is_none(tmp_path):
    results = run_stage(tmp_path)
    assert sorted(path.name for path in results.iterdir()) == ["pair"]


@pytest.mark.slow
def test_of_several_processes_the_first_writes(tmp_path):
    variables = {FOLDER_VARIABLE: str(tmp_path / "results" / "provenance"), "RANK": "1"}
    assert not (run_stage(tmp_path, **variables) / "provenance").exists()


def manifest(**changes):
    values = {
        "stage": "train_intra",
        "settings": {"training": {"num_steps": 400, "mix": {"a": 2}}},
        "code": "aa",
        "versions": {"torch": "2.13.0", "numpy": "2"},
        "device": "cpu",
        "seconds": 10.0,
        "cpu_seconds": 20.0,
        "peak_memory_mb": 500.0,
        "inputs": {"volumes/a.csv": "11"},
        "outputs": {"models/sam/trained.safetensors": "22"},
    }
    return Manifest(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"settings": {"training": {"num_steps": 300, "mix": {"a": 2}}}},
            "settings training.num_steps: 400 -> 300",
        ),
        ({"settings": {"training": {"num_steps": 400, "mix": {}}}}, "settings training.mix.a: 2 -> None"),
        ({"code": "bb"}, "code: aa -> bb"),
        ({"versions": {"torch": "2.14.0", "numpy": "2"}}, "version of torch: 2.13.0 -> 2.14.0"),
        ({"device": "H100"}, "device: cpu -> H100"),
        ({"inputs": {"volumes/a.csv": "12"}}, "input volumes/a.csv differs"),
        ({"outputs": {}}, "output models/sam/trained.safetensors is in one run only"),
    ],
)
def test_each_difference_is_a_line(changes, line):
    assert list(differences(manifest(), manifest(**changes))) == [line]


def test_cost_is_no_difference():
    assert list(differences(manifest(), manifest(seconds=1.0, cpu_seconds=2.0, peak_memory_mb=3.0))) == []


def write_run(folder, *manifests):
    for number, each in enumerate(manifests):
        path = folder / "provenance" / each.stage / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(each.__dict__), encoding="utf-8")
    return folder


def compare(*runs):
    command = [sys.executable, "-m", "workflow_scripts.compare_runs", *map(str, runs)]
    return subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, encoding="utf-8")


@pytest.mark.slow
def test_two_runs_are_compared_by_a_command(tmp_path):
    first = write_run(tmp_path / "a", manifest(), manifest(stage="score"))
    second = write_run(tmp_path / "b", replace(manifest(), code="bb"))
    same = compare(first, first)
    assert (same.returncode, same.stdout) == (0, "2 jobs, nothing differs\n")
    other = compare(first, second)
    assert other.returncode == 1
    assert other.stdout.splitlines() == [f"score/1: is in {first} only", "train_intra/0: code: aa -> bb"]
    wrong = compare(first, tmp_path)
    assert wrong.returncode == 2
    assert "has no folder named provenance" in wrong.stderr


def test_other_files_are_no_manifests(tmp_path):
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputFileError, match=r"x\.json: is not a manifest of a job"):
        read_manifests(tmp_path)


@pytest.mark.slow
def test_a_manifest_that_is_being_written_is_passed_over(tmp_path):
    """The report is written while other jobs end, and after jobs that were killed."""
    results = run_stage(tmp_path, **{FOLDER_VARIABLE: str(tmp_path / "results" / "provenance")})
    whole = read_manifests(results / "provenance")
    (written,) = (results / "provenance").rglob("*.json")
    written.with_name(f".7.partial.{written.name}").write_text('{"stage": "fit_', encoding="utf-8")
    assert read_manifests(results / "provenance") == whole
