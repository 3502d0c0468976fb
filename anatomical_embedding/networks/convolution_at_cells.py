"""A convolution at some cells of its output alone: for losses that look at few cells of a map."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def convolution_at_cells(features: Tensor, weight: Tensor, bias: Tensor, cells: Tensor) -> Tensor:
    """Return (N, C') what a convolution with "same" padding and stride 1 gives at some cells.

    Parameters
    ----------
    features : (B, C, z, y, x).
    weight : (C', C, k, k, k) of an odd size k.
    bias : (C',).
    cells : (N,) positions that count through the maps of the batch, each in (z, y, x) order; they may repeat.

    Notes
    -----
    In the precision of the features; the way back adds up in single precision or better. The cost is that of the N
    cells, and of one copy of the features.
    """
    return _ConvolutionAtCells.apply(features, weight, bias, cells)


class _ConvolutionAtCells(torch.autograd.Function):
    """Gathers the surroundings of every cell as one row, and multiplies by the kernel as a matrix."""

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, bias: Tensor, cells: Tensor) -> Tensor:
        kernel, channels = weight.shape[2], features.shape[1]
        padded = F.pad(features, (kernel // 2,) * 6).permute(0, 2, 3, 4, 1).contiguous()
        rows = padded.view(-1, channels)
        first = _first_rows(cells, features.shape, kernel=kernel)  # (N, k * k)
        # The k neighbours along x lie side by side: one row of k * C numbers.
        wide = rows.as_strided((len(rows) - kernel + 1, kernel * channels), (channels, 1))
        surroundings = wide.index_select(0, first.flatten()).view(len(cells), -1)  # (N, k * k * k * C)
        matrix = weight.permute(2, 3, 4, 1, 0).reshape(-1, len(weight)).to(features.dtype)
        context.save_for_backward(surroundings, matrix, first)
        context.padded_shape, context.weight_shape = padded.shape, weight.shape
        return torch.addmm(bias.to(features.dtype), surroundings, matrix)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        surroundings, matrix, first = context.saved_tensors
        out_channels, channels, kernel = context.weight_shape[:3]
        gradient = gradients[0]
        exact = torch.promote_types(gradient.dtype, torch.float32)
        to_weight = (gradient.T @ surroundings).view(out_channels, kernel, kernel, kernel, channels)
        to_bias = gradient.sum(dim=0, dtype=exact)
        along_x = torch.arange(kernel, device=first.device)
        rows = (first[..., None] + along_x).flatten()
        to_padded = gradient.new_zeros((*context.padded_shape[:4], channels), dtype=exact)
        to_padded.view(-1, channels).index_add_(0, rows, (gradient @ matrix.T).view(-1, channels).to(exact))
        inside = slice(kernel // 2, -(kernel // 2) or None)
        to_features = to_padded[:, inside, inside, inside].permute(0, 4, 1, 2, 3).to(gradient.dtype)
        return to_features, to_weight.permute(0, 4, 1, 2, 3).to(exact), to_bias, None


def _first_rows(cells: Tensor, shape: torch.Size, *, kernel: int) -> Tensor:
    """Return (N, k * k) rows of the padded features at which the surroundings of the cells begin."""
    size_z, size_y, size_x = shape[2:]
    x, y = cells % size_x, cells // size_x % size_y
    z, batch = cells // (size_x * size_y) % size_z, cells // (size_x * size_y * size_z)
    row, plane = size_x + kernel - 1, (size_x + kernel - 1) * (size_y + kernel - 1)
    corner = batch * plane * (size_z + kernel - 1) + z * plane + y * row + x
    steps = torch.arange(kernel, device=cells.device)
    return corner[:, None] + (steps[:, None] * plane + steps * row).flatten()
