"""Search of a prepared target: for each query vector the most similar cell of the fine grid.

`exact` compares every fine cell. `pruned` scans every second cell along each axis with one matrix product over all
heads, then scores the neighbourhoods of the best cells exactly; the neighbourhoods of all scanned cells together
cover the grid. Where answers may only lie in some cells, these alone are compared. All run over many queries at once
in bounded memory.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomical_embedding.matching.prepared_target import (
    SCAN_STRIDE,
    PreparedTarget,
    scan_cells_along,
)
from anatomical_embedding.matching.query_vectors import QueryVectors

BYTES_PER_FLOAT = 4
BYTES_PER_MB = 1024**2
QUERIES_AT_ONCE = 128
"""Queries a product: enough to be efficient, few enough that the scores of a plane stay in the cache."""
CELLS_AT_ONCE = 4096
"""Cells of a list whose vectors are made together, for the same reason."""
MOST_QUERIES = 4096
"""Queries of one pass over the planes; more would save nothing."""


@dataclass(frozen=True)
class BestCells:
    """The most similar cell of each query.

    Attributes
    ----------
    cells_xyz : (N, 3) float64 indices on the fine grid, x, y, z; whole numbers unless refined.
    similarity : (N,) float64, at the whole cell.
    """

    cells_xyz: NDArray[np.float64]
    similarity: NDArray[np.float64]


@dataclass(frozen=True)
class CellSearch:
    """The search for the cells of one prepared target.

    Attributes
    ----------
    target : that is searched.
    among : (M,) flat fine cells that may be answers; None for all.
    """

    target: PreparedTarget
    among: Tensor | None = None

    def best_cells(self, queries: QueryVectors) -> BestCells:
        """Return the most similar fine cell of the target for each query vector."""
        vectors = self.target.weighted_queries(queries)
        group_size = self._queries_in_memory()
        found = []
        for start in range(0, len(queries.fine), group_size):
            group = {name: rows[start : start + group_size] for name, rows in vectors.items()}
            scan = self.target.scan
            if self.among is not None:
                best, score = self._search_among(self.among, group)
            else:
                best, score = self._search_exact(group) if scan is None else self._search_pruned(scan, group)
            position = self.target.cells_xyz(best).double()
            if self.target.settings.refinement != "none":
                position = position + self._parabolic_offsets(group, best)
            found.append((position.cpu().numpy(), score.double().cpu().numpy()))
        cells, similarity = zip(*found, strict=True)
        return BestCells(np.concatenate(cells), np.concatenate(similarity))

    def similarity_grid(self, query: QueryVectors) -> NDArray[np.float32]:
        """Return the (X, Y, Z) similarity of one query vector and every fine cell."""
        target = self.target
        queries = target.weighted_queries(query)
        coarse = target.coarse_similarities(queries)
        num_z, num_y, num_x = target.embedded.fine.shape_zyx
        planes = [
            target.plane_scores(target.plane_vectors(z), queries, coarse, z).view(num_y, num_x)
            for z in range(num_z)
        ]
        return torch.stack(planes).cpu().numpy().transpose(2, 1, 0)

    def _queries_in_memory(self) -> int:
        target = self.target
        _, num_y, num_x = target.embedded.fine.shape_zyx
        num_channels = sum(head.values.shape[-1] for head in target.dense.values())
        per_query = BYTES_PER_FLOAT * int(np.prod(target.embedded.coarse.shape_zyx))
        if target.scan is not None:
            # Scores of the scan, their conversion and the selection; then vectors of the neighbourhoods and what is
            # computed for each of their cells.
            per_cell = BYTES_PER_FLOAT * (2 * num_channels + 16)
            scanned = 3 * BYTES_PER_FLOAT * len(target.scan)
            per_query += scanned + per_cell * self._num_candidates(target.scan) * len(self._neighbourhood())
        shared = 2 * BYTES_PER_FLOAT * num_y * num_x * (num_channels + QUERIES_AT_ONCE * 2)
        budget = target.settings.max_memory_mb * BYTES_PER_MB - shared
        at_most = QUERIES_AT_ONCE if target.scan is not None else MOST_QUERIES
        return max(1, min(budget // per_query, at_most))

    def _search_exact(self, queries: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        target = self.target
        num_z, num_y, num_x = target.embedded.fine.shape_zyx
        coarse = target.coarse_similarities(queries)
        num_queries = len(next(iter(queries.values())))
        best = torch.zeros(num_queries, dtype=torch.int64, device=target.device)
        score = torch.full((num_queries,), -torch.inf, device=target.device)
        for z in range(num_z):
            plane = target.plane_vectors(z)
            for start in range(0, num_queries, QUERIES_AT_ONCE):
                part = slice(start, start + QUERIES_AT_ONCE)
                chunk = {name: rows[part] for name, rows in queries.items()}
                scores = target.plane_scores(plane, chunk, None if coarse is None else coarse[part], z)
                highest = scores.amax(dim=1)  # far faster than max with its index, which few planes need
                better = torch.nonzero(highest > score[part]).flatten()
                best[start + better] = z * num_y * num_x + scores[better].argmax(dim=1)
                score[start + better] = highest[better]
        return best, score

    def _search_among(self, cells: Tensor, queries: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        target = self.target
        joint = target.joint_queries(queries)
        best = torch.zeros(len(joint), dtype=torch.int64, device=target.device)
        score = torch.full((len(joint),), -torch.inf, device=target.device)
        for some in cells.split(CELLS_AT_ONCE):
            vectors = target.joint_vectors(some)
            for start in range(0, len(joint), QUERIES_AT_ONCE):
                part = slice(start, start + QUERIES_AT_ONCE)
                scores = joint[part] @ vectors.T
                highest = scores.amax(dim=1)
                better = torch.nonzero(highest > score[part]).flatten()
                best[start + better] = some[scores[better].argmax(dim=1)]
                score[start + better] = highest[better]
        return best, score

    def _search_pruned(self, scan: Tensor, queries: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        scanned = torch.cat(list(queries.values()), dim=1).to(scan.dtype) @ scan.T  # (N, scanned cells)
        candidates = self._scan_to_grid(scanned.topk(self._num_candidates(scan), dim=1).indices)
        cells = self.target.around(candidates, self._neighbourhood()).flatten(1)  # (N, candidates * 27)
        score, position = self.target.scores_of_cells(queries, cells).max(dim=1)
        return cells.gather(1, position[:, None]).squeeze(1), score

    def _num_candidates(self, scan: Tensor) -> int:
        return min(self.target.settings.num_candidates, len(scan))

    def _scan_to_grid(self, scanned: Tensor) -> Tensor:
        """Return flat fine cells of indices into the scan."""
        _, num_y, num_x = self.target.embedded.fine.shape_zyx
        rows, columns = len(scan_cells_along(num_y)), len(scan_cells_along(num_x))
        z, y, x = scanned // (rows * columns), scanned // columns % rows, scanned % columns
        return SCAN_STRIDE * ((z * num_y + y) * num_x + x)

    def _neighbourhood(self) -> Tensor:
        """Return the (27, 3) offsets x, y, z of a cell and its neighbours."""
        step = torch.arange(-1, SCAN_STRIDE, device=self.target.device)
        return torch.cartesian_prod(step, step, step)

    def _parabolic_offsets(self, queries: dict[str, Tensor], best: Tensor) -> Tensor:
        """Return the (N, 3) offsets x, y, z in cells, at most half a cell, from the best cells to the peaks.

        Along each axis a parabola goes through the best cell and its two neighbours; an axis on whose border the best
        cell lies is left alone. In float64: in float32 the answer would move by some 1e-5 mm with the number of
        queries that are asked together.
        """
        identity = torch.eye(3, dtype=torch.int64, device=best.device)
        offsets = torch.cat([-identity, torch.zeros_like(identity[:1]), identity])
        peaks = []
        for start in range(0, len(best), QUERIES_AT_ONCE):
            part = slice(start, start + QUERIES_AT_ONCE)
            chunk = {name: rows[part].double() for name, rows in queries.items()}
            scores = self.target.scores_of_cells(chunk, self.target.around(best[part], offsets))
            peaks.append(parabola_peaks(scores[:, :3], scores[:, 3:4], scores[:, 4:]))
        return torch.cat(peaks) * self.target.is_off_border(best)


def parabola_peaks(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    """Return where between -0.5 and 0.5 the parabola through values at -1, 0 and 1 is highest, elementwise."""
    curvature = before - 2.0 * centre + after
    return (0.5 * (before - after) / curvature.clamp_max(-torch.finfo(torch.float32).eps)).clamp(-0.5, 0.5)
