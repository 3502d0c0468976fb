"""Several processes that divide every batch give the weights that one process gives."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.patches.batch_mix import BatchMix
from anatomical_embedding.processes import Processes
from tests.integration.tiny_training import (
    TRAINING,
    initial_weights,
    training_command,
    warm,
    write_blob_volumes,
)
from tests.integration.warm_servers import warm_python

NUM_STEPS = 20
TOLERANCE = 1e-5
SGD = {"name": "sgd", "learning_rate": 0.0001, "momentum": 0.9, "weight_decay": 0.0001}
ALL_NEGATIVES = {"hard_negative_pool": 100000, "num_negatives": 100000}
"""A draw from the hardest depends on the order of nearly equal similarities, so the last bit would decide it."""
THREE_PAIRS = TRAINING | {
    "mix": {"blobs": 3},
    "num_steps": NUM_STEPS,
    "optimizer": SGD,
    "keep": "last",
    "state_interval_steps": 2,
    "fine_loss": TRAINING["fine_loss"] | ALL_NEGATIVES,
    "coarse_loss": TRAINING["coarse_loss"] | ALL_NEGATIVES,
}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")
    path = write_blob_volumes(folder)
    initial_weights(folder)
    return path


def command_of_processes(command, *, num_processes):
    """Return a stage's command line as torchrun starts it."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes), "-m"]
    return [sys.executable, "-m", *launcher, *command[2:]]


def environment():
    """Return the environment in which torchrun starts processes that need not load their libraries."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHON_EXEC": warm_python()}


def train(index, folder, *, training, num_processes):
    command = training_command(index, folder, training=training)
    command = (
        command_of_processes(command, num_processes=num_processes) if num_processes > 1 else warm(command)
    )
    done = subprocess.run(
        command, cwd=REPOSITORY, check=False, capture_output=True, encoding="utf-8", env=environment()
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / "trained.safetensors")


def read_losses(path):
    return [float(line.split(",")[1]) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def largest_difference(first, second):
    """Return the largest difference of weights, in units of the largest number of its tensor where that is above 1."""
    assert first.keys() == second.keys()
    return max(
        (
            (first[name].double() - second[name].double()).abs().max()
            / first[name].double().abs().max().clamp(1)
        ).item()
        for name in first
    )


@pytest.fixture(scope="module")
def two_processes(index, tmp_path_factory):
    """Return the folder of a training by two processes, whose parts of three pairs are unequal, and its weights."""
    folder = tmp_path_factory.mktemp("two")
    return folder, train(index, folder, training=THREE_PAIRS, num_processes=2)


@pytest.mark.slow
def test_two_processes_equal_one(index, two_processes, tmp_path):
    one = train(index, tmp_path, training=THREE_PAIRS, num_processes=1)
    folder, two = two_processes
    first = load_file(index.parent / "untrained.safetensors")
    moved = {name: one[name] for name in one if name.endswith("weight")}
    assert largest_difference(moved, {name: first[name] for name in moved}) > 100 * TOLERANCE
    assert largest_difference(one, two) < TOLERANCE
    losses = [read_losses(path / "training_log.csv") for path in (tmp_path, folder)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


@pytest.mark.slow
def test_without_sharing_the_weights_differ(index, tmp_path):
    """Statistics and negatives of each process alone, as published, are another training."""
    apart = THREE_PAIRS | {
        "processes": {"synchronised_batch_norm": False, "negatives_from_other_processes": False},
        "num_steps": 5,
    }
    one = train(index, tmp_path / "one", training=apart, num_processes=1)
    two = train(index, tmp_path / "two", training=apart, num_processes=2)
    assert largest_difference(one, two) > 100 * TOLERANCE


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_rerun_goes_on(index, two_processes, tmp_path):
    _, calm = two_processes
    command = training_command(index, tmp_path, training=THREE_PAIRS)
    command = command_of_processes(command, num_processes=2)
    launcher = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, env=environment())
    while not (tmp_path / "state" / "state.safetensors").exists():
        assert launcher.poll() is None
        time.sleep(0.02)
    ranks = [
        child
        for child in psutil.Process(launcher.pid).children()
        if "--local" not in " ".join(child.cmdline())
    ]
    os.kill(ranks[-1].pid, signal.SIGKILL)
    launcher.communicate(timeout=60)  # until its processes have ended as well
    assert launcher.returncode != 0
    assert not any(rank.is_running() for rank in ranks)
    assert not (tmp_path / "trained.safetensors").exists()
    rerun = train(index, tmp_path, training=THREE_PAIRS, num_processes=2)
    assert largest_difference(calm, rerun) == 0


@pytest.mark.slow
def test_more_processes_than_pairs_are_refused(index, tmp_path):
    training = THREE_PAIRS | {"mix": {"blobs": 1}}
    command = command_of_processes(training_command(index, tmp_path, training=training), num_processes=2)
    done = subprocess.run(
        command, cwd=REPOSITORY, check=False, capture_output=True, encoding="utf-8", env=environment()
    )
    assert done.returncode != 0
    assert "a batch of 1 pairs cannot be divided among 2 processes" in done.stderr


@pytest.mark.parametrize("num_processes", [1, 2, 3, 4])
def test_parts_are_disjoint_and_complete(num_processes):
    """Every epoch of a data set shows every volume once, whatever the number of processes."""
    mix = BatchMix({"a": 12, "b": 7}, mix={"a": 3, "b": 2}, seed=5)
    seen = []
    for step in range(4):  # one epoch of `a`
        slots = mix.batch(step)
        parts = [Processes(number, num_processes).places(len(slots)) for number in range(num_processes)]
        assert sorted(place for part in parts for place in part) == list(range(len(slots)))
        seen += [slots[place].volume_index for part in parts for place in part if slots[place].dataset == "a"]
    assert sorted(seen) == list(range(12))


def test_alone_nothing_is_exchanged():
    tensor = torch.ones(3)
    assert Processes(0, 1).sum(tensor) is tensor
