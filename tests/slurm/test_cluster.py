"""The workflow through the cluster profile, on a real SLURM on this machine."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.integration.tiny_workflow import OVERLAY, set_up, write_overlay
from tests.slurm import single_machine

NUM_VOLUMES = 7
SECONDS_BEFORE_FIRST_LOOK = "6"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    obstacle = single_machine.obstacle()
    if obstacle:
        pytest.skip(obstacle)
    folder = tmp_path_factory.mktemp("cluster")
    set_up(folder)
    shutil.copytree(REPOSITORY / "profiles", folder / "profiles")
    overlay = OVERLAY | {
        "datasets": OVERLAY["datasets"] | {"phantom_ct": dict(OVERLAY["datasets"]["phantom_ct"])}
    }
    overlay["datasets"]["phantom_ct"] |= {"num_subjects": 4, "split": {"num_test": 2, "num_validation": 1}}
    overlay["evaluations"] = {"phantom_ct": OVERLAY["evaluations"]["phantom_ct"] | {"baselines": []}}
    write_overlay(folder, overlay)
    try:
        single_machine.start()
    except single_machine.CannotInstallError as reason:
        pytest.skip(str(reason))
    try:
        done = run(folder)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield folder
    finally:
        single_machine.stop()


def run(folder, *arguments):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--profile",
        "profiles/slurm",
        "--configfile",
        "overlay.yaml",
    ]
    command += [
        "--slurm-init-seconds-before-status-checks",
        SECONDS_BEFORE_FIRST_LOOK,
        "--latency-wait",
        "10",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *arguments], cwd=folder, check=False, capture_output=True, text=True, env=environment
    )


def submitted_jobs():
    """Return (partition, granted resources, rules) of every job that SLURM knows."""
    command = ["sacct", "-X", "-n", "-P", "-o", "Partition,AllocTRES,Comment"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_it_ends_with_a_report(finished):
    assert (finished / "results" / "report.html").exists()


def test_stages_get_what_they_ask_for(finished):
    jobs = submitted_jobs()
    for partition, granted, rules in jobs:
        needs_gpu = bool(re.search("train_|export_", rules))
        assert partition == ("gpu" if needs_gpu else "cpu"), rules
        assert ("gres/gpu=1" in granted) == needs_gpu, rules
    prepared = [rules for _, _, rules in jobs if "prepare" in rules]
    assert 1 <= len(prepared) < NUM_VOLUMES


def test_a_second_run_submits_nothing(finished):
    before = len(submitted_jobs())
    done = run(finished)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
    assert len(submitted_jobs()) == before
