"""The runs that several tests look at."""

import os
from pathlib import Path

import pytest

from tests.integration.demo_run import run_demo, set_up_demo
from tests.integration.tiny_workflow import planned_jobs, set_up, snakemake, turn_into_dicom


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Return a folder in which the demo has run: the one that the environment names, else a small one of the tests."""
    if named := os.environ.get("ANATOMICAL_EMBEDDING_DEMO"):
        return Path(named)
    folder = tmp_path_factory.mktemp("demo")
    set_up_demo(folder)
    done = run_demo(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Return the folder of a whole run of seconds, of five scans, one in DICOM; what a test changes there it undoes."""
    folder = tmp_path_factory.mktemp("tiny")
    set_up(folder, num_scans=5)
    turn_into_dicom(folder / "scans" / "scan_3.nii.gz")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    assert planned_jobs(folder) == {}, "a test did not undo what it changed"
