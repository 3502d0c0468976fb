"""Batches of every kind tell a loader how they are pinned; without a GPU nothing can be, so pinning is noted here."""

import pytest
import torch

from anatomical_embedding.patches.pair_batches import PairBatch
from anatomical_embedding.patches.registered_batches import RegisteredBatch
from anatomical_embedding.patches.semantic_batches import LabelledCrop, SemanticBatch


@pytest.fixture
def pinned(monkeypatch):
    noted = []

    def pin(tensor):
        noted.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    return noted


def pair_batch(value):
    return PairBatch(
        torch.full((2, 1, 4, 4, 4), float(value)), fine=[], coarse=[], places=range(1), num_places=3
    )


def test_patches_of_views_are_pinned(pinned):
    batch = pair_batch(1)
    moved = batch.pin_memory()
    assert [tensor is batch.patches for tensor in pinned] == [True]
    assert torch.equal(moved.patches, batch.patches)
    assert (moved.places, moved.share) == (batch.places, batch.share)


@pytest.mark.parametrize("has_intra", [True, False])
def test_patches_of_registered_pairs_are_pinned(pinned, has_intra):
    batch = RegisteredBatch(pair_batch(1) if has_intra else None, pair_batch(2))
    moved = batch.pin_memory()
    assert sorted(tensor.max().item() for tensor in pinned) == ([1.0, 2.0] if has_intra else [2.0])
    assert (moved.intra is not None) == has_intra
    assert torch.equal(moved.inter.patches, batch.inter.patches)


def test_crops_and_their_labels_are_pinned(pinned):
    crops = [LabelledCrop(torch.zeros(1, 1, 2, 2, 2), torch.arange(8)) for _ in range(2)]
    moved = SemanticBatch(crops, share=0.5).pin_memory()
    assert len(pinned) == 4
    assert moved.share == 0.5
    assert torch.equal(moved.crops[1].labels, torch.arange(8))
