"""The contrastive losses of SAM: every query cell against its partner and against hard negatives.

Source: Yan et al., "SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images"
(arXiv 2012.02383). Cells too near to a query are excluded from its negatives; they can never enter, however few
negatives remain. Partners come from the geometry of the views (`patches.positives`), not from a search.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch.nn import functional as F

from anatomical_embedding.losses.hard_negatives import hardest_columns
from anatomical_embedding.patches.pair_batches import HeadPairs
from anatomical_embedding.processes import ALONE, Processes
from anatomical_embedding.settings.training import CoarseLossSettings, FineLossSettings

QUERIES_AT_ONCE = 64
"""Queries whose similarity to all cells is looked at together."""


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
    places, num_places : where in a larger batch the pairs stand, when other processes compute the others. The
        draws of the others are made and left, so that each pair gets the same draws whoever computes it.
    """
    pair_at = dict(zip(places or range(len(pairs)), range(len(pairs)), strict=True))
    num_cells = 2 * fine[0, 0].numel()
    losses = []
    for place in range(num_places or len(pairs)):
        candidates = _draw_subset(num_cells, settings.num_negative_candidates, generator, fine.device)
        if place not in pair_at:
            num_keys = num_cells if candidates is None else len(candidates)
            _skip_hard_negatives(num_keys, settings=settings, generator=generator)
            continue
        number, pair = pair_at[place], pairs[pair_at[place]]
        cells = _cells_of_pair(fine, number)  # (2N, C)
        keys = cells if candidates is None else cells[candidates]  # (M, C)
        if settings.num_negatives >= len(keys):
            is_ignored = _is_near(pair, slice(None), candidates, distance_mm=settings.ignore_distance_mm)
            negatives = (cells[pair.query] @ keys.T).masked_fill(is_ignored, -torch.inf)
        else:
            upsampled = _upsampled_cells_of_pair(coarse, number, size=fine.shape[2:])  # (2N, C')
            chosen, is_missing = _hard_negatives(
                cells, upsampled, pair, candidates, settings=settings, generator=generator
            )
            similarity = torch.einsum("kc,knc->kn", cells[pair.query], F.embedding(chosen, keys))
            negatives = similarity.masked_fill(is_missing, -torch.inf)
        positive = (cells[pair.query] * cells[pair.partner]).sum(dim=1)
        loss = cross_entropy_against(positive, negatives, temperature=settings.temperature)
        losses.append(pair.weight * loss)
    return torch.stack(losses).mean()


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
    losses = []
    for place in range(num_places):
        if place not in pair_at:
            _skip_hard_negatives(num_cells, settings=settings, generator=generator)
            if len(cells) > 1 and settings.num_other_negatives:
                _draw_subset(
                    (len(cells) - 1) * num_cells, settings.num_other_negatives, generator, own.device
                )
            continue
        pair, keys = pair_at[place], cells[place]
        similarity = keys[pair.query] @ keys.T  # (K, 2N')
        is_ignored = _is_near(pair, slice(None), None, distance_mm=settings.ignore_distance_mm)
        negatives = similarity.masked_fill(is_ignored, -torch.inf)
        if settings.num_negatives < len(keys):
            hardest = hardest_columns(negatives.detach(), pool=min(settings.hard_negative_pool, len(keys)))
            columns = _draw_subset(hardest.shape[1], settings.num_negatives, generator, keys.device)
            negatives = negatives.gather(1, hardest if columns is None else hardest[:, columns])
        others = [other for at, other in cells.items() if at != place]
        if others and settings.num_other_negatives:
            strangers = torch.cat(others)
            drawn = _draw_subset(len(strangers), settings.num_other_negatives, generator, keys.device)
            strangers = strangers if drawn is None else strangers[drawn]
            negatives = torch.cat([negatives, keys[pair.query] @ strangers.T], dim=1)
        positive = (keys[pair.query] * keys[pair.partner]).sum(dim=1)
        loss = cross_entropy_against(positive, negatives, temperature=settings.temperature)
        losses.append(pair.weight * loss)
    return torch.stack(losses).mean()


def cross_entropy_against(
    positive: torch.Tensor, negatives: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Return the mean of -log softmax of the positive among itself and the negatives.

    Parameters
    ----------
    positive : (K,) similarities.
    negatives : (K, M) similarities; -inf where a place is empty.
    temperature : divides all similarities.

    Examples
    --------
    >>> round(cross_entropy_against(torch.zeros(1), torch.zeros(1, 1), temperature=1.0).item(), 4)
    0.6931
    """
    logits = torch.cat([positive[:, None], negatives], dim=1).float() / temperature
    return (torch.logsumexp(logits, dim=1) - logits[:, 0]).mean()


@torch.no_grad()
def _hard_negatives(
    cells: torch.Tensor,
    upsampled: torch.Tensor,
    pair: HeadPairs,
    candidates: torch.Tensor | None,
    *,
    settings: FineLossSettings,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (K, n) numbers of candidates, drawn from the hardest of each query, and (K, n) which are not negatives.

    One draw serves all queries. Queries pass in blocks, so that the scores of a block stay in the processor's cache.
    """
    keys, mining_keys = (rows if candidates is None else rows[candidates] for rows in (cells, upsampled))
    pool = min(settings.hard_negative_pool, len(keys))
    places = _draw_subset(pool, settings.num_negatives, generator, cells.device)
    chosen, is_missing = [], []
    for block in range(0, len(pair.query), QUERIES_AT_ONCE):
        part = slice(block, block + QUERIES_AT_ONCE)
        query = pair.query[part]
        # Few queries against many cells: this order of the product is twice as fast as its transpose.
        score = torch.addmm(
            keys @ cells[query].T, mining_keys, upsampled[query].T
        ).T.contiguous()  # (block, M)
        score[_is_near(pair, part, candidates, distance_mm=settings.ignore_distance_mm)] = -torch.inf
        columns = hardest_columns(score, pool=pool)
        columns = columns if places is None else columns[:, places]
        chosen.append(columns)
        is_missing.append(score.gather(1, columns) == -torch.inf)
    return torch.cat(chosen), torch.cat(is_missing)


def _skip_hard_negatives(
    num_columns: int, *, settings: FineLossSettings | CoarseLossSettings, generator: torch.Generator
) -> None:
    """Make the draw of hard negatives of a pair that another process computes."""
    if settings.num_negatives < num_columns:
        pool = min(settings.hard_negative_pool, num_columns)
        _draw_subset(pool, settings.num_negatives, generator, generator.device)


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
    if candidates is None:
        candidates = torch.arange(2 * prod(pair.size), device=query.device)
    is_near = torch.cdist(_cell_positions(pair, query), _cell_positions(pair, candidates)) < distance_mm
    return is_near | (candidates[None] == partner[:, None]) | (candidates[None] == query[:, None])


def _cell_positions(pair: HeadPairs, flat: torch.Tensor) -> torch.Tensor:
    """Return (N, 3) mm of cells counted through view 1 and then view 2."""
    size_x, size_y, size_z = pair.size
    view = flat // (size_x * size_y * size_z)
    within = flat % (size_x * size_y * size_z)
    cells = torch.stack(
        [within % size_x, within // size_x % size_y, within // (size_x * size_y)], dim=1
    ).float()
    matrices = pair.cells_mm[view]  # (N, 4, 4)
    return torch.einsum("nij,nj->ni", matrices[:, :3, :3], cells) + matrices[:, :3, 3]
