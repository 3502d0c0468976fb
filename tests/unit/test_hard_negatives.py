"""The hardest negatives against a full sort."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from anatomical_embedding.losses.hard_negatives import hardest_columns


def hardest_by_sorting(score, *, pool):
    """Return (K, pool) the highest scores of each row, ascending."""
    return np.sort(score.double().numpy(), axis=1)[:, -pool:]


def assert_hardest(score, *, pool):
    columns = hardest_columns(score, pool=pool)
    assert columns.shape == (len(score), pool)
    assert all(len(set(row.tolist())) == pool for row in columns)
    found = np.sort(score.gather(1, columns).double().numpy(), axis=1)
    np.testing.assert_array_equal(found, hardest_by_sorting(score, pool=pool))


@settings(max_examples=30)
@given(
    seed=strategies.integers(0, 10_000),
    num_columns=strategies.integers(100, 20_000),
    share=strategies.floats(0.001, 1.0),
    ignored=strategies.floats(0.0, 0.95),
)
def test_they_are_those_of_a_full_sort(seed, num_columns, share, ignored):
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(5, num_columns, generator=generator)
    score[torch.rand(5, num_columns, generator=generator) < ignored] = -torch.inf
    assert_hardest(score, pool=max(1, int(share * num_columns)))


@pytest.mark.parametrize("pool", [1, 40, 400])
def test_equal_scores_fill_the_pool_once(pool):
    assert_hardest(torch.ones(3, 20_000), pool=pool)


def test_a_misleading_sample_still_gives_the_hardest():
    """Every fourth column is looked at, and those hold the best: the guessed threshold leaves too few columns."""
    score = torch.rand(2, 16_384, generator=torch.Generator().manual_seed(2))
    score[:, ::4] += 10.0
    assert_hardest(score, pool=500)


def test_a_row_of_ignored_cells_alone_is_no_obstacle():
    score = torch.randn(3, 9000, generator=torch.Generator().manual_seed(1))
    score[1] = -torch.inf
    assert_hardest(score, pool=100)
