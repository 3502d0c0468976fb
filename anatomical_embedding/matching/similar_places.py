"""The few places of a volume that look most like each query: peaks of the similarity, apart from one another."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anatomical_embedding.matching.cell_search import (
    BYTES_PER_FLOAT,
    BYTES_PER_MB,
    MOST_QUERIES,
    QUERIES_AT_ONCE,
)
from anatomical_embedding.matching.prepared_target import SCAN_STRIDE, PreparedTarget, scan_cells_along
from anatomical_embedding.matching.query_vectors import QueryVectors

BLOCK_CELLS = 4
"""Peaks are looked for among the maxima of blocks of cells: peaks nearer than a block are one place."""
PEAKS_RESCORED = 4
"""The pruned scan sees an eighth of the cells, so it proposes this many times the places that are wanted."""


@dataclass(frozen=True)
class PlaceSearch:
    """The search for several places of one prepared target."""

    target: PreparedTarget

    def best_places(self, queries: QueryVectors, *, num_places: int) -> Tensor:
        """Return the (N, K) flat fine cells at the highest peaks of each query's similarity, best first.

        A grid with fewer blocks than `num_places` gives one cell per block.

        Notes
        -----
        Costs about one search (`CellSearch.best_cells`). The pruned search finds the blocks by its scan.
        """
        vectors = self.target.weighted_queries(queries)
        group_size = self._queries_in_memory()
        places = []
        for start in range(0, len(queries.fine), group_size):
            group = {name: rows[start : start + group_size] for name, rows in vectors.items()}
            num_peaks = num_places if self.target.scan is None else PEAKS_RESCORED * num_places
            blocks = _peaks(self._block_maxima(group), num_peaks=num_peaks)
            cells, scores = self._best_cells_of_blocks(group, blocks)
            best = scores.topk(min(num_places, scores.shape[1]), dim=1).indices
            places.append(cells.gather(1, best))
        return torch.cat(places)

    def _queries_in_memory(self) -> int:
        num_blocks = int(np.prod(self._num_blocks()))
        per_query = BYTES_PER_FLOAT * (3 * num_blocks + int(np.prod(self.target.embedded.coarse.shape_zyx)))
        if self.target.scan is not None:
            per_query += 3 * BYTES_PER_FLOAT * len(self.target.scan)
        at_most = QUERIES_AT_ONCE if self.target.scan is not None else MOST_QUERIES
        return max(1, min(self.target.settings.max_memory_mb * BYTES_PER_MB // per_query, at_most))

    def _num_blocks(self) -> tuple[int, int, int]:
        z, y, x = (-(-size // BLOCK_CELLS) for size in self.target.embedded.fine.shape_zyx)
        return z, y, x

    def _block_maxima(self, queries: dict[str, Tensor]) -> Tensor:
        """Return the (N, Z, Y, X) highest similarity in each block."""
        if self.target.scan is not None:
            scan = self.target.scan
            scores = torch.cat(list(queries.values()), dim=1).to(scan.dtype) @ scan.T
            grid = [len(scan_cells_along(size)) for size in self.target.embedded.fine.shape_zyx]
            return functional.max_pool3d(
                scores.float().view(-1, *grid), BLOCK_CELLS // SCAN_STRIDE, ceil_mode=True
            )
        num_z, num_y, num_x = self.target.embedded.fine.shape_zyx
        coarse = self.target.coarse_similarities(queries)
        num_queries = len(next(iter(queries.values())))
        maxima = torch.full((num_queries, *self._num_blocks()), -torch.inf, device=self.target.device)
        for layer in range(self._num_blocks()[0]):
            planes = range(BLOCK_CELLS * layer, min(BLOCK_CELLS * (layer + 1), num_z))
            vectors = {z: self.target.plane_vectors(z) for z in planes}
            for start in range(0, num_queries, QUERIES_AT_ONCE):
                part = slice(start, start + QUERIES_AT_ONCE)
                chunk = {name: rows[part] for name, rows in queries.items()}
                on_coarse = None if coarse is None else coarse[part]
                of_planes = (
                    self.target.plane_scores(plane, chunk, on_coarse, z) for z, plane in vectors.items()
                )
                highest = reduce(torch.maximum, of_planes).view(-1, num_y, num_x)
                maxima[part, layer] = functional.max_pool2d(highest, BLOCK_CELLS, ceil_mode=True)
        return maxima

    def _best_cells_of_blocks(self, queries: dict[str, Tensor], blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (N, K) most similar flat cells within each query's own (N, K) blocks, and their similarity."""
        _, blocks_y, blocks_x = self._num_blocks()
        _, num_y, num_x = self.target.embedded.fine.shape_zyx
        z, y, x = blocks // (blocks_y * blocks_x), blocks // blocks_x % blocks_y, blocks % blocks_x
        corner = BLOCK_CELLS * ((z * num_y + y) * num_x + x)
        step = torch.arange(BLOCK_CELLS, device=self.target.device)
        cells = self.target.around(corner, torch.cartesian_prod(step, step, step))  # (N, K, 64)
        scores = self.target.scores_of_cells(queries, cells.flatten(1)).view(cells.shape)
        highest, position = scores.max(dim=2, keepdim=True)
        return cells.gather(2, position).squeeze(2), highest.squeeze(2)


def _peaks(maxima: Tensor, *, num_peaks: int) -> Tensor:
    """Return the (N, K) flat blocks that no neighbour exceeds, highest first."""
    is_peak = functional.max_pool3d(maxima, 3, stride=1, padding=1) == maxima
    peaks = torch.where(is_peak, maxima, -torch.inf).flatten(1)
    return peaks.topk(min(num_peaks, peaks.shape[1]), dim=1).indices
