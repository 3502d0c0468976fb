"""The cross-entropy of a query's partner against other cells, for many queries at once."""

from typing import Any

import torch


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


def cross_entropy_against_keys(
    scaled: torch.Tensor, partners: torch.Tensor, keys: torch.Tensor, is_excluded: torch.Tensor
) -> torch.Tensor:
    """Return the mean of -log softmax of each query's partner among itself and the keys that are not excluded.

    The same as `cross_entropy_against` of all similarities, but the (K, M) table is written once and read by two
    products on the way back, instead of a dozen tables of its size.

    Parameters
    ----------
    scaled : (K, C) queries, divided by the temperature.
    partners : (K, C).
    keys : (M, C).
    is_excluded : (K, M), keys that do not count for a query.
    """
    return _CrossEntropyAgainstKeys.apply(scaled, partners, keys, is_excluded)


class _CrossEntropyAgainstKeys(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        scaled: torch.Tensor,
        partners: torch.Tensor,
        keys: torch.Tensor,
        is_excluded: torch.Tensor,
    ) -> torch.Tensor:
        positive = (scaled * partners).sum(dim=1)  # (K,)
        weights = (scaled @ keys.T).masked_fill_(is_excluded, -torch.inf)  # (K, M)
        largest = torch.maximum(weights.amax(dim=1), positive)
        weights.sub_(largest[:, None]).exp_()
        positive_weight = torch.exp(positive - largest)
        total = weights.sum(dim=1) + positive_weight
        context.save_for_backward(scaled, partners, keys, weights, positive_weight, total)
        return (total.log() + largest - positive).mean()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scaled, partners, keys, weights, positive_weight, total = context.saved_tensors
        share = gradients[0] / len(scaled)
        of_keys = (share / total)[:, None]
        of_partner = (share * (positive_weight / total - 1.0))[:, None]
        to_queries = (weights @ keys) * of_keys + of_partner * partners
        to_keys = weights.T @ (scaled * of_keys)
        return to_queries, of_partner * scaled, to_keys, None
