"""The state of a training on disk: a byte that changed is noticed, wherever it lies."""

import json
import struct

import pytest
import torch

from anatomical_embedding.training.resume_state import (
    CURRENT_NAME,
    PREVIOUS_NAME,
    TrainingProgress,
    load_state,
    save_state,
)


class Training:
    """A network of a few numbers in two formats, and what trains it."""

    def __init__(self):
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1).to(torch.bfloat16))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler(enabled=False)

    def step(self):
        """Move every weight."""
        for parameter in self.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()

    def save(self, folder, *, step):
        """Write the state of a step; its weights are the best ones."""
        weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        progress = TrainingProgress(step=step, best_error=0.5, training_rows=[{"loss": 0.25}])
        save_state(folder, fingerprint="f", progress=progress, best_weights=weights, **vars(self))

    def load(self, folder):
        """Take the newest state that can be read."""
        return load_state(folder, fingerprint="f", **vars(self))


@pytest.fixture
def states(tmp_path):
    """Return a folder with the states after one and two steps."""
    torch.manual_seed(0)
    training = Training()
    for step in (1, 2):
        training.step()
        training.save(tmp_path, step=step)
    return tmp_path


def test_a_state_comes_back_as_it_was(states):
    loaded, again = Training(), states / "again"
    progress, best = loaded.load(states)
    assert (progress.step, progress.best_error, progress.training_rows) == (2, 0.5, [{"loss": 0.25}])
    again.mkdir()
    save_state(again, fingerprint="f", progress=progress, best_weights=best, **vars(loaded))
    assert (again / CURRENT_NAME).read_bytes() == (states / CURRENT_NAME).read_bytes()


def places_of(path):
    """Return the places of bytes of the logs in the header, and of every tensor, in a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    return {"logs": content.index(b"0.25") + 3} | {
        name: 8 + length + entry["data_offsets"][0] for name, entry in header.items()
    }


def test_a_changed_byte_is_noticed_and_the_state_before_taken(states, capsys):
    current = states / CURRENT_NAME
    content = current.read_bytes()
    places = places_of(current)
    assert {name.split(".")[0] for name in places} == {"logs", "network", "optimizer", "best"}
    for name, place in places.items():
        current.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        progress, _ = Training().load(states)
        said = capsys.readouterr().err
        assert f"{current}: is damaged" in said, name
        assert progress.step == 1
        assert PREVIOUS_NAME in said


def test_no_damaged_state_is_used(states, capsys):
    for path in (states / CURRENT_NAME, states / PREVIOUS_NAME):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 128]))
    progress, best = Training().load(states)
    assert (progress, best) == (TrainingProgress(), None)
    assert capsys.readouterr().err.count("is damaged") == 2
