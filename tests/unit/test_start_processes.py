"""How many processes a stage is started in, and by what."""

import os
import subprocess
import sys

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.errors import SettingsError
from tests.integration.warm_servers import warm_python
from workflow_scripts.start_processes import command_of

STAGE = ["-m", "workflow_scripts.train_intra", "--threads=8"]
TORCHRUN = ["-m", "torch.distributed.run"]


def command(**wanted):
    return command_of("train_intra", ["--threads=8"], threads=8, **wanted)


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_gpu_or_none_is_the_stage_itself(gpus):
    words = [f"--gpus={gpus}", "--nodes=1", "--threads=2", "score_tracking", "--help"]
    told = [
        subprocess.run(
            [sys.executable, "-m", f"workflow_scripts.{module}", *arguments],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for module, arguments in (("start_processes", words), ("score_tracking", ["--help"]))
    ]
    assert told[0] == told[1]


def test_several_gpus_are_a_process_each():
    expected = [sys.executable, *TORCHRUN, "--standalone", "--nproc-per-node", "4", *STAGE]
    assert command(gpus=4, nodes=1) == expected


def test_several_nodes_meet_on_the_first(tmp_path, monkeypatch):
    """Of job 60123 on n3 and n4 the first node is n3, and the port is 20000 + 60123 mod 10000."""
    answers = {"squeue": "n[3-4]", "scontrol": "n3\nn4"}
    for program, answer in answers.items():
        script = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho "{answer}"\n'
        (tmp_path / program).write_text(script, encoding="utf-8")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "60123")
    words = command(gpus=4, nodes=2)
    stage = words.index(sys.executable)
    assert words[0] == "srun"
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--gpus-per-node=2"} < set(words[:stage])
    assert words[stage + 1 : stage + 3] == TORCHRUN
    assert {"--nnodes=2", "--rdzv-endpoint=n3:20123", "--rdzv-id=60123"} < set(words[stage:])
    assert words[-5:] == ["--nproc-per-node", "2", *STAGE]
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert asked == ["--noheader --jobs=60123 --format=%N", "show hostnames n[3-4]"]


@pytest.mark.parametrize("gpus", [0, 1, 3])
def test_unequal_nodes_are_refused(gpus):
    with pytest.raises(SettingsError, match=f"{gpus} GPUs can't be divided equally among 2 nodes"):
        command(gpus=gpus, nodes=2)


def test_nodes_without_slurm_are_refused():
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    words = ["--gpus=4", "--nodes=2", "--threads=8", "train_intra"]
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.start_processes", *words],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the resource nodes is 2, but this is not a SLURM job")


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [1, 2])
def test_what_a_process_says_reaches_the_log(gpus):
    words = [f"--gpus={gpus}", "--nodes=1", "--threads=2", "train_intra", "--no-such-option"]
    done = subprocess.run(
        [warm_python(), "-m", "workflow_scripts.start_processes", *words],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHON_EXEC": warm_python()},
    )
    assert done.returncode != 0
    assert "the following arguments are required: --settings" in done.stderr
