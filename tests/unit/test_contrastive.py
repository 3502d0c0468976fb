"""SAM's losses against loops in double precision."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from anatomical_embedding.losses.contrastive import (
    coarse_contrastive_loss,
    fine_contrastive_loss,
    fine_contrastive_loss_of_drawn_cells,
)
from anatomical_embedding.losses.cross_entropy import cross_entropy_against
from anatomical_embedding.patches.pair_batches import HeadPairs
from anatomical_embedding.settings.training import CoarseLossSettings, FineLossSettings
from tests.reference.contrastive_loop import cell_vector, contrastive_loss_of_pair, position_mm

FINE_SIZE = (5, 4, 3)
COARSE_SIZE = (3, 2, 2)


def fine_settings(**changes):
    values = {
        "positive_distance_mm": 2.0,
        "ignore_distance_mm": 9.0,
        "num_candidates": 50,
        "num_positives": 10,
        "is_limited_to_body": False,
        "num_negative_candidates": None,
        "hard_negative_pool": 20,
        "num_negatives": 20,
        "temperature": 0.5,
    }
    return FineLossSettings(**(values | changes))


def coarse_settings(**changes):
    values = {
        "positive_distance_mm": 25.0,
        "positive_distance_z_mm": 6.0,
        "ignore_distance_mm": 15.0,
        "hard_negative_pool": 8,
        "num_negatives": 8,
        "num_other_negatives": 1000,
        "temperature": 0.5,
    }
    return CoarseLossSettings(**(values | changes))


def unit_maps(seed, *, pairs, channels, size):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2 * pairs, channels, *size[::-1], generator=generator)
    return F.normalize(maps, dim=1)


def head_pairs(seed, *, size, spacing_mm, num_pairs):
    generator = np.random.default_rng(seed)
    num_cells = int(np.prod(size))
    first = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    second = first.copy()
    second[:3, 3] = generator.uniform(-5, 5, 3)
    query = generator.integers(0, num_cells, num_pairs)
    return HeadPairs(
        query=torch.from_numpy(query),
        partner=torch.from_numpy(generator.integers(num_cells, 2 * num_cells, num_pairs)),
        cells_mm=torch.from_numpy(np.stack([first, second])).float(),
        size=size,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fine_loss_equals_loop(seed):
    fine = unit_maps(seed, pairs=2, channels=6, size=FINE_SIZE)
    coarse = unit_maps(seed + 10, pairs=2, channels=4, size=COARSE_SIZE)
    pairs = [head_pairs(seed + number, size=FINE_SIZE, spacing_mm=4.0, num_pairs=7) for number in range(2)]
    loss = fine_contrastive_loss(
        fine, coarse, pairs, settings=fine_settings(), generator=torch.Generator().manual_seed(0)
    )
    expected = np.mean(
        [
            contrastive_loss_of_pair(
                fine[2 * number : 2 * number + 2].numpy(),
                pairs[number],
                mining_maps=coarse[2 * number : 2 * number + 2].numpy(),
                ignore_distance_mm=9.0,
                num_negatives=20,
                temperature=0.5,
                others=[],
            )
            for number in range(2)
        ]
    )
    assert loss.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("num_pairs", [1, 3])
def test_coarse_loss_equals_loop(num_pairs):
    coarse = unit_maps(5, pairs=num_pairs, channels=4, size=COARSE_SIZE)
    pairs = [
        head_pairs(number, size=COARSE_SIZE, spacing_mm=20.0, num_pairs=5) for number in range(num_pairs)
    ]
    loss = coarse_contrastive_loss(
        coarse, pairs, settings=coarse_settings(), generator=torch.Generator().manual_seed(0)
    )
    cells = coarse.flatten(2).transpose(1, 2).reshape(num_pairs, -1, 4).numpy()
    expected = np.mean(
        [
            contrastive_loss_of_pair(
                coarse[2 * number : 2 * number + 2].numpy(),
                pairs[number],
                mining_maps=None,
                ignore_distance_mm=15.0,
                num_negatives=8,
                temperature=0.5,
                others=np.concatenate(
                    [cells[other] for other in range(num_pairs) if other != number] or [np.zeros((0, 4))]
                ),
            )
            for number in range(num_pairs)
        ]
    )
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_coarse_negatives_are_drawn_from_the_pool_of_the_hardest():
    """Of eight any three are in the sum, by the draw: less than all eight, and at most what the three hardest make."""
    coarse = unit_maps(6, pairs=1, channels=4, size=COARSE_SIZE)
    pairs = [head_pairs(6, size=COARSE_SIZE, spacing_mm=20.0, num_pairs=5)]

    def loss(num_negatives, pool, seed=0):
        settings = coarse_settings(hard_negative_pool=pool, num_negatives=num_negatives)
        generator = torch.Generator().manual_seed(seed)
        return coarse_contrastive_loss(coarse, pairs, settings=settings, generator=generator).item()

    drawn = [loss(3, 8, seed) for seed in range(6)]
    assert len(set(drawn)) > 1
    assert max(drawn) < loss(8, 8)
    assert max(drawn) <= loss(3, 3) + 1e-6


def test_two_processes_draw_the_negatives_of_the_coarse_loss_as_one_does():
    coarse = unit_maps(41, pairs=2, channels=4, size=COARSE_SIZE)
    pairs = [head_pairs(number, size=COARSE_SIZE, spacing_mm=20.0, num_pairs=5) for number in range(2)]
    settings = coarse_settings(hard_negative_pool=16, num_other_negatives=5)
    of_batch = coarse.flatten(2).transpose(1, 2).reshape(2, -1, 4)
    both = SimpleNamespace(total=2, gather=lambda own, places, count: list(of_batch))

    def loss(chosen, **shared):
        generator = torch.Generator().manual_seed(3)
        part = coarse[2 * chosen.start : 2 * chosen.stop]
        return coarse_contrastive_loss(
            part, pairs[chosen], settings=settings, generator=generator, **shared
        ).item()

    apart = [
        loss(slice(place, place + 1), places=range(place, place + 1), num_places=2, processes=both)
        for place in range(2)
    ]
    assert np.mean(apart) == pytest.approx(loss(slice(0, 2)), abs=1e-6)


def test_views_that_share_nothing_use_each_cell_as_its_own_partner():
    fine = unit_maps(3, pairs=1, channels=6, size=FINE_SIZE)
    pair = head_pairs(3, size=FINE_SIZE, spacing_mm=4.0, num_pairs=6)
    pair = HeadPairs(query=pair.query, partner=pair.query, cells_mm=pair.cells_mm, size=pair.size)
    coarse = unit_maps(4, pairs=1, channels=4, size=COARSE_SIZE)
    loss = fine_contrastive_loss(
        fine, coarse, [pair], settings=fine_settings(), generator=torch.Generator().manual_seed(0)
    )
    expected = contrastive_loss_of_pair(
        fine.numpy(),
        pair,
        mining_maps=coarse.numpy(),
        ignore_distance_mm=9.0,
        num_negatives=20,
        temperature=0.5,
        others=[],
    )
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_gradient_equals_finite_difference():
    fine = unit_maps(7, pairs=1, channels=3, size=(2, 2, 2)).double().requires_grad_()
    coarse = unit_maps(8, pairs=1, channels=3, size=(2, 2, 2))
    pair = head_pairs(1, size=(2, 2, 2), spacing_mm=10.0, num_pairs=3)
    settings = fine_settings(num_negatives=16, hard_negative_pool=16)

    def loss_of(maps):
        return fine_contrastive_loss(
            maps, coarse.double(), [pair], settings=settings, generator=torch.Generator().manual_seed(0)
        )

    (gradient,) = torch.autograd.grad(loss_of(fine), fine)
    step = torch.zeros_like(fine)
    step[0, 1, 0, 1, 1] = 1e-3
    with torch.no_grad():
        slope = (loss_of(fine + step) - loss_of(fine - step)) / 2e-3
    assert gradient[0, 1, 0, 1, 1].item() == pytest.approx(slope.item(), abs=1e-3)


def test_ignored_cells_do_not_enter_even_where_few_others_remain():
    """All cells lie within 1000 mm: no negative remains, so nothing is left to tell apart."""
    fine = unit_maps(9, pairs=1, channels=6, size=FINE_SIZE)
    coarse = unit_maps(10, pairs=1, channels=4, size=COARSE_SIZE)
    pair = head_pairs(9, size=FINE_SIZE, spacing_mm=4.0, num_pairs=6)
    settings = fine_settings(ignore_distance_mm=1000.0)
    loss = fine_contrastive_loss(
        fine, coarse, [pair], settings=settings, generator=torch.Generator().manual_seed(0)
    )
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_gradient_of_mined_negatives_equals_that_of_all_when_the_pool_is_everything():
    """Without ignored cells, 118 mined of 120 cells are all but the query and its partner."""
    fine = unit_maps(11, pairs=1, channels=6, size=FINE_SIZE).requires_grad_()
    coarse = unit_maps(12, pairs=1, channels=4, size=COARSE_SIZE)
    pair = head_pairs(11, size=FINE_SIZE, spacing_mm=4.0, num_pairs=6)
    gradients = []
    for count in (118, 120):
        settings = fine_settings(ignore_distance_mm=0.0, hard_negative_pool=count, num_negatives=count)
        loss = fine_contrastive_loss(
            fine, coarse, [pair], settings=settings, generator=torch.Generator().manual_seed(0)
        )
        gradients.append(torch.autograd.grad(loss, fine)[0])
    torch.testing.assert_close(*gradients)


def test_cross_entropy_by_hand():
    positive = torch.tensor([1.0])
    negatives = torch.tensor([[0.0, -torch.inf]])
    # -log(e^2 / (e^2 + e^0)) with temperature 0.5
    assert cross_entropy_against(positive, negatives, temperature=0.5).item() == pytest.approx(
        np.log(1 + np.exp(-2.0)), abs=1e-6
    )


@pytest.mark.parametrize("ignore_distance_mm", [0.0, 9.0])
def test_fine_loss_among_drawn_candidates_equals_loop(ignore_distance_mm):
    """With all candidates as negatives each query is told from those that are far, and are not it nor its partner."""
    fine = unit_maps(21, pairs=1, channels=6, size=FINE_SIZE)
    pair = head_pairs(21, size=FINE_SIZE, spacing_mm=4.0, num_pairs=9)
    settings = fine_settings(
        num_negative_candidates=70,
        num_negatives=70,
        hard_negative_pool=70,
        ignore_distance_mm=ignore_distance_mm,
    )
    coarse = unit_maps(22, pairs=1, channels=4, size=COARSE_SIZE)
    loss = fine_contrastive_loss(
        fine, coarse, [pair], settings=settings, generator=torch.Generator().manual_seed(3)
    )
    drawn = torch.randperm(120, generator=torch.Generator().manual_seed(3))[:70].tolist()
    assert set(drawn) & set(pair.query.tolist())  # some queries are candidates
    assert set(drawn) & set(pair.partner.tolist())

    def similarity(one, other):
        maps = fine.numpy()
        return cell_vector(maps, one, size=FINE_SIZE) @ cell_vector(maps, other, size=FINE_SIZE)

    def distance(one, other):
        places = [position_mm(cell, size=FINE_SIZE, cells_mm=pair.cells_mm) for cell in (one, other)]
        return np.linalg.norm(places[0] - places[1])

    losses = []
    for query, partner in zip(pair.query.tolist(), pair.partner.tolist(), strict=True):
        negatives = [
            similarity(query, cell)
            for cell in drawn
            if distance(query, cell) >= ignore_distance_mm and cell not in (query, partner)
        ]
        logits = np.array([similarity(query, partner), *negatives]) / 0.5
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.parametrize("num_negatives", [70, 12], ids=["all candidates", "mined"])
@pytest.mark.parametrize("places", [range(0, 3), range(1, 3, 2)], ids=["whole batch", "one of two processes"])
def test_vectors_of_drawn_cells_give_the_loss_and_gradient_of_whole_maps(num_negatives, places):
    settings = fine_settings(num_negative_candidates=70, num_negatives=num_negatives, hard_negative_pool=70)
    count = len(places)
    fine = unit_maps(31, pairs=count, channels=6, size=FINE_SIZE).requires_grad_()
    coarse = unit_maps(32, pairs=count, channels=4, size=COARSE_SIZE)
    pairs = [head_pairs(number, size=FINE_SIZE, spacing_mm=4.0, num_pairs=7) for number in range(count)]
    asked = []

    def fine_at(cells):
        asked.append(cells)
        return fine.permute(0, 2, 3, 4, 1).flatten(0, 3)[cells]

    results = []
    for loss_of, source in (
        (fine_contrastive_loss, fine),
        (fine_contrastive_loss_of_drawn_cells, fine_at),
    ):
        loss = loss_of(
            source,
            coarse,
            pairs,
            settings=settings,
            generator=torch.Generator().manual_seed(4),
            places=places,
            num_places=3,
        )
        results.append((loss, *torch.autograd.grad(loss, fine)))
    torch.testing.assert_close(results[0], results[1])
    assert [len(cells) for cells in asked] == [count * (70 + 7 + 7)]


def test_gradients_to_all_inputs_equal_finite_differences():
    """Queries, partners, own keys and keys of other pairs, in double precision."""
    coarse = unit_maps(41, pairs=2, channels=3, size=(2, 2, 1)).double().requires_grad_()
    pairs = [head_pairs(number, size=(2, 2, 1), spacing_mm=20.0, num_pairs=3) for number in range(2)]
    settings = coarse_settings(num_negatives=5, hard_negative_pool=5)

    def loss_of(maps):
        return coarse_contrastive_loss(
            maps, pairs, settings=settings, generator=torch.Generator().manual_seed(0)
        )

    assert torch.autograd.gradcheck(loss_of, coarse, eps=1e-6, atol=1e-6)
