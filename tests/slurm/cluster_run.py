"""Runs of the workflow through the cluster profile, and what SLURM says of their jobs."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.integration.tiny_workflow import set_up, write_overlay

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
IMPATIENT = ("--slurm-init-seconds-before-status-checks", "6", "--latency-wait", "10")
ONE_THREAD = ("--set-threads", "train_intra=1")
"""More threads in a process would add up in another order, and the last bits of the weights would differ."""


@dataclass(frozen=True)
class Job:
    """One line of `sacct`: a job, or one of its attempts.

    Attributes
    ----------
    number : of the job; a job that was requeued keeps it.
    state : such as COMPLETED, or CANCELLED by 0.
    partition, granted, rules : where it ran, with which resources, and Snakemake's comment of rule and wildcards.
    """

    number: str
    state: str
    partition: str
    granted: str
    rules: str


def set_up_cluster(folder: Path, overlay: dict) -> None:
    """Copy the sources and profiles into a folder, with scans and a run file beside them."""
    set_up(folder)
    shutil.copytree(REPOSITORY / "profiles", folder / "profiles")
    write_overlay(folder, overlay)


def set_stage(folder: Path, line: str) -> None:
    """Give a stage another line of resources than in the delivered profile; the command line would replace them all."""
    profile = REPOSITORY / "profiles" / "slurm" / "config.yaml"
    stage = line.strip().partition(":")[0]
    text, num_lines = re.subn(
        rf"^  {stage}: \{{.*gpu: 1\}}$", line, profile.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert num_lines == 1
    (folder / "profiles" / "slurm" / "config.yaml").write_text(text, encoding="utf-8")


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start the workflow through the cluster profile; what it says goes to `said.txt`."""
    return _start(folder, "--profile", "profiles/slurm", *IMPATIENT, *arguments)


def _start(folder: Path, *arguments: str) -> subprocess.Popen:
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        return subprocess.Popen(
            [*SNAKEMAKE, "--configfile", "overlay.yaml", *arguments],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def finish(folder: Path, process: subprocess.Popen) -> str:
    """Wait for a workflow, check that it ended well, and return what it said."""
    code = process.wait()
    said = (folder / "said.txt").read_text(encoding="utf-8")
    assert code == 0, said[-5000:]
    return said


def run(folder: Path, *arguments: str) -> str:
    """Run the workflow through the cluster profile and return what it said."""
    return finish(folder, start(folder, *arguments))


def run_here(folder: Path, *arguments: str) -> str:
    """Run the workflow without a cluster and return what it said."""
    return finish(folder, _start(folder, "--cores", "2", *arguments))


def trained(model: str) -> str:
    """Return the checkpoint of a model that is trained."""
    return f"results/models/{model}/trained.safetensors"


def jobs_of(folder: Path) -> list[Job]:
    """Return all attempts of all jobs that were submitted from a folder."""
    fields = "JobID,State,Partition,AllocTRES,Comment,WorkDir"
    lines = output_of("sacct", "-X", "-n", "-P", "--duplicates", "-o", fields).splitlines()
    rows = [line.split("|") for line in lines]
    return [Job(*row[:-1]) for row in rows if Path(row[-1]) == folder]


def running_jobs() -> dict[str, tuple[str, str]]:
    """Return model -> (number, node) of the trainings that run now."""
    lines = output_of("squeue", "--noheader", "--states=RUNNING", "--format=%i|%N|%k").splitlines()
    rows = [line.split("|") for line in lines]
    return {
        found[1]: (number, node)
        for number, node, comment in rows
        if (found := re.search(r"train_intra_wildcards_(\w+)", comment))
    }


def output_of(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
