"""The contrastive losses of SAM: every query cell against its partner and against hard negatives.

Source: Yan et al., "SAM: Self-supervised Learning of Pixel-wise Anatomical Embeddings in Radiological Images"
(arXiv 2012.02383). Cells too near to a query are excluded from its negatives; they can never enter, however few
negatives remain. Partners come from the geometry of the views (`patches.positives`), not from a search.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from anatomical_embedding.patches.pair_batches import HeadPairs
from anatomical_embedding.settings.training import CoarseLossSettings, FineLossSettings


def fine_contrastive_loss(
    fine: torch.Tensor,
    coarse: torch.Tensor,
    pairs: Sequence[HeadPairs],
    *,
    settings: FineLossSettings,
    generator: torch.Generator,
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
    """
    losses = []
    for number, pair in enumerate(pairs):
        keys = _cells_of_pair(fine, number)  # (2N, C)
        with torch.no_grad():
            candidates = _draw_subset(len(keys), settings.num_negative_candidates, generator, keys.device)
            upsampled = _upsampled_cells_of_pair(coarse, number, size=fine.shape[2:])  # (2N, C')
            mining = upsampled[pair.query] @ upsampled[candidates].T  # (K, M)
            is_ignored = _is_near(pair, candidates, distance_mm=settings.ignore_distance_mm)
        similarity = keys[pair.query] @ keys[candidates].T  # (K, M)
        chosen = choose_hard_negatives(
            similarity.detach() + mining,
            is_ignored,
            pool=settings.hard_negative_pool,
            num_negatives=settings.num_negatives,
            generator=generator,
        )
        negatives = similarity.masked_fill(is_ignored, -torch.inf)
        negatives = negatives if chosen is None else negatives.gather(1, chosen)
        positive = (keys[pair.query] * keys[pair.partner]).sum(dim=1)
        loss = cross_entropy_against(positive, negatives, temperature=settings.temperature)
        losses.append(pair.weight * loss)
    return torch.stack(losses).mean()


def coarse_contrastive_loss(
    coarse: torch.Tensor,
    pairs: Sequence[HeadPairs],
    *,
    settings: CoarseLossSettings,
    generator: torch.Generator,
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
    """
    cells = [_cells_of_pair(coarse, number) for number in range(len(pairs))]
    losses = []
    for number, pair in enumerate(pairs):
        keys = cells[number]
        similarity = keys[pair.query] @ keys.T  # (K, 2N')
        is_ignored = _is_near(
            pair, torch.arange(len(keys), device=keys.device), distance_mm=settings.ignore_distance_mm
        )
        chosen = choose_hard_negatives(
            similarity.detach(),
            is_ignored,
            pool=settings.hard_negative_pool,
            num_negatives=settings.num_negatives,
            generator=generator,
        )
        negatives = similarity.masked_fill(is_ignored, -torch.inf)
        negatives = negatives if chosen is None else negatives.gather(1, chosen)
        others = [other for place, other in enumerate(cells) if place != number]
        if others and settings.num_other_negatives:
            strangers = torch.cat(others)
            drawn = _draw_subset(len(strangers), settings.num_other_negatives, generator, keys.device)
            negatives = torch.cat([negatives, keys[pair.query] @ strangers[drawn].T], dim=1)
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


def choose_hard_negatives(
    score: torch.Tensor,
    is_ignored: torch.Tensor,
    *,
    pool: int,
    num_negatives: int,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """Return the columns of negatives: `num_negatives` at random among the `pool` of highest score.

    Parameters
    ----------
    score : (K, M) how hard a negative is.
    is_ignored : (K, M) cells that may not be negatives.
    pool, num_negatives : how many to keep and to draw.
    generator : draws from the pool, one draw for all queries, on the CPU.

    Returns
    -------
    (K, num_negatives) columns, or None where every column is to be used.
    """
    num_columns = score.shape[1]
    if num_negatives >= num_columns:
        return None
    pool = min(pool, num_columns)
    hardest = score.masked_fill(is_ignored, -torch.inf).topk(pool, dim=1, sorted=False).indices
    return hardest[:, _draw_subset(pool, num_negatives, generator, score.device)]


def _cells_of_pair(maps: torch.Tensor, number: int) -> torch.Tensor:
    """Return the (2N, C) vectors of both views of one pair."""
    return maps[2 * number : 2 * number + 2].flatten(2).transpose(1, 2).flatten(0, 1)


def _upsampled_cells_of_pair(maps: torch.Tensor, number: int, *, size: Sequence[int]) -> torch.Tensor:
    """Return the (2N, C) vectors of both views brought to a finer grid and made unit again."""
    views = maps[2 * number : 2 * number + 2].float()
    upsampled = F.interpolate(views, size=tuple(size), mode="trilinear", align_corners=False)
    return F.normalize(upsampled, dim=1).flatten(2).transpose(1, 2).flatten(0, 1)


def _draw_subset(
    total: int, wanted: int | None, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Return `wanted` of the numbers below `total`, or all of them in order."""
    if wanted is None or wanted >= total:
        return torch.arange(total, device=device)
    return torch.randperm(total, generator=generator)[:wanted].to(device)


def _is_near(pair: HeadPairs, candidates: torch.Tensor, *, distance_mm: float) -> torch.Tensor:
    """Return (K, M) whether a candidate lies within a distance of a query, or is its partner."""
    query_mm = _cell_positions(pair, pair.query)
    candidate_mm = _cell_positions(pair, candidates)
    is_near = torch.cdist(query_mm, candidate_mm) < distance_mm
    return is_near | (candidates[None] == pair.partner[:, None]) | (candidates[None] == pair.query[:, None])


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
