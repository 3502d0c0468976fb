"""Which cells of two views show the same anatomy, found by arithmetic.

The published code measures the distance of 2000 points to all cells of the other view. Both views are affine maps,
so the partner of a cell is the composition of one map with the inverse of the other, rounded: no search.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.patches.views import View
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.volume import Volume

TOLERANCE_WITHOUT_POSITIVES_MM = 0.5
"""Where no cell has a partner within the positive distance, those are taken whose distance is within this of the
smallest one (published rule)."""


@dataclass(frozen=True)
class CellGrid:
    """The embedding cells of one view.

    Attributes
    ----------
    size : (3,) cells along x, y, z.
    affine : (4, 4) cell index (x, y, z) to world mm.
    """

    size: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def num_cells(self) -> int:
        """Number of cells of the grid."""
        return int(np.prod(self.size))

    def cells_from_flat(self, flat: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (N, 3) cell indices x, y, z of (N,) positions in the network's (z, y, x) order."""
        z, y, x = np.unravel_index(flat, self.size[::-1])
        return np.stack([x, y, z], axis=-1)

    def flat_from_cells(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (N,) positions in the network's (z, y, x) order of (N, 3) cell indices x, y, z."""
        return np.ravel_multi_index(tuple(cells.T[::-1]), self.size[::-1])


@dataclass(frozen=True)
class Positives:
    """Pairs of cells with the same anatomy; positions count through view 1 and then view 2.

    Attributes
    ----------
    query : (K,) int64 position of the query cell.
    partner : (K,) int64 position of its partner; the query itself where the views share nothing.
    """

    query: NDArray[np.int64]
    partner: NDArray[np.int64]


def cell_grid(view: View, *, stride_vox: tuple[int, int, int], size: tuple[int, int, int]) -> CellGrid:
    """Return the grid of embedding cells of a view.

    Parameters
    ----------
    view : the patch.
    stride_vox : stride of the head in patch voxels (x, y, z).
    size : cells of the head along x, y, z.
    """
    return CellGrid(size=size, affine=affine_of_cells(view.affine, stride_vox=stride_vox))


def find_fine_positives(
    first: CellGrid,
    second: CellGrid,
    body_mask: Volume,
    *,
    max_distance_mm: float,
    num_candidates: int,
    num_positives: int,
    is_limited_to_body: bool,
    generator: np.random.Generator,
) -> Positives:
    """Return up to `num_positives` pairs for the cells of each view.

    Candidates are cells drawn at random whose centre lies in the volume (in the body where `is_limited_to_body`)
    and in the other view. Where the views share nothing, cells of view 1 become their own partners, which leaves
    the negatives of such a pair in use (published rule).
    """
    found = []
    for own, other, own_offset, other_offset in _both_ways(first, second):
        flat = generator.permutation(own.num_cells)[:num_candidates]
        flat = flat[_is_usable(own, flat, body_mask, is_limited_to_body=is_limited_to_body)]
        partner, distance_mm = _nearest_cells(own, other, flat)
        is_inside = partner >= 0
        flat, partner, distance_mm = flat[is_inside], partner[is_inside], distance_mm[is_inside]
        if len(flat):
            limit = max_distance_mm
            if not (distance_mm < limit).any():
                limit = distance_mm.min() + TOLERANCE_WITHOUT_POSITIVES_MM
            keep = np.flatnonzero(distance_mm < limit)[:num_positives]
            found.append(Positives(query=flat[keep] + own_offset, partner=partner[keep] + other_offset))
    if not found:
        flat = generator.permutation(first.num_cells)[:num_positives]
        return Positives(query=flat, partner=flat)
    return _joined(found)


def find_coarse_positives(
    first: CellGrid, second: CellGrid, body_mask: Volume, *, max_distance_mm: float, max_distance_z_mm: float
) -> Positives:
    """Return all pairs of coarse cells that are near enough, in both directions.

    A cell's partner is the nearest cell of the other view; it counts if it lies within `max_distance_mm`, and
    within `max_distance_z_mm` along the body axis. Without any pair every cell of view 1 is its own partner
    (published rule).
    """
    found = []
    for own, other, own_offset, other_offset in _both_ways(first, second):
        flat = np.arange(own.num_cells)
        flat = flat[_is_usable(own, flat, body_mask, is_limited_to_body=False)]
        partner, distance_mm = _nearest_cells(own, other, flat, reach_cells=0.5)
        own_mm = transform_points(own.affine, own.cells_from_flat(flat))
        other_mm = transform_points(other.affine, other.cells_from_flat(np.maximum(partner, 0)))
        is_near = (partner >= 0) & (distance_mm < max_distance_mm)
        is_near &= np.abs(own_mm[:, 2] - other_mm[:, 2]) < max_distance_z_mm
        found.append(Positives(query=flat[is_near] + own_offset, partner=partner[is_near] + other_offset))
    if not sum(len(pairs.query) for pairs in found):
        flat = np.arange(first.num_cells)
        return Positives(query=flat, partner=flat)
    return _joined(found)


def _both_ways(first: CellGrid, second: CellGrid) -> Iterator[tuple[CellGrid, CellGrid, int, int]]:
    """Give each view with the other one, and the positions at which the cells of the two begin."""
    yield first, second, 0, first.num_cells
    yield second, first, first.num_cells, 0


def _joined(found: Sequence[Positives]) -> Positives:
    return Positives(
        query=np.concatenate([pairs.query for pairs in found]),
        partner=np.concatenate([pairs.partner for pairs in found]),
    )


def _is_usable(
    grid: CellGrid, flat: NDArray[np.int64], body_mask: Volume, *, is_limited_to_body: bool
) -> NDArray[np.bool_]:
    """Return which cells have their centre inside the volume, and inside the body where asked."""
    centres_mm = transform_points(grid.affine, grid.cells_from_flat(flat))
    if is_limited_to_body:
        return body_mask.nearest_values(centres_mm) > 0
    return body_mask.nearest_voxels(centres_mm)[1]


def _nearest_cells(
    own: CellGrid, other: CellGrid, flat: NDArray[np.int64], *, reach_cells: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (N,) the other grid's nearest cell (-1 outside it) and (N,) its distance in mm.

    `reach_cells` is how far beyond the outermost half cell a point may lie and still count.
    """
    own_mm = transform_points(own.affine, own.cells_from_flat(flat))
    position = transform_points(invert_affine(other.affine), own_mm)
    size = np.array(other.size)
    is_inside = np.all((position >= -0.5 - reach_cells) & (position <= size - 0.5 + reach_cells), axis=1)
    cells = np.clip(np.rint(position), 0, size - 1).astype(np.int64)
    distance_mm = np.linalg.norm(transform_points(other.affine, cells) - own_mm, axis=1)
    return np.where(is_inside, other.flat_from_cells(cells), -1), distance_mm
