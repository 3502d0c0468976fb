"""Checkpoints: written and read back whole, and every wrong file told apart."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.networks.checkpoint import (
    HEADER_KEY,
    initialise_from_file,
    load_checkpoint,
    read_checkpoint_settings,
    save_checkpoint,
)
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from tests.reference.small_networks import network_with_statistics, small_published_settings

THREE_HEADS = small_published_settings()
TWO_HEADS = small_published_settings(has_semantic_head=False)
METADATA = {"training": {"steps": 3}, "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0]}}


@pytest.fixture
def saved(tmp_path):
    """Return a checkpoint and the network in it."""
    network = network_with_statistics(THREE_HEADS)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, metadata=METADATA)
    return path, network


def test_network_and_metadata_come_back(saved):
    path, network = saved
    loaded, metadata = load_checkpoint(path)
    assert metadata == METADATA
    assert loaded.settings == THREE_HEADS
    assert not loaded.training
    assert read_checkpoint_settings(path) == (THREE_HEADS, METADATA)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_equal_content_gives_equal_bytes_and_nothing_else_is_left(saved, tmp_path):
    path, network = saved
    again = tmp_path / "again" / "model.safetensors"
    save_checkpoint(again, network, metadata=dict(reversed(METADATA.items())))
    assert again.read_bytes() == path.read_bytes()
    assert [entry.name for entry in again.parent.iterdir()] == ["model.safetensors"]


def rewrite(path, *, header=None, weights=None):
    """Write a checkpoint again with another header or other weights."""
    old = load_file(path)
    if header is None:
        header = {"format": 1, "network": THREE_HEADS.model_dump(mode="json"), "metadata": {}}
    save_file(old if weights is None else weights(old), path, metadata={HEADER_KEY: json.dumps(header)})


def test_another_format_is_refused(saved):
    path, _ = saved
    rewrite(path, header={"format": 2})
    with pytest.raises(InputFileError, match="has checkpoint format 2, this version reads format 1"):
        load_checkpoint(path)


def test_bad_network_settings_are_refused(saved):
    path, _ = saved
    rewrite(path, header={"format": 1, "network": {"stem_channels": 4}})
    for read in (load_checkpoint, read_checkpoint_settings):
        with pytest.raises(InputFileError, match="has no valid network settings"):
            read(path)


def test_missing_tensor_is_named(saved):
    path, _ = saved
    rewrite(path, weights=lambda old: {n: t for n, t in old.items() if n != "neck.fpn_convs.0.conv.bias"})
    with pytest.raises(InputFileError, match=r"1 tensors are missing, .* neck\.fpn_convs\.0\.conv\.bias"):
        load_checkpoint(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputFileError, match="no such file"):
        load_checkpoint(path)
    path.write_bytes(b"PK this is a .pth file in truth")
    with pytest.raises(InputFileError, match="anatomical-embedding import"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputFileError, match="is not a checkpoint of this project"):
        load_checkpoint(path)


def test_truncated_file_is_refused(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputFileError, match="is not a model: it is no safetensors file, or is cut short"):
        load_checkpoint(path)


def test_network_of_another_width_is_refused_and_left_alone(saved):
    path, _ = saved
    network = EmbeddingNetwork(small_published_settings(width=6))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(
        InputFileError,
        match=r"backbone\.conv1\.conv\.weight has shape \[4, 1, 3, 7, 7\], the network expects \[6, 1, ",
    ):
        initialise_from_file(network, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_training_on_may_add_or_drop_the_semantic_head(saved, tmp_path):
    path, three_heads = saved
    two_heads = EmbeddingNetwork(TWO_HEADS)
    initialise_from_file(two_heads, path)
    weights = three_heads.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in two_heads.state_dict().items())

    save_checkpoint(tmp_path / "two.safetensors", two_heads, metadata={})
    grown = network_with_statistics(THREE_HEADS, seed=1)
    fresh_head = grown.semantic_head.last_convolution.weight.clone()
    initialise_from_file(grown, tmp_path / "two.safetensors")
    assert torch.equal(grown.neck.last_convolution.weight, three_heads.neck.last_convolution.weight)
    assert torch.equal(grown.semantic_head.last_convolution.weight, fresh_head)
