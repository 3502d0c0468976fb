"""Every kind of output is readable as the user's umask says: colleagues on a shared disk read weights and stores."""

import json
import os

import pytest
import torch

from anatomical_embedding.files import folder_written_atomically
from anatomical_embedding.points.points_file import write_point_table
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.training.resume_state import TrainingProgress, save_state
from tests.packaged_model import usage_sections
from tests.unit.test_full_disk import WRITERS, a_checkpoint
from workflow_scripts import package_model


@pytest.fixture(params=[0o022, 0o007], ids=["all may read", "the group may write"])
def expected_mode(request):
    """Set a umask, and return the mode that files have under it."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def modes_below(folder):
    """Return the modes of all files below a folder, by their names."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def write_state(path):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for step in (1, 2):  # the one before stays beside it
        save_state(
            path,
            fingerprint="f",
            progress=TrainingProgress(step=step),
            best_weights=network.state_dict(),
            network=network,
            optimizer=optimizer,
            scaler=scaler,
        )


def write_package(path):
    a_checkpoint(path.with_name("trained.safetensors"))
    checkpoint = ["--checkpoint", str(path.with_name("trained.safetensors"))]
    settings = ["--settings", json.dumps(usage_sections()), "--name", "a", "--modality", "ct"]
    package_model.main([*settings, *checkpoint, "--output", str(path)])


def write_folder(path):
    with folder_written_atomically(path) as folder:
        write_markups([[1.0, 2.0, 3.0]], ["a"], folder / "a.mrk.json")


MORE_WRITERS = [
    ("state", write_state),
    ("package.safetensors", write_package),
    ("markups", write_folder),
    ("points.csv", lambda path: write_point_table([[1.0, 2.0, 3.0]], ["a"], path, coordinates="ras")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"), [*WRITERS, *MORE_WRITERS], ids=[name for name, _ in [*WRITERS, *MORE_WRITERS]]
)
def test_files_are_readable_as_the_umask_says(tmp_path, expected_mode, name, write):
    write(tmp_path / name)
    modes = modes_below(tmp_path)
    assert modes
    assert set(modes.values()) == {expected_mode}
