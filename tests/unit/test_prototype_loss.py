"""Tests of anatomical_embedding.losses.prototype."""

import numpy as np
import pytest
import torch

from anatomical_embedding.losses.prototype import prototype_loss
from tests.reference.peak_memory import PeakMemory
from tests.reference.prototype_loop import prototype_loss_by_loops

TEMPERATURE = 0.1


def unit_vectors(num_cells, num_channels=6, *, seed=0, dtype=torch.float32):
    vectors = torch.randn(num_cells, num_channels, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=1).to(dtype)


def loss_of(vectors, labels, *, num_sampled_cells=None, seed=0):
    return prototype_loss(
        vectors,
        labels,
        temperature=TEMPERATURE,
        num_sampled_cells=num_sampled_cells,
        generator=torch.Generator().manual_seed(seed),
    )


CASES = {
    "three labels": [0, 1, 1, 2, 3, 3, 0, 2, 1, 0],
    "a label in one volume alone": [0, 1, 1, 0, 1, 0, 1, 4, 4, 0],
    "labels of one voxel": [0, 0, 7, 0, 0, 0, 9, 0, 0, 0],
    "no cell without a label": [1, 1, 1, 1, 1, 2, 2, 2, 2, 2],
}


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-5), (torch.float16, 1e-5)]
)
def test_loss_is_that_of_the_loop(labels, dtype, tolerance):
    vectors = unit_vectors(len(labels), dtype=dtype)
    expected = prototype_loss_by_loops(vectors.double().numpy(), np.array(labels), temperature=TEMPERATURE)
    assert loss_of(vectors, torch.tensor(labels)).item() == pytest.approx(
        expected, rel=tolerance, abs=tolerance
    )


def test_gradient_is_that_of_the_whole_matrix():
    """Also through the prototypes; blocks do not show."""
    labels = torch.randint(0, 5, (40_000,), generator=torch.Generator().manual_seed(1))
    vectors = unit_vectors(40_000).double().requires_grad_()
    prototypes = torch.stack([vectors[labels == label].mean(dim=0) for label in range(1, 5)])
    logits = prototypes @ vectors.T / TEMPERATURE
    expected = (logits.logsumexp(dim=1) - (prototypes**2).sum(dim=1) / TEMPERATURE).mean()
    (wanted,) = torch.autograd.grad(expected, vectors)
    ours = unit_vectors(40_000).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(ours, labels), ours)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-9)


def test_volumes_without_organs_give_zero_and_a_gradient():
    vectors = unit_vectors(10).requires_grad_()
    loss = loss_of(vectors, torch.zeros(10, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert not vectors.grad.any()


def test_sampled_sums_keep_their_expectation():
    labels = torch.randint(0, 3, (600,), generator=torch.Generator().manual_seed(3))
    vectors = unit_vectors(600)
    whole = loss_of(vectors, labels).item()
    drawn = [loss_of(vectors, labels, num_sampled_cells=150, seed=seed).item() for seed in range(300)]
    standard_error = np.std(drawn) / np.sqrt(len(drawn))
    # The logarithm of an unbiased sum lies below by half its relative variance, which is that of a draw.
    assert abs(np.mean(drawn) - whole) < 4 * standard_error + np.var(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_million_equal_cells_do_not_overflow_and_half_the_matrix_is_enough(dtype):
    """All cells alike: the softmax is 1 / N for each, so the loss is log N."""
    num_cells, num_labels = 1_000_000, 104
    labels = torch.arange(num_cells) % (num_labels + 1)
    vectors = torch.zeros(num_cells, 4, dtype=dtype)
    vectors[:, 0] = 1.0
    vectors.requires_grad_()
    loss_of(vectors[:20_000], labels[:20_000]).backward()  # what the libraries take at their first use
    vectors.grad = None
    with PeakMemory() as peak:
        loss = loss_of(vectors, labels)
        loss.backward()
    assert loss.item() == pytest.approx(np.log(num_cells), rel=1e-4)
    assert torch.isfinite(vectors.grad).all()
    assert peak() <= 0.5 * 4 * num_cells * num_labels
