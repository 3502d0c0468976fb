"""The prototype loss of SAM++: the cells of an organ gather round their mean vector, in both volumes of a pair.

Source: Bai et al., "UAE: Universal Anatomical Embedding on Multi-modality Medical Images" (arXiv 2311.15111). For every
label c with prototype P_c (the mean of its vectors) the loss is the mean over its cells i of
`log sum_j exp(P_c . F_j / T) - P_c . F_i / T`, where j runs over all cells, also those without a label. The mean of the
second term is `|P_c|^2 / T`, so only the sums are computed, in float32 and streamed over the cells: the matrix of
labels times cells is never held.
"""

from typing import Any

import torch
from torch import Tensor

from anatomical_embedding.processes import ALONE, Processes

CELLS_AT_ONCE = 16384


def prototype_loss(
    vectors: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    num_sampled_cells: int | None,
    generator: torch.Generator,
    processes: Processes = ALONE,
) -> Tensor:
    """Return the mean over the labels that are there of the loss of their prototypes; 0 where there is none.

    Parameters
    ----------
    vectors : (N, C) unit vectors of all cells of both volumes, any float type.
    labels : (N,) integers; 0 is no organ.
    temperature : divides the similarities.
    num_sampled_cells : cells at random that stand for all in the sums, which keep their expectation; None for all.
        Prototypes are always means over all their cells.
    generator : draws the cells, on the CPU.
    processes : whose cells count as if they stood here; every process gets the loss of all of them.

    Notes
    -----
    float32 throughout; memory is one block of 16384 cells times labels beyond inputs and gradients.
    """
    vectors = vectors.float()
    num_labels = processes.largest(int(labels.max()), device=labels.device) + 1
    counts = processes.sum(torch.bincount(labels, minlength=num_labels).float())
    sums = torch.zeros(num_labels, vectors.shape[1], device=vectors.device).index_add(0, labels, vectors)
    is_present = counts > 0
    is_present[0] = False
    prototypes = processes.sum(sums)[is_present] / counts[is_present, None]
    if not len(prototypes):
        return vectors.sum() * 0.0
    cells, surplus = vectors, 0.0
    if num_sampled_cells is not None and num_sampled_cells < len(vectors):
        drawn = torch.randperm(len(vectors), generator=generator)[:num_sampled_cells].to(vectors.device)
        cells = vectors[drawn]
        surplus = torch.log(torch.tensor(len(vectors) / num_sampled_cells)).item()
    logarithms = _LogSumExp.apply(prototypes / temperature, cells) + surplus
    if processes.total > 1:
        bound = (prototypes.detach().norm(dim=1) / temperature) + surplus  # no similarity is larger
        logarithms = bound + torch.log(processes.sum(torch.exp(logarithms - bound)))
    return (logarithms - prototypes.square().sum(dim=1) / temperature).mean()


class _LogSumExp(torch.autograd.Function):
    """(G,) `log sum_j exp(queries_g . cells_j)` in blocks of cells, computed again on the way back."""

    @staticmethod
    def forward(context: Any, queries: Tensor, cells: Tensor) -> Tensor:
        with torch.autocast(queries.device.type, enabled=False):
            blocks = [torch.logsumexp(queries @ block.T, dim=1) for block in cells.split(CELLS_AT_ONCE)]
            sums = torch.logsumexp(torch.stack(blocks), dim=0)
        context.save_for_backward(queries, cells, sums)
        return sums

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        queries, cells, sums = context.saved_tensors
        to_queries, to_cells = torch.zeros_like(queries), torch.empty_like(cells)
        with torch.autocast(queries.device.type, enabled=False):
            for start in range(0, len(cells), CELLS_AT_ONCE):
                part = slice(start, start + CELLS_AT_ONCE)
                weights = (queries @ cells[part].T).sub_(sums[:, None]).exp_().mul_(gradients[0][:, None])
                to_queries += weights @ cells[part]
                to_cells[part] = weights.T @ queries
        return to_queries, to_cells
