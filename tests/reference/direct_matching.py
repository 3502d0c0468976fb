"""Matching the direct, published way: upsample all coarse channels, normalise again, multiply, average, argmax.

Plain float32 (or float64) over whole arrays, with no regard to memory or time; the slow reference for
`anatomical_embedding.matching.nearest` and the opponent in `benchmarks/match_points.py`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def upsample_by_cell_centres(
    coarse: NDArray,
    fine_shape: tuple[int, int, int],
    *,
    stride_fine: tuple[int, int, int],
    stride_coarse: tuple[int, int, int],
) -> NDArray[np.float64]:
    """Return (Zf, Yf, Xf, C) from (Zc, Yc, Xc, C): linear between the voxel coordinates of the cell centres."""
    result = coarse.astype(np.float64)
    for axis in range(3):
        fine_centres = stride_fine[axis] * np.arange(fine_shape[axis]) + (stride_fine[axis] - 1) / 2
        coarse_centres = stride_coarse[axis] * np.arange(coarse.shape[axis]) + (stride_coarse[axis] - 1) / 2
        matrix = np.stack(
            [np.interp(fine_centres, coarse_centres, row) for row in np.eye(coarse.shape[axis])]
        )
        result = np.moveaxis(np.tensordot(result, matrix, axes=(axis, 0)), -1, axis)
    return result


def direct_similarity(queries: dict[str, NDArray], heads: dict[str, NDArray]) -> NDArray[np.float64]:
    """Return the (N, Z, Y, X) mean cosine of (N, C) queries and (Z, Y, X, C) maps, all on the fine grid.

    The fine and semantic maps are unit vectors already; the coarse map lost its length in upsampling.
    """
    total = 0.0
    for name, head in heads.items():
        length = np.linalg.norm(head, axis=-1, keepdims=True) if name == "coarse" else 1.0
        total = total + np.einsum("nc,zyxc->nzyx", queries[name].astype(np.float64), head / length)
    return total / len(heads)


def upsample_as_published(
    coarse: Tensor, fine_shape: tuple[int, ...], *, stride_ratio: tuple[int, int, int]
) -> Tensor:
    """Return the (C, Z, Y, X) coarse map upsampled to the fine grid and normalised over channels.

    By the ratio of the strides, and cut: the ratio of the sizes would be another one where a size was rounded up.
    """
    upsampled = F.interpolate(
        coarse[None],
        scale_factor=tuple(map(float, stride_ratio)),
        mode="trilinear",
        align_corners=False,
        recompute_scale_factor=False,
    )
    z, y, x = fine_shape
    return F.normalize(upsampled[0, :, :z, :y, :x], dim=0)


def match_as_published(
    queries: dict[str, Tensor], heads: dict[str, Tensor], *, stride_ratio: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Return flat fine cell and mean cosine of the best match of (N, C) queries in (C, Z, Y, X) float32 heads.

    `stride_ratio` is the coarse over the fine stride along z, y and x.
    """
    fine_shape = heads["fine"].shape[1:]
    total = 0.0
    for name, head in heads.items():
        dense = (
            upsample_as_published(head, fine_shape, stride_ratio=stride_ratio) if name == "coarse" else head
        )
        total = total + torch.einsum("nc,czyx->nzyx", queries[name], dense)
    score, cell = (total / len(heads)).flatten(1).max(dim=1)
    return cell, score
