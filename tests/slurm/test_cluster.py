"""The workflow through the cluster profile, on a real SLURM on this machine."""

import re

import pytest

from tests.integration.tiny_workflow import OVERLAY
from tests.slurm.cluster_run import jobs_of, run, set_stage, set_up_cluster

NUM_VOLUMES = 7
EXPORT_BY = "  export_embeddings: {{slurm_partition: gpu, gpu: {}}}"


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    phantoms = OVERLAY["datasets"]["phantom_ct"] | {
        "num_subjects": 4,
        "split": {"num_test": 2, "num_validation": 1, "seed": 1},
    }
    evaluation = OVERLAY["evaluations"]["phantom_ct"] | {"baselines": []}
    set_up_cluster(
        folder,
        OVERLAY
        | {
            "datasets": OVERLAY["datasets"] | {"phantom_ct": phantoms},
            "evaluations": OVERLAY["evaluations"] | {"phantom_ct": evaluation},
        },
    )
    set_stage(folder, EXPORT_BY.format(2))
    run(folder)
    return folder


def test_it_ends_with_a_report(finished):
    assert (finished / "results" / "report.html").exists()


def test_stages_get_what_they_ask_for(finished):
    jobs = jobs_of(finished)
    for job in jobs:
        needs_gpu = bool(re.search("train_|export_", job.rules))
        assert job.partition == ("gpu" if needs_gpu else "cpu"), job
        num_gpus = 2 if "export_" in job.rules else int(needs_gpu)
        assert (f"gres/gpu={num_gpus}" in job.granted) == needs_gpu, job
    prepared = [job for job in jobs if "prepare" in job.rules]
    assert 1 <= len(prepared) < NUM_VOLUMES


def test_an_export_is_divided_among_its_gpus(finished):
    log = finished / "results" / "logs" / "export_embeddings" / "sam" / "trained" / "phantom_ct.log"
    assert log.read_text(encoding="utf-8").count("embedding volumes: ") == 2


def test_a_second_run_submits_nothing_whatever_the_number_of_gpus(finished):
    set_stage(finished, EXPORT_BY.format(1))
    before = len(jobs_of(finished))
    assert "Nothing to be done" in run(finished)
    assert len(jobs_of(finished)) == before
