"""One place chooses where to compute."""

import pytest
import torch

from anatomical_embedding.devices import choose_device
from anatomical_embedding.errors import SettingsError


@pytest.mark.parametrize(
    ("has_gpu", "name", "expected"),
    [
        (True, "auto", "cuda:2"),
        (True, "cuda", "cuda:2"),
        (True, "cpu", "cpu"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
)
def test_every_process_takes_the_gpu_of_its_own(monkeypatch, has_gpu, name, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert choose_device(name, key="training.device") == torch.device(expected)


def test_a_gpu_that_is_not_there_is_named_with_its_key(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"^training\.device: is cuda, but no GPU is available here"):
        choose_device("cuda", key="training.device")
