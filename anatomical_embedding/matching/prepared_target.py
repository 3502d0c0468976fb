"""A target made ready for searching: what does not depend on the query is computed once.

Similarity of a query and a fine cell is the weighted mean of the cosines of the heads. The cosine of the coarse head
is taken against the coarse map upsampled to the fine grid and normalised again. Because upsampling is linear, that is
the upsampled scalar similarity divided by the length of the upsampled vector, which the store holds: no channel is
ever upsampled for a search, and the result is the same.
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
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.matching.query_vectors import QueryVectors
from anatomical_embedding.settings.matching import MatchingSettings

SCAN_STRIDE = 2
"""The pruned search scans every second cell; the neighbours at distance 1 then cover the whole grid."""

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


@dataclass(frozen=True)
class PreparedTarget:
    """A volume ready to be searched by any number of templates.

    Attributes
    ----------
    embedded : the volume's embedding.
    settings : settings that it was prepared for.
    device : where the tensors are.
    shares : share of each head in the similarity; they sum to 1.
    dense : heads on the fine grid that have a share.
    coarse : the coarse head, or None when its weight is 0.
    scan : (cells of the scan, sum of channels) all heads side by side on every second cell; None for `exact`.
    """

    embedded: EmbeddedVolume
    settings: MatchingSettings
    device: torch.device
    shares: dict[str, float]
    dense: dict[str, DenseHead]
    coarse: CoarseHead | None
    scan: Tensor | None

    def weighted_queries(self, queries: QueryVectors) -> dict[str, Tensor]:
        """Return the (N, C) vectors times the share of their head, dense heads first, on the device.

        The sum of their products with the unit vectors of a cell is the similarity.
        """
        names = [*self.dense, *(["coarse"] if self.coarse is not None else [])]
        return {
            name: torch.from_numpy(getattr(queries, name)).to(self.device) * self.shares[name]
            for name in names
        }

    def joint_vectors(self, cells: Tensor) -> Tensor:
        """Return the (M, C) vectors of (M,) flat fine cells: the heads side by side, times the root of their share.

        They have length 1, and the product of two is the similarity of their cells.
        """
        parts = [head.rows(cells) * self.shares[name] ** 0.5 for name, head in self.dense.items()]
        if self.coarse is not None:
            parts.append(self.coarse.unit_vectors(cells) * self.shares["coarse"] ** 0.5)
        return torch.cat(parts, dim=1)

    def joint_queries(self, queries: QueryVectors) -> Tensor:
        """Return the (N, C) vectors in the form of `joint_vectors`."""
        weighted = self.weighted_queries(queries)
        return torch.cat([rows / self.shares[name] ** 0.5 for name, rows in weighted.items()], dim=1)


def prepare_target(embedded: EmbeddedVolume, *, settings: MatchingSettings) -> PreparedTarget:
    """Return the target ready for searching.

    Raises
    ------
    SettingsError
        if the device is not there.

    Notes
    -----
    On the CPU the heads stay memory-mapped. The pruned search adds one eighth of the cells with all heads side by side.
    """
    device = _device(settings)
    weights = settings.head_weights
    shares = {"fine": weights.fine, "coarse": weights.coarse}
    if embedded.semantic is not None:
        shares["semantic"] = weights.semantic
    total = sum(shares.values())
    shares = {name: share / total for name, share in shares.items() if share > 0}
    dense = {
        name: _dense_head(head, device=device)
        for name, head in (("fine", embedded.fine), ("semantic", embedded.semantic))
        if head is not None and name in shares
    }
    coarse = _coarse_head(embedded, device=device) if "coarse" in shares else None
    scan = _scan_matrix(embedded, dense, coarse, settings=settings) if settings.search == "pruned" else None
    return PreparedTarget(embedded, settings, device, shares, dense, coarse, scan)


def scan_cells_along(num_cells: int) -> range:
    """Return the cells of one axis that the pruned search scans."""
    return range(0, num_cells, SCAN_STRIDE)


def _device(settings: MatchingSettings) -> torch.device:
    has_gpu = torch.cuda.is_available()
    name = settings.device if settings.device != "auto" else ("cuda" if has_gpu else "cpu")
    if name == "cuda" and not has_gpu:
        raise SettingsError("matching.device: is cuda, but no GPU is available here; use auto or cpu")
    return torch.device(name)


def _dense_head(head: HeadMap, *, device: torch.device) -> DenseHead:
    scale = None if head.scale is None else torch.from_numpy(head.scale).to(device)
    return DenseHead(torch.from_numpy(head.values).to(device), scale)


def _coarse_head(embedded: EmbeddedVolume, *, device: torch.device) -> CoarseHead:
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


def _scan_matrix(
    embedded: EmbeddedVolume,
    dense: dict[str, DenseHead],
    coarse: CoarseHead | None,
    *,
    settings: MatchingSettings,
) -> Tensor:
    dtype = torch.bfloat16 if settings.scan_precision == "bf16" else torch.float32
    num_z, num_y, num_x = embedded.fine.shape_zyx
    planes = []
    for z in scan_cells_along(num_z):
        parts = [
            head.plane(z).view(num_y, num_x, -1)[::SCAN_STRIDE, ::SCAN_STRIDE].flatten(0, 1)
            for head in dense.values()
        ]
        if coarse is not None:
            parts.append(_upsampled_scan_plane(coarse, z))
        planes.append(torch.cat(parts, dim=1).to(dtype))
    return torch.cat(planes)


def _upsampled_scan_plane(coarse: CoarseHead, z: int) -> Tensor:
    along_z, along_y, along_x = coarse.axes
    plane = torch.lerp(
        coarse.vectors[along_z.lower[z]], coarse.vectors[along_z.upper[z]], along_z.fraction[z]
    )
    rows = along_y.matrix[::SCAN_STRIDE]
    columns = along_x.matrix[::SCAN_STRIDE]
    upsampled = torch.einsum("yr,rsc,xs->yxc", rows, plane, columns)
    return (upsampled * coarse.inverse_norm[z, ::SCAN_STRIDE, ::SCAN_STRIDE, None]).flatten(0, 1)
