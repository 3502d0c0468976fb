"""Trainings of several processes through the profile, set as its comments and docs/scaling.md say."""

import re

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import sha256_of_file
from tests.integration.tiny_workflow import OVERLAY, write_scan
from tests.slurm.cluster_run import ONE_THREAD, jobs_of, run, run_here, set_stage, set_up_cluster, trained

NUM_SCANS = 6
SAM = OVERLAY["models"]["sam"]
MODEL = SAM | {
    "training": SAM["training"] | {"mix": {"folder_ct": 4}, "num_steps": 10},
}
MODELS = ("two", "two_here", "four", "four_here")


@pytest.fixture(scope="module")
def prepared(slurm, tmp_path_factory):
    """Prepare the volumes and train with two and with four processes on this machine."""
    folder = tmp_path_factory.mktemp("processes")
    set_up_cluster(folder, OVERLAY | {"models": dict.fromkeys(MODELS, MODEL), "evaluations": {}})
    for number in range(NUM_SCANS):
        write_scan(folder / "scans" / f"scan_{number}.nii.gz", seed=number)
    first_weights = [f"results/models/{model}/untrained.safetensors" for model in MODELS]
    run_here(
        folder, *ONE_THREAD, "--set-resources", "train_intra:gpu=2", "--", trained("two_here"), *first_weights
    )
    run_here(folder, *ONE_THREAD, "--set-resources", "train_intra:gpu=4", "--", trained("four_here"))
    return folder


def documented_line(words):
    """Return the line of train_intra in docs/scaling.md that has these words."""
    text = (REPOSITORY / "docs" / "scaling.md").read_text(encoding="utf-8")
    lines = re.findall(r"^  train_intra: .*$", text, flags=re.MULTILINE)
    return next(line for line in lines if words in line)


def granted(folder, model):
    """Return the resources of the job that trained a model, which ended well at its first attempt.

    Not counted is that SLURM calls a node failed that could not answer as the job was to begin, and begins it again.
    """
    attempts = [
        job for job in jobs_of(folder) if job.rules.endswith(f"_{model}") and job.state != "NODE_FAIL"
    ]
    said = (folder / "said.txt").read_text(encoding="utf-8")
    assert [job.state for job in attempts] == ["COMPLETED"], f"{attempts}\n{said}"
    return dict(entry.split("=") for entry in attempts[0].granted.split(","))


def test_two_gpus_of_one_node(prepared):
    set_stage(prepared, documented_line("gpu: 4}").replace("gpu: 4", "gpu: 2"))
    run(prepared, *ONE_THREAD, "--", trained("two"))
    resources = granted(prepared, "two")
    assert (resources["node"], resources["gres/gpu"]) == ("1", "2")
    assert sha256_of_file(prepared / trained("two")) == sha256_of_file(prepared / trained("two_here"))


def test_two_gpus_of_each_of_two_nodes(prepared):
    set_stage(prepared, documented_line("nodes: 2"))
    run(prepared, *ONE_THREAD, "--", trained("four"))
    resources = granted(prepared, "four")
    assert (resources["node"], resources["gres/gpu"]) == ("2", "4")
    assert sha256_of_file(prepared / trained("four")) == sha256_of_file(prepared / trained("four_here"))
