"""The contrastive losses of SAM: every query cell against its partner and against hard negatives.

Source: Yan et al., "SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images"
(arXiv 2012.02383). Cells too near to a query are excluded from its negatives; they can never enter, however few
negatives remain. Partners come from the geometry of the views (`patches.positives`), not from a search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch.nn import functional as F

from anatomical_embedding.losses.cross_entropy import cross_entropy_against, cross_entropy_against_keys
from anatomical_embedding.losses.hard_negatives import hardest_columns
from anatomical_embedding.patches.pair_batches import HeadPairs
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.training import CoarseLossSettings, FineLossSettings

QUERIES_AT_ONCE = 64
"""Queries whose similarity to all cells is looked at together."""


@dataclass(frozen=True)
class FineDraws:
    """What is drawn at random for the fine loss of one view pair.

    Attributes
    ----------
    candidates : (M,) cells of both views among which negatives are looked for; None for all of them.
    columns : (n,) ranks, in no order, that are drawn from the pool of the hardest; None for the whole pool.
    """

    candidates: torch.Tensor | None
    columns: torch.Tensor | None


def _draw_fine_negatives(
    pairs: Sequence[HeadPairs],
    *,
    settings: FineLossSettings,
    generator: torch.Generator,
    places: range | None,
    num_places: int | None,
    device: torch.device,
) -> list[FineDraws]:
    """Return the draws of view pairs, on a device.

    The draws of the other places of a larger batch are made and left, so that each pair gets the same draws whoever
    computes it.
    """
    places = places or range(len(pairs))
    num_cells = _num_cells(pairs[0])
    draws = []
    for place in range(num_places or len(pairs)):
        candidates = _draw_subset(num_cells, settings.num_negative_candidates, generator, device)
        num_keys = num_cells if candidates is None else len(candidates)
        columns = _draw_columns(num_keys, settings, generator, device)
        if place in places:
            draws.append(FineDraws(candidates, columns))
    return draws


def fine_contrastive_loss(
    fine: torch.Tensor,
    coarse: torch.Tensor,
    pairs: Sequence[HeadPairs],
    *,
    settings: FineLossSettings,
    generator: torch.Generator,
    places: range | None = None,
    num_places: int | None = None,
) -> torch.Tensor:
    """Return the mean over view pairs of the weighted cross-entropy of partners against hard negatives.

    Negatives are mined by fine plus coarse similarity among the cells of both views, but weighed in the loss by
    their fine similarity alone.

    Parameters
    ----------
    fine : (2B, C, z, y, x) unit vectors of views 1 and 2 of each pair in turn.
    coarse : (2B, C', z', y', x') unit vectors; no gradient flows into them from here.
    pairs : B entries.
    settings : distances, counts and temperature.
    generator : draws candidates and negatives, on the CPU.
    places, num_places : where in a larger batch the pairs stand, when other processes compute the others.
    """
    draws = _draw_fine_negatives(
        pairs,
        settings=settings,
        generator=generator,
        places=places,
        num_places=num_places,
        device=fine.device,
    )
    losses = []
    for number, (pair, drawn) in enumerate(zip(pairs, draws, strict=True)):
        cells = _cells_of_pair(fine, number)  # (2N, C)
        keys = cells if drawn.candidates is None else cells[drawn.candidates]  # (M, C)
        vectors = (cells[pair.query], cells[pair.partner], keys)
        losses.append(_fine_loss_of_pair(vectors, coarse, number, pair, drawn, settings=settings))
    return torch.stack(losses).mean()


def fine_contrastive_loss_of_drawn_cells(
    fine_at: Callable[[torch.Tensor], torch.Tensor],
    coarse: torch.Tensor,
    pairs: Sequence[HeadPairs],
    *,
    settings: FineLossSettings,
    generator: torch.Generator,
    places: range | None = None,
    num_places: int | None = None,
) -> torch.Tensor:
    """Return what `fine_contrastive_loss` returns, from the vectors of those cells alone that it looks at.

    Parameters
    ----------
    fine_at : gives the (N, C) unit vectors of (N,) cells, which count through the views of all pairs in turn.
    coarse, pairs, settings, generator, places, num_places : as there; `num_negative_candidates` is a number.
    """
    draws = _draw_fine_negatives(
        pairs,
        settings=settings,
        generator=generator,
        places=places,
        num_places=num_places,
        device=coarse.device,
    )
    wanted = [
        part + number * _num_cells(pair)
        for number, (pair, drawn) in enumerate(zip(pairs, draws, strict=True))
        for part in (pair.query, pair.partner, cast(torch.Tensor, drawn.candidates))
    ]
    vectors = fine_at(torch.cat(wanted)).split([len(part) for part in wanted])
    losses = [
        _fine_loss_of_pair(
            vectors[3 * number : 3 * number + 3], coarse, number, pair, drawn, settings=settings
        )
        for number, (pair, drawn) in enumerate(zip(pairs, draws, strict=True))
    ]
    return torch.stack(losses).mean()


def _fine_loss_of_pair(
    vectors: tuple[torch.Tensor, ...],
    coarse: torch.Tensor,
    number: int,
    pair: HeadPairs,
    drawn: FineDraws,
    *,
    settings: FineLossSettings,
) -> torch.Tensor:
    """Return the weighted loss of one pair from the vectors of its queries, partners and possible negatives."""
    query, partner, keys = vectors
    if settings.num_negatives >= len(keys):
        is_ignored = _is_near(pair, slice(None), drawn.candidates, distance_mm=settings.ignore_distance_mm)
        loss = cross_entropy_against_keys(query / settings.temperature, partner, keys, is_ignored)
        return pair.weight * loss
    size = pair.size[::-1]
    upsampled = _upsampled_cells_of_pair(coarse, number, size=size)  # (2N, C')
    chosen, is_missing = _hard_negatives(query, keys, upsampled, pair, drawn, settings=settings)
    similarity = torch.einsum("kc,knc->kn", query, F.embedding(chosen, keys))
    negatives = similarity.masked_fill(is_missing, -torch.inf)
    positive = (query * partner).sum(dim=1)
    return pair.weight * cross_entropy_against(positive, negatives, temperature=settings.temperature)


def coarse_contrastive_loss(
    coarse: torch.Tensor,
    pairs: Sequence[HeadPairs],
    *,
    settings: CoarseLossSettings,
    generator: torch.Generator,
    places: range | None = None,
    num_places: int | None = None,
    processes: Processes = ALONE,
) -> torch.Tensor:
    """Return the mean over view pairs of the weighted cross-entropy on the coarse head.

    Negatives are hard ones of both views and random cells of the other pairs in the batch. A batch of one pair has
    no others; it uses its own negatives alone.

    Parameters
    ----------
    coarse : (2B, C', z', y', x') unit vectors of views 1 and 2 of each pair in turn.
    pairs : B entries.
    settings : distances, counts and temperature.
    generator : draws negatives, on the CPU.
    places, num_places : as in `fine_contrastive_loss`.
    processes : whose pairs count as others; alone, only those given here do.
    """
    places = places or range(len(pairs))
    num_places = num_places or len(pairs)
    own = torch.stack([_cells_of_pair(coarse, number) for number in range(len(pairs))])  # (B, 2N', C')
    if processes.total > 1:
        cells = dict(enumerate(processes.gather(own, places, count=num_places)))
    else:
        cells = dict(zip(places, own, strict=True))
    num_cells = own.shape[1]
    pair_at = dict(zip(places, pairs, strict=True))
    num_strangers = (len(cells) - 1) * num_cells if settings.num_other_negatives else 0
    losses = []
    for place in range(num_places):
        columns = _draw_columns(num_cells, settings, generator, own.device)
        drawn = None
        if num_strangers:
            drawn = _draw_subset(num_strangers, settings.num_other_negatives, generator, own.device)
        if place not in pair_at:
            continue  # its draws are made and left, so that each pair gets the same ones whoever computes it
        pair, keys = pair_at[place], cells[place]
        is_excluded = _excluded_of_own(pair, keys, columns, settings=settings)
        everything = keys
        if num_strangers:
            strangers = torch.cat([other for at, other in cells.items() if at != place])
            everything = torch.cat([keys, strangers if drawn is None else strangers[drawn]])
            is_excluded = F.pad(is_excluded, (0, len(everything) - num_cells))
        loss = cross_entropy_against_keys(
            keys[pair.query] / settings.temperature, keys[pair.partner], everything, is_excluded
        )
        losses.append(pair.weight * loss)
    return torch.stack(losses).mean()


def _excluded_of_own(
    pair: HeadPairs, keys: torch.Tensor, columns: torch.Tensor | None, *, settings: CoarseLossSettings
) -> torch.Tensor:
    """Return (K, 2N') which cells of a pair are no negatives of its queries: near ones, and those that are not hard.

    Parameters
    ----------
    keys : (2N', C') vectors of the cells.
    columns : (n,) ranks that are drawn from the pool of the hardest; None for the whole pool.
    """
    is_excluded = _is_near(pair, slice(None), None, distance_mm=settings.ignore_distance_mm)
    if settings.num_negatives >= len(keys):
        return is_excluded
    score = (keys[pair.query] @ keys.T).detach().masked_fill_(is_excluded, -torch.inf)
    hardest = hardest_columns(score, pool=min(settings.hard_negative_pool, len(keys)))
    chosen = hardest if columns is None else hardest[:, columns]
    return is_excluded | torch.ones_like(is_excluded).scatter_(1, chosen, False)


@torch.no_grad()
def _hard_negatives(
    vectors: torch.Tensor,
    keys: torch.Tensor,
    upsampled: torch.Tensor,
    pair: HeadPairs,
    drawn: FineDraws,
    *,
    settings: FineLossSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (K, n) numbers of candidates, drawn from the hardest of each query, and (K, n) which are not negatives.

    One draw serves all queries. Queries pass in blocks, so that the scores of a block stay in the processor's cache.

    Parameters
    ----------
    vectors : (K, C) of the queries.
    keys : (M, C) of the candidates.
    upsampled : (2N, C') coarse vectors of all cells.
    pair, drawn, settings : of the pair.
    """
    mining_keys = upsampled if drawn.candidates is None else upsampled[drawn.candidates]
    pool = min(settings.hard_negative_pool, len(keys))
    chosen, is_missing = [], []
    for block in range(0, len(pair.query), QUERIES_AT_ONCE):
        part = slice(block, block + QUERIES_AT_ONCE)
        query = pair.query[part]
        # Few queries against many cells: this order of the product is twice as fast as its transpose.
        score = torch.addmm(
            keys @ vectors[part].T, mining_keys, upsampled[query].T
        ).T.contiguous()  # (block, M)
        score[_is_near(pair, part, drawn.candidates, distance_mm=settings.ignore_distance_mm)] = -torch.inf
        columns = hardest_columns(score, pool=pool)
        columns = columns if drawn.columns is None else columns[:, drawn.columns]
        chosen.append(columns)
        is_missing.append(score.gather(1, columns) == -torch.inf)
    return torch.cat(chosen), torch.cat(is_missing)


def _num_cells(pair: HeadPairs) -> int:
    """Return the number of cells of both views."""
    return 2 * prod(pair.size)


def _cells_of_pair(maps: torch.Tensor, number: int) -> torch.Tensor:
    """Return the (2N, C) vectors of both views of one pair."""
    return maps[2 * number : 2 * number + 2].flatten(2).transpose(1, 2).flatten(0, 1)


def _upsampled_cells_of_pair(maps: torch.Tensor, number: int, *, size: Sequence[int]) -> torch.Tensor:
    """Return the (2N, C) vectors of both views brought to a finer grid and made unit again."""
    views = maps[2 * number : 2 * number + 2].detach().float()
    # With channels innermost the interpolation runs along whole vectors, and its result needs no rearrangement.
    views = views.contiguous(memory_format=torch.channels_last_3d)
    upsampled = F.interpolate(views, size=tuple(size), mode="trilinear", align_corners=False)
    cells = upsampled.flatten(2).transpose(1, 2).flatten(0, 1)
    return F.normalize(cells, dim=1, out=cells)


def _draw_columns(
    num_keys: int,
    settings: FineLossSettings | CoarseLossSettings,
    generator: torch.Generator,
    device: torch.device,
) -> torch.Tensor | None:
    """Return which ranks of the pool of the hardest keys are negatives, or None for the whole pool."""
    if settings.num_negatives >= num_keys:
        return None
    pool = min(settings.hard_negative_pool, num_keys)
    return _draw_subset(pool, settings.num_negatives, generator, device)


def _draw_subset(
    total: int, wanted: int | None, generator: torch.Generator, device: torch.device
) -> torch.Tensor | None:
    """Return `wanted` of the numbers below `total`, or None where that is all of them."""
    if wanted is None or wanted >= total:
        return None
    return torch.randperm(total, generator=generator)[:wanted].to(device)


def _is_near(
    pair: HeadPairs, queries: slice, candidates: torch.Tensor | None, *, distance_mm: float
) -> torch.Tensor:
    """Return (K, M) whether a candidate (None: every cell) is near to some of the queries, or is their partner."""
    query, partner = pair.query[queries], pair.partner[queries]
    num_cells = _num_cells(pair)
    cells = torch.arange(num_cells, device=query.device) if candidates is None else candidates
    own, other = _cell_positions(pair, query), _cell_positions(pair, cells)
    # |a - b|^2 as one product of (K, 5) and (5, M).
    left = torch.cat([-2.0 * own, own.square().sum(dim=1, keepdim=True), torch.ones_like(own[:, :1])], dim=1)
    right = torch.cat([other, torch.ones_like(other[:, :1]), other.square().sum(dim=1, keepdim=True)], dim=1)
    # One column more stands for the queries and partners that are no candidates.
    is_near = query.new_empty(len(query), len(cells) + 1, dtype=torch.bool)
    torch.lt(left @ right.T, distance_mm**2, out=is_near[:, :-1])
    column_of = query.new_full((num_cells,), len(cells)).index_copy_(
        0, cells, torch.arange(len(cells), device=query.device)
    )
    is_near.scatter_(1, column_of[torch.stack([query, partner], dim=1)], True)
    return is_near[:, :-1]


def _cell_positions(pair: HeadPairs, flat: torch.Tensor) -> torch.Tensor:
    """Return (N, 3) mm of cells counted through view 1 and then view 2."""
    size_x, size_y, size_z = pair.size
    within = flat % (size_x * size_y * size_z)
    cells = torch.stack(
        [within % size_x, within // size_x % size_y, within // (size_x * size_y)], dim=1
    ).float()
    first, second = (cells @ matrix[:3, :3].T + matrix[:3, 3] for matrix in pair.cells_mm)
    return torch.where((flat < size_x * size_y * size_z)[:, None], first, second)
