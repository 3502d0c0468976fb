"""A target made ready for searching: what does not depend on the query is computed once.

Similarity of a query and a fine cell is the weighted mean of the cosines of the heads (`prepared_heads`). Cells are
flat indices of the fine grid, x fastest.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from anatomical_embedding.devices import choose_device
from anatomical_embedding.embedding.needed_cells import needed_cells
from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.matching.prepared_heads import CoarseHead, DenseHead, coarse_head, dense_head
from anatomical_embedding.matching.query_vectors import QueryVectors, nearest_cells
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume

SCAN_STRIDE = 2
"""The pruned search scans every second cell; the neighbours at distance 1 then cover the whole grid."""

MOST_BYTES_KEPT = 64 * 1024**2
"""Of a volume whose joint vectors take no more, all are kept once most of them are asked for."""


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

    @property
    def num_channels(self) -> int:
        """Of the joint vectors."""
        dense = sum(head.values.shape[-1] for head in self.dense.values())
        return dense + (0 if self.coarse is None else self.coarse.vectors.shape[-1])

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
        num_cells = int(np.prod(self.embedded.fine.shape_zyx))
        if 2 * len(cells) > num_cells and 4 * self.num_channels * num_cells <= MOST_BYTES_KEPT:
            return self._all_joined.index_select(0, cells)
        return self._joined(cells)

    @cached_property
    def _all_joined(self) -> Tensor:
        """The joint vectors of every cell: windows round many queries look at most of a small volume many times."""
        return self._joined(torch.arange(int(np.prod(self.embedded.fine.shape_zyx)), device=self.device))

    def _joined(self, cells: Tensor) -> Tensor:
        parts = [head.rows(cells) * self.shares[name] ** 0.5 for name, head in self.dense.items()]
        if self.coarse is not None:
            parts.append(self.coarse.unit_vectors(cells) * self.shares["coarse"] ** 0.5)
        return torch.cat(parts, dim=1)

    def joint_queries(self, queries: dict[str, Tensor]) -> Tensor:
        """Return the (N, C) vectors of `weighted_queries` in the form of `joint_vectors`."""
        return torch.cat([rows / self.shares[name] ** 0.5 for name, rows in queries.items()], dim=1)

    def cells_touching(self, mask: Volume) -> Tensor:
        """Return the (M,) flat fine cells that touch a mask on the grid of the volume."""
        fine = self.embedded.fine
        touched = needed_cells(mask.array.T > 0, stride_zyx=fine.stride_zyx, shape_zyx=fine.shape_zyx)
        return torch.from_numpy(np.flatnonzero(touched)).to(self.device)

    def coarse_similarities(self, queries: dict[str, Tensor]) -> Tensor | None:
        """Return the (N, Zc, Yc, Xc) products on the coarse grid; None where the coarse head has no weight."""
        return None if self.coarse is None else self.coarse.similarities(queries["coarse"])

    def plane_vectors(self, z: int) -> dict[str, Tensor]:
        """Return the (Y*X, C) vectors of one z plane for each dense head."""
        return {name: head.plane(z) for name, head in self.dense.items()}

    def plane_scores(
        self, plane: dict[str, Tensor], queries: dict[str, Tensor], coarse: Tensor | None, z: int
    ) -> Tensor:
        """Return the (N, Y*X) similarities of weighted queries and the cells of one z plane.

        Parameters
        ----------
        plane : its `plane_vectors`.
        queries, coarse : `weighted_queries` and their `coarse_similarities`.
        """
        if self.coarse is not None and coarse is not None:
            scores = self.coarse.upsampled_plane(coarse, z).flatten(1)
        else:
            num_cells = len(next(iter(plane.values())))
            scores = torch.zeros(len(next(iter(queries.values()))), num_cells, device=self.device)
        for name, vectors in plane.items():
            scores.addmm_(queries[name], vectors.T)
        return scores

    def scores_of_cells(self, queries: dict[str, Tensor], cells: Tensor) -> Tensor:
        """Return the (N, M) similarities of each weighted query and its own M cells, in the precision of queries."""
        total = torch.zeros(cells.shape, dtype=next(iter(queries.values())).dtype, device=cells.device)
        for name, head in self.dense.items():
            vectors = head.rows(cells.reshape(-1)).view(*cells.shape, -1).to(total.dtype)  # (N, M, C)
            total += torch.bmm(vectors, queries[name][:, :, None]).squeeze(2)
        if self.coarse is not None:
            total += self.coarse.at_cells(self.coarse.similarities(queries["coarse"]), cells)
        return total

    def cells_at(self, points_mm: Points) -> Tensor:
        """Return the (N,) cells nearest to (N, 3) points in mm RAS+."""
        x, y, z = nearest_cells(self.embedded.fine, points_mm).T
        return torch.from_numpy(np.ravel_multi_index((z, y, x), self.embedded.fine.shape_zyx)).to(self.device)

    def cells_xyz(self, cells: Tensor) -> Tensor:
        """Return (..., 3) indices x, y, z of cells."""
        _, num_y, num_x = self.embedded.fine.shape_zyx
        return torch.stack([cells % num_x, cells // num_x % num_y, cells // (num_y * num_x)], dim=-1)

    def around(self, cells: Tensor, offsets_xyz: Tensor) -> Tensor:
        """Return the (..., K) cells at (K, 3) offsets from (...,) cells, kept within the grid."""
        num_z, num_y, num_x = self.embedded.fine.shape_zyx
        last = torch.tensor([num_x - 1, num_y - 1, num_z - 1], device=cells.device)
        position = self.cells_xyz(cells)[..., None, :] + offsets_xyz
        x, y, z = torch.minimum(position.clamp_min(0), last).unbind(-1)
        return (z * num_y + y) * num_x + x

    def is_off_border(self, cells: Tensor) -> Tensor:
        """Return (..., 3) for x, y, z whether cells have a neighbour on both sides."""
        position = self.cells_xyz(cells)
        last = torch.tensor(self.embedded.fine.shape_zyx[::-1], device=cells.device) - 1
        return (position > 0) & (position < last)


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
    device = choose_device(settings.device, key="matching.device")
    weights = settings.head_weights
    shares = {"fine": weights.fine, "coarse": weights.coarse}
    if embedded.semantic is not None:
        shares["semantic"] = weights.semantic
    total = sum(shares.values())
    shares = {name: share / total for name, share in shares.items() if share > 0}
    dense = {
        name: dense_head(head, device=device)
        for name, head in (("fine", embedded.fine), ("semantic", embedded.semantic))
        if head is not None and name in shares
    }
    coarse = coarse_head(embedded, device=device) if "coarse" in shares else None
    scan = _scan_matrix(embedded, dense, coarse, settings=settings) if settings.search == "pruned" else None
    return PreparedTarget(embedded, settings, device, shares, dense, coarse, scan)


def scan_cells_along(num_cells: int) -> range:
    """Return the cells of one axis that the pruned search scans."""
    return range(0, num_cells, SCAN_STRIDE)


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
            parts.append(coarse.upsampled_vectors(z, step=SCAN_STRIDE))
        planes.append(torch.cat(parts, dim=1).to(dtype))
    return torch.cat(planes)
