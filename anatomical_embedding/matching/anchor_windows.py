"""Neighbours of a query matched within windows: cells round it go to the target, back, and there once more.

Where that settles, a cell of the template and one of the target have each other as partners. What a query looks at is
one or more windows of cells in both volumes; nothing else is searched.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomical_embedding.matching.cell_search import BYTES_PER_FLOAT, BYTES_PER_MB, parabola_peaks
from anatomical_embedding.matching.local_affine import LocalAffines, fit_local_affines
from anatomical_embedding.matching.nearest import world_of_cells
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.neighbours import NeighbourSettings
from anatomical_embedding.volumes.affine import Points

SMALLEST_SPREAD = 0.25
"""Of a fine cell: residuals below it are no disagreement, and anchors whose second spread is below it lie on a line."""


@dataclass(frozen=True)
class Windows:
    """Cells of one volume that a group of n queries looks at: flat cells (n, M) and their joint vectors (n, M, C)."""

    volume: PreparedTarget
    cells: Tensor
    vectors: Tensor

    def nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (n, A) places in the window nearest to (n, A, C) vectors, and their similarity."""
        score, place = torch.bmm(vectors, self.vectors.transpose(1, 2)).max(dim=2)
        return place, score

    def vectors_at(self, places: Tensor) -> Tensor:
        """Return the (n, A, C) vectors at (n, A) places."""
        return self.vectors.gather(1, places[..., None].expand(-1, -1, self.vectors.shape[2]))

    def peaks_xyz(self, places: Tensor, vectors: Tensor) -> Tensor:
        """Return the (n, A, 3) fine cells x, y, z where the similarity to (n, A, C) vectors peaks near places."""
        cells = self.cells.gather(1, places)
        position = self.volume.cells_xyz(cells).double()
        if self.volume.settings.refinement == "none":
            return position
        step = torch.eye(3, dtype=torch.int64, device=cells.device)
        neighbours = self.volume.around(cells, torch.cat([-step, torch.zeros_like(step[:1]), step]))
        found = self.volume.joint_vectors(neighbours.flatten()).view(*neighbours.shape, -1)
        scores = torch.einsum("naoc,nac->nao", found, vectors).double()
        peaks = parabola_peaks(scores[..., :3], scores[..., 3:4], scores[..., 4:])
        return position + peaks * self.volume.is_off_border(cells)


@dataclass(frozen=True)
class AnchorPairs:
    """Where the anchors of each query end: (n, A, 3) mm in both worlds, (n, A) similarity and cell of the target."""

    template_mm: Points
    target_mm: Points
    similarity: NDArray[np.float64]
    target_cells: NDArray[np.int64]


def windows_round(volume: PreparedTarget, places: Tensor, settings: NeighbourSettings) -> Windows:
    """Return the windows round (n, K) flat cells of a volume."""
    step = torch.arange(-settings.window_radius_cells, settings.window_radius_cells + 1, device=volume.device)
    cells = volume.around(places, torch.cartesian_prod(step, step, step)).flatten(1)
    return Windows(volume, cells, volume.joint_vectors(cells.flatten()).view(*cells.shape, -1))


def anchor_pairs(
    own: Windows, other: Windows, query_cells: Tensor, settings: NeighbourSettings
) -> AnchorPairs:
    """Match there and back twice from the cells round each query."""
    step = settings.anchor_step_cells * torch.arange(
        -settings.anchor_radius_steps, settings.anchor_radius_steps + 1, device=own.volume.device
    )
    anchors = own.volume.around(query_cells, torch.cartesian_prod(step, step, step))  # (n, A)
    vectors = own.volume.joint_vectors(anchors.flatten()).view(*anchors.shape, -1)
    there, _ = other.nearest(vectors)
    back, _ = own.nearest(other.vectors_at(there))
    there, _ = other.nearest(own.vectors_at(back))
    found = other.vectors_at(there)
    back, similarity = own.nearest(found)
    cells = other.cells.gather(1, there)
    return AnchorPairs(
        template_mm=world_of_positions(own.volume, own.peaks_xyz(back, found)),
        target_mm=world_of_positions(other.volume, other.volume.cells_xyz(cells)),
        similarity=similarity.double().cpu().numpy(),
        target_cells=cells.cpu().numpy(),
    )


def fit_anchors(
    pairs: AnchorPairs,
    points_mm: Points,
    target: PreparedTarget,
    is_usable: NDArray[np.bool_],
    settings: NeighbourSettings,
) -> LocalAffines:
    """Return the robust map through the (n, A) usable pairs round each of (n, 3) queries; a cell counts once."""
    is_used = is_usable & ~_is_repeated(np.where(is_usable, pairs.target_cells, -1))
    return fit_local_affines(
        pairs.template_mm - points_mm[:, None],
        pairs.target_mm,
        is_used.astype(np.float64),
        stiffness_mm=settings.affine_stiffness_mm,
        smallest_scale_mm=SMALLEST_SPREAD * smallest_cell_mm(target),
    )


def smallest_cell_mm(volume: PreparedTarget) -> float:
    """Return the smallest edge of a fine cell."""
    return float(np.linalg.norm(volume.embedded.fine.cell_affine[:3, :3], axis=0).min())


def mean_similarity(pairs: AnchorPairs, fit: LocalAffines) -> NDArray[np.float64]:
    """Return (n,) the mean similarity of the anchors that count; 0 where none does."""
    counted = fit.weights > 0
    return (pairs.similarity * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


def _is_repeated(cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n, A) whether the same cell stands further left in its row."""
    order = np.argsort(cells, axis=1, kind="stable")
    ordered = np.take_along_axis(cells, order, axis=1)
    repeated = np.zeros(cells.shape, dtype=bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    result = np.empty_like(repeated)
    np.put_along_axis(result, order, repeated, axis=1)
    return result


def queries_in_memory(volume: PreparedTarget, num_places: int, settings: NeighbourSettings) -> int:
    """Return how many queries may look at this many windows of a volume at once."""
    num_cells = num_places * (2 * settings.window_radius_cells + 1) ** 3
    num_anchors = (2 * settings.anchor_radius_steps + 1) ** 3
    per_query = BYTES_PER_FLOAT * (
        num_cells * (4 * volume.num_channels + num_anchors) + num_anchors * 10 * volume.num_channels
    )
    return max(1, volume.settings.max_memory_mb * BYTES_PER_MB // per_query)


def world_of_positions(volume: PreparedTarget, positions_xyz: Tensor) -> Points:
    """Return the (..., 3) world mm of fine cells x, y, z."""
    return world_of_cells(volume.embedded, positions_xyz.cpu().numpy())
