"""A training that was killed ends as one that was not."""

import signal
import subprocess
import time

import numpy as np
import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.files import sha256_of_file
from tests.integration.tiny_training import (
    TRAINING,
    initial_weights,
    training_command,
    warm,
    write_blob_volumes,
)

NUM_KILLS = 4


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")
    path = write_blob_volumes(folder)
    initial_weights(folder)
    return path


def run_to_the_end(command):
    return subprocess.run(warm(command), cwd=REPOSITORY, check=True, capture_output=True, encoding="utf-8")


def start(command):
    """Start a training; the few lines that it says fit into a pipe."""
    return subprocess.Popen(warm(command), cwd=REPOSITORY, stderr=subprocess.PIPE, encoding="utf-8")


def kill(process):
    """Kill a training and wait until nothing of it is left."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def time_of_change(path):
    """Return when a file was changed, or None where there is none; a state is away while it is replaced."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def wait_for_next_state(path, process):
    """Wait until a training has saved another state than the one that lies there now."""
    before = time_of_change(path)
    while time_of_change(path) in (None, before):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_training_ends_with_the_same_bits(index, tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    training = TRAINING | {"num_steps": 60}  # 15 saved states
    run_to_the_end(training_command(index, calm, training=training))

    generator = np.random.default_rng(0)
    for _ in range(NUM_KILLS):
        process = start(training_command(index, killed, training=training))
        for _ in range(generator.integers(1, 4)):
            wait_for_next_state(killed / "state" / "state.safetensors", process)
        time.sleep(generator.uniform(0.0, 0.1))
        kill(process)
        assert not list(killed.glob("*.safetensors"))
    final = run_to_the_end(training_command(index, killed, training=training))

    assert "resuming at step" in final.stderr
    assert sha256_of_file(calm / "trained.safetensors") == sha256_of_file(killed / "trained.safetensors")
    steps = [
        line.split(",")[0]
        for line in (killed / "training_log.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert steps == [str(step) for step in range(1, 61)]


@pytest.mark.slow
def test_a_damaged_state_falls_back_to_the_one_before(index, tmp_path):
    training = TRAINING | {"num_steps": 200}
    command = training_command(index, tmp_path, training=training)
    process = start(command)
    previous = tmp_path / "state" / "state.previous.safetensors"
    while not previous.exists():
        assert process.poll() is None
        time.sleep(0.05)
    kill(process)
    current = tmp_path / "state" / "state.safetensors"
    current.write_bytes(previous.read_bytes()[:1000])
    process = start(command)
    lines = [process.stderr.readline() for _ in range(2)]
    kill(process)
    assert "not a readable training state" in lines[0]
    assert "resuming at step" in lines[1]
    assert "state.previous" in lines[1]


@pytest.mark.slow
def test_a_state_of_other_settings_is_not_used(index, tmp_path):
    interrupted = training_command(index, tmp_path, training=TRAINING | {"num_steps": 500})
    process = start(interrupted)
    while not (tmp_path / "state" / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    kill(process)
    result = run_to_the_end(training_command(index, tmp_path, training=TRAINING | {"num_steps": 5}))
    assert "starting again" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mix": {"other": 1}}, "training.mix names ['other']"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"num_steps": 0}, "training.num_steps"),
        ({"speed": 1}, "training.speed: is not a known key"),
        ({"device": "cuda"}, "training.device: is cuda, but no GPU is available"),
    ],
)
def test_bad_settings_are_named(index, tmp_path, change, message):
    result = subprocess.run(
        warm(training_command(index, tmp_path, training=TRAINING | change)),
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.safetensors"))
