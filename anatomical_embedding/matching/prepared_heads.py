"""The heads of a store as tensors, ready for the products of a search.

The cosine of the coarse head is taken against the coarse map upsampled to the fine grid and normalised again. Because
upsampling is linear, that is the upsampled scalar similarity divided by the length of the upsampled vector, which the
store holds: no channel is ever upsampled for a search, and the result is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anatomical_embedding.embedding.store import EmbeddedVolume, HeadMap
from anatomical_embedding.embedding.upsampling import AxisInterpolation, grid_interpolation

SMALLEST_NORM = 1e-6
"""Opposite coarse vectors can cancel when upsampled; the cosine of such a cell is bounded instead of infinite."""


@dataclass(frozen=True)
class DenseHead:
    """A head on the fine grid."""

    values: Tensor  # (Z, Y, X, C) fp16 or int8
    scale: Tensor | None  # (Z, Y, X) fp16

    def plane(self, index: int) -> Tensor:
        """Return the (Y*X, C) float32 vectors of one z plane."""
        return self._decoded(
            self.values[index].flatten(0, 1), None if self.scale is None else self.scale[index]
        )

    def rows(self, cells: Tensor) -> Tensor:
        """Return the (M, C) float32 vectors of (M,) flat cell indices."""
        scale = None if self.scale is None else self.scale.view(-1).index_select(0, cells)
        return self._decoded(self.values.view(-1, self.values.shape[-1]).index_select(0, cells), scale)

    @staticmethod
    def _decoded(values: Tensor, scale: Tensor | None) -> Tensor:
        vectors = values.float()
        return vectors if scale is None else vectors.mul_(scale.reshape(-1, 1).float())


@dataclass(frozen=True)
class AxisTables:
    """Linear interpolation along one axis as tensors (see `AxisInterpolation`)."""

    lower: Tensor  # (num_fine,)
    upper: Tensor  # (num_fine,)
    fraction: Tensor  # (num_fine,) float32
    matrix: Tensor  # (num_fine, num_coarse) float32, the same as one product


@dataclass(frozen=True)
class CoarseHead:
    """The coarse head and the way to the fine grid."""

    vectors: Tensor  # (Zc, Yc, Xc, C) float32
    inverse_norm: Tensor  # (Z, Y, X) float32
    axes: tuple[AxisTables, AxisTables, AxisTables]  # z, y, x

    def similarities(self, queries: Tensor) -> Tensor:
        """Return the (N, Zc, Yc, Xc) scalar products with (N, C) queries on the coarse grid."""
        cells = self.vectors.flatten(0, 2).to(queries.dtype)
        return (queries @ cells.T).view(-1, *self.vectors.shape[:3])

    def upsampled_plane(self, similarities: Tensor, index: int) -> Tensor:
        """Return the (N, Y, X) products with the unit vectors of one fine z plane, from those on the coarse grid."""
        along_z, along_y, along_x = self.axes
        lower, upper = similarities[:, along_z.lower[index]], similarities[:, along_z.upper[index]]
        plane = torch.lerp(lower, upper, along_z.fraction[index])  # (N, Yc, Xc)
        widened = plane @ along_x.matrix.T  # (N, Yc, X)
        return (along_y.matrix @ widened).mul_(self.inverse_norm[index])

    def upsampled_vectors(self, index: int, *, step: int) -> Tensor:
        """Return the (M, C) unit vectors of every `step`-th cell along y and x of one fine z plane."""
        along_z, along_y, along_x = self.axes
        lower, upper = self.vectors[along_z.lower[index]], self.vectors[along_z.upper[index]]
        plane = torch.lerp(lower, upper, along_z.fraction[index])
        upsampled = torch.einsum("yr,rsc,xs->yxc", along_y.matrix[::step], plane, along_x.matrix[::step])
        return (upsampled * self.inverse_norm[index, ::step, ::step, None]).flatten(0, 1)

    def at_cells(self, similarities: Tensor, cells: Tensor) -> Tensor:
        """Return the (N, M) products with the unit vectors at (N, M) flat fine cells."""
        flat = similarities.flatten(1)
        total = torch.zeros(cells.shape, dtype=similarities.dtype, device=cells.device)
        for corner, weight in self._corners(cells):
            total += flat.gather(1, corner) * weight
        return total * self.inverse_norm.view(-1)[cells]

    def unit_vectors(self, cells: Tensor) -> Tensor:
        """Return the (M, C) unit vectors of the upsampled map at (M,) flat fine cells."""
        corners, weights = zip(*self._corners(cells), strict=True)
        upsampled = functional.embedding_bag(
            torch.stack(corners, dim=1),
            self.vectors.flatten(0, 2),
            per_sample_weights=torch.stack(weights, dim=1),
            mode="sum",
        )
        return upsampled * self.inverse_norm.view(-1)[cells][:, None]

    def _corners(self, cells: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the eight flat coarse cells round each fine cell, with their weights."""
        _, num_y, num_x = self.inverse_norm.shape
        _, size_y, size_x = self.vectors.shape[:3]
        positions = (cells // (num_y * num_x), cells // num_x % num_y, cells % num_x)
        ends = [
            (
                (table.lower[position], 1.0 - table.fraction[position]),
                (table.upper[position], table.fraction[position]),
            )
            for table, position in zip(self.axes, positions, strict=True)
        ]
        for (z, weight_z), (y, weight_y), (x, weight_x) in product(*ends):
            yield (z * size_y + y) * size_x + x, weight_z * weight_y * weight_x


def dense_head(head: HeadMap, *, device: torch.device) -> DenseHead:
    """Return a stored head on the fine grid; on the CPU it stays memory-mapped."""
    scale = None if head.scale is None else torch.from_numpy(head.scale).to(device)
    return DenseHead(torch.from_numpy(head.values).to(device), scale)


def coarse_head(embedded: EmbeddedVolume, *, device: torch.device) -> CoarseHead:
    """Return the coarse head of a store with its way to the fine grid."""
    axes = grid_interpolation(
        embedded.fine.shape_zyx,
        embedded.coarse.shape_zyx,
        stride_fine=embedded.fine.stride_zyx,
        stride_coarse=embedded.coarse.stride_zyx,
    )
    along_z, along_y, along_x = (
        _axis_tables(axis, num_coarse=size, device=device)
        for axis, size in zip(axes, embedded.coarse.shape_zyx, strict=True)
    )
    norm = torch.from_numpy(embedded.coarse_norm).to(device)
    return CoarseHead(
        vectors=torch.from_numpy(embedded.coarse.values).to(device).float(),
        inverse_norm=1.0 / norm.clamp_min(SMALLEST_NORM),
        axes=(along_z, along_y, along_x),
    )


def _axis_tables(axis: AxisInterpolation, *, num_coarse: int, device: torch.device) -> AxisTables:
    rows = np.arange(len(axis.lower))
    matrix = np.zeros((len(rows), num_coarse), dtype=np.float32)
    matrix[rows, axis.lower] = 1.0 - axis.fraction
    matrix[rows, axis.upper] += axis.fraction.astype(np.float32)
    return AxisTables(
        torch.from_numpy(axis.lower).to(device),
        torch.from_numpy(axis.upper).to(device),
        torch.from_numpy(axis.fraction).float().to(device),
        torch.from_numpy(matrix).to(device),
    )
