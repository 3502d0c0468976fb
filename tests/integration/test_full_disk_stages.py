"""A stage whose disk fills up names the file in one line; with more room a rerun goes on to the same bytes."""

import subprocess

import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.embedding.store import read_origin
from anatomical_embedding.files import sha256_of_file
from tests.integration.tiny_training import (
    INTENSITY,
    TRAINING,
    initial_weights,
    stage_command,
    training_command,
    warm,
    write_blob_volumes,
)
from tests.small_disk import grow, mounted_small_disk

pytestmark = pytest.mark.slow

SHORT = TRAINING | {"num_steps": 6, "state_interval_steps": 2, "keep": "last"}
NUM_VOLUMES = 4
KILOBYTE = 1024
EXIT_USER_ERROR = 2


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Return a folder with a finished training and the embeddings of its volumes."""
    folder = tmp_path_factory.mktemp("calm")
    index = write_blob_volumes(folder, num_volumes=NUM_VOLUMES)
    initial_weights(folder)
    run(training_command(index, folder, training=SHORT), expected=0)
    run(export_command(folder, folder), expected=0)
    return folder


def export_command(folder, output):
    """Return the command that embeds the volumes of a folder and writes below another."""
    settings = {
        "embedding": {
            "precision": "fp32",
            "device": "cpu",
            "memory_limit_mb": 500,
            "with_semantic_map": False,
        },
        "store": {"format": "fp16"},
        "intensity": INTENSITY,
    }
    return stage_command(
        "export_embeddings",
        settings,
        [
            *("--index", f"{folder}/blobs.csv", "--checkpoint", f"{folder}/trained.safetensors"),
            *("--splits", "train", "validation"),
            *("--store-folder", f"{output}/stores", "--output", f"{output}/stores.csv"),
        ],
    )


def run(command, *, expected):
    """Run a stage, which must end with an exit code, and return what it said."""
    done = subprocess.run(warm(command), cwd=REPOSITORY, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == expected, done.stderr
    return done.stderr


def refusal(said):
    """Return the one line that tells the fault."""
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


def size_kilobytes(path):
    return path.stat().st_size // KILOBYTE


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_training_goes_on_from_its_last_whole_state(calm, tmp_path):
    index = calm / "blobs.csv"
    # A state holds the weights three times, with the two moments of AdamW; there is room for one and a half of them.
    room = int(1.5 * 3 * size_kilobytes(calm / "trained.safetensors"))
    with mounted_small_disk(tmp_path, kilobytes=room) as disk:
        command = training_command(index, disk, training=SHORT)
        line = refusal(run(command, expected=EXIT_USER_ERROR))
        assert f"{disk}/state/state.safetensors: there is no room" in line
        assert names_in(disk) == ["state/owner.json", "state/state.safetensors"]
        grow(disk, kilobytes=8 * room)
        assert "resuming at step 2" in run(command, expected=0)
        assert sha256_of_file(disk / "trained.safetensors") == sha256_of_file(calm / "trained.safetensors")


def test_an_export_keeps_the_whole_stores_and_makes_the_others(calm, tmp_path):
    one = size_kilobytes(calm / "stores" / "blob_0.safetensors")
    with mounted_small_disk(tmp_path, kilobytes=int(2.5 * one)) as disk:
        line = refusal(run(export_command(calm, disk), expected=EXIT_USER_ERROR))
        assert f"{disk}/stores/blob_2.safetensors: there is no room" in line
        whole = ["stores/blob_0.safetensors", "stores/blob_1.safetensors"]
        assert names_in(disk) == whole
        for name in whole:
            assert read_origin(disk / name) == read_origin(calm / name)
        grow(disk, kilobytes=10 * one)
        assert f"{NUM_VOLUMES} volumes, 2 of them stored already" in run(
            export_command(calm, disk), expected=0
        )
        for name in ["stores.csv", *(f"stores/blob_{number}.safetensors" for number in range(NUM_VOLUMES))]:
            assert sha256_of_file(disk / name) == sha256_of_file(calm / name)
