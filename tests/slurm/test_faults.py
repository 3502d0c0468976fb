"""Trainings whose jobs are cancelled, requeued, out of time, or on a node that dies end with the bits of a calm one."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from anatomical_embedding.files import sha256_of_file
from tests.integration.tiny_workflow import OVERLAY
from tests.slurm import single_machine
from tests.slurm.cluster_run import (
    ONE_THREAD,
    finish,
    jobs_of,
    output_of,
    run_here,
    running_jobs,
    set_up_cluster,
    start,
    trained,
)

CALM = "calm"
DISTURBED = ("first", "second", "third", "fourth")
"""Models of the same settings; which of them suffers what depends on the node that SLURM chose for it."""
LONGEST_WAIT_SECONDS = 240.0
SAM = OVERLAY["models"]["sam"]
MODEL = SAM | {
    "training": SAM["training"] | {"mix": {"folder_ct": 2}, "num_steps": 60},
}


def initial(model):
    return f"results/models/{model}/untrained.safetensors"


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory):
    """Train one model in peace and four through the cluster, hit each of the four once, and return what hit which."""
    folder = tmp_path_factory.mktemp("faults")
    models = dict.fromkeys((CALM, *DISTURBED), MODEL)
    set_up_cluster(folder, OVERLAY | {"models": models, "evaluations": {}})
    run_here(folder, *ONE_THREAD, "--", trained(CALM), *map(initial, DISTURBED))
    workflow = start(folder, *ONE_THREAD, "--", *map(trained, DISTURBED))
    try:
        hit = hit_each(folder, workflow)
        finish(folder, workflow)
    finally:
        end(folder, workflow)
    return folder, hit


def hit_each(folder, workflow):
    """Stop every training after its first state, disturb each in its way, and return fault -> (model, job)."""
    for model in DISTURBED:
        wait_until(lambda model=model: (states(folder, model) / "state.safetensors").exists(), workflow)
        for process in processes_of(folder, model):
            process.send_signal(signal.SIGSTOP)
    jobs = running_jobs()
    dying = jobs[DISTURBED[0]][1]
    on_dying, elsewhere = (
        [name for name in DISTURBED if (jobs[name][1] == dying) == here] for here in (True, False)
    )
    faults = ("node", "cancelled", "requeued", "time")
    hit = {fault: (model, jobs[model][0]) for fault, model in zip(faults, on_dying + elsewhere, strict=True)}
    output_of("scontrol", "update", f"jobid={hit['time'][1]}", "timelimit=1")
    output_of("scancel", hit["cancelled"][1])
    output_of("scontrol", "requeue", hit["requeued"][1])
    orphans = processes_of(folder, hit["node"][0])
    owner = states(folder, hit["node"][0]) / "owner.json"
    before = owner.read_bytes()
    single_machine.cut_off_node(dying)
    output_of("scontrol", "update", f"nodename={dying}", "state=down", "reason=test")
    start_now(hit["requeued"][1], workflow)
    wait_until(lambda: owner.exists() and owner.read_bytes() != before, workflow)
    wake_up(orphans)
    single_machine.start_node(dying)
    output_of("scontrol", "update", f"nodename={dying}", "state=resume")
    return hit


def wake_up(orphans):
    """Let a training on a dead node go on, which finds that it goes on elsewhere already and stops."""
    for orphan in orphans:
        orphan.send_signal(signal.SIGCONT)
    _, alive = psutil.wait_procs(orphans, timeout=LONGEST_WAIT_SECONDS)
    assert not alive


def start_now(job, workflow):
    """Start a requeued job without the two minutes for which SLURM holds it back."""
    wait_until(
        lambda: output_of("squeue", "--noheader", f"--jobs={job}", "--format=%T") == "PENDING\n", workflow
    )
    output_of("scontrol", "update", f"jobid={job}", "starttime=now")


def states(folder, model):
    return folder / "results" / "models" / model / "state"


def processes_of(folder, model):
    """Return the processes that train a model."""
    return [
        process
        for process, words in processes_in(folder).items()
        if "train_intra" in words and trained(model) in words
    ]


def processes_in(folder):
    """Return process -> words of its command line, of all that run in a folder."""
    found = {}
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder:
                found[process] = process.cmdline()
        except psutil.Error:
            continue
    return found


def wait_until(happened, workflow):
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not happened():
        assert workflow.poll() is None, "the workflow ended"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def end(folder, workflow):
    """Interrupt a workflow that still runs, which cancels its jobs, and end what is left of them."""
    if workflow.poll() is None:
        workflow.send_signal(signal.SIGINT)
        workflow.wait()
    for process in processes_in(folder):
        process.kill()


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("cancelled", "CANCELLED by 0"),
        ("time", "TIMEOUT"),
        ("requeued", "REQUEUED"),
        ("node", "NODE_FAIL"),
    ],
)
def test_the_training_goes_on_and_ends_with_the_same_bits(disturbed, fault, state):
    folder, hit = disturbed
    model, job = hit[fault]
    assert state in [attempt.state for attempt in jobs_of(folder) if attempt.number == job]
    log = (folder / "results" / "logs" / "train_intra" / f"{model}.log").read_text(encoding="utf-8")
    assert "resuming at step" in log
    assert sha256_of_file(folder / trained(model)) == sha256_of_file(folder / trained(CALM))
