"""Labels that are drawn in parallel planes, as outlines or as pixels, brought to the voxels of a scan.

A voxel is labelled where its centre lies within half the distance of the planes from one of them, and in what is drawn
there. So a label on the grid of its scan comes back voxel by voxel, and on any other grid as the nearest one says. That
holds for outlines along the borders of voxels and for those through the centres of the outermost ones alike, since what
lies on an outline belongs to it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.volumes.affine import lps_from_ras, spacing_from_affine
from anatomical_embedding.volumes.grid import Grid

ROUNDING_MM = 1e-4
SAME_HEIGHT_MM = 0.01
"""Drawings that lie closer to each other lie in one plane; positions are often rounded to 0.01 mm."""
ON_OUTLINE_MM = 0.01
"""A place that lies closer to an outline lies on it; corners are often rounded to 0.01 mm."""
SAME_PLANE_MM, SAME_PLANE_SHARE = 0.25, 0.2
"""Outlines that lie closer, in mm and in steps of the scan, are of one slice: corners are often rounded to 0.1 mm, and
planes that are oblique then lie off each other by as much."""
ROW_OF_PLANES = 1.5
"""Times as close drawings follow each other, over a longer way, where each has a plane of its own."""
LARGEST_GAP_MM, LARGEST_GAP_SLICES = 10.0, 3.0
"""Drawings farther apart than both say nothing of what lies between them."""
LATTICE = np.stack(np.meshgrid(*[(np.arange(16) + 0.5) / 16] * 2), axis=-1).reshape(-1, 2)
"""Places in a unit square that stand for it."""


class Drawing(Protocol):
    """What is drawn in one plane; places are (N, 2) mm along its two directions."""

    @property
    def bounds_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest place that is drawn."""

    def shows(self, places_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether each place is drawn."""


@dataclass(frozen=True)
class Pixels:
    """Pixels of a mask.

    Attributes
    ----------
    mask : (rows, columns) bool.
    first_mm : (2,) place of the first one.
    spacing_mm : (2,) between columns and between rows.
    """

    mask: NDArray[np.bool_]
    first_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]

    @property
    def bounds_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest place that is drawn."""
        rows, columns = np.nonzero(self.mask)
        low = np.array([columns.min(), rows.min()]) - 0.5
        high = np.array([columns.max(), rows.max()]) + 0.5
        return self.first_mm + low * self.spacing_mm, self.first_mm + high * self.spacing_mm

    def shows(self, places_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether each place lies in a pixel of the mask."""
        columns, rows = np.rint((places_mm - self.first_mm) / self.spacing_mm).astype(int).T
        is_inside = (
            (rows >= 0) & (columns >= 0) & (rows < self.mask.shape[0]) & (columns < self.mask.shape[1])
        )
        found = np.zeros(len(places_mm), dtype=bool)
        found[is_inside] = self.mask[rows[is_inside], columns[is_inside]]
        return found


@dataclass(frozen=True)
class Outlines:
    """Closed outlines: what lies in an even number of them is outside, as in a hole, and what lies on one inside.

    Attributes
    ----------
    polygons : (M, 2) corners of each, mm. One of a single corner is that place, one of two the line between them.
    """

    polygons: Sequence[NDArray[np.float64]]

    @property
    def bounds_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest place that is drawn."""
        corners = np.concatenate(self.polygons)
        return corners.min(axis=0), corners.max(axis=0)

    def shows(self, places_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether each place lies on an outline, or inside by the number of edges to its right.

        Notes
        -----
        Places are sorted by their second coordinate once, so an edge looks only at those beside it.
        """
        order = np.argsort(places_mm[:, 1], kind="stable")
        places = places_mm[order]
        across, along = places.T
        is_inside = np.zeros(len(order), dtype=bool)
        is_on = np.zeros(len(order), dtype=bool)
        starts = np.concatenate(self.polygons)
        ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in self.polygons])
        lower, upper = np.minimum(starts[:, 1], ends[:, 1]), np.maximum(starts[:, 1], ends[:, 1])
        firsts, lasts = np.searchsorted(along, lower, "left"), np.searchsorted(along, upper, "left")
        for (x0, y0), (x1, y1), first, last in zip(starts, ends, firsts, lasts, strict=True):
            if first < last:
                beside = slice(first, last)
                is_inside[beside] ^= across[beside] < x0 + (along[beside] - y0) * (x1 - x0) / (y1 - y0)
        firsts = np.searchsorted(along, lower - ON_OUTLINE_MM, "left")
        lasts = np.searchsorted(along, upper + ON_OUTLINE_MM, "right")
        for start, end, first, last in zip(starts, ends, firsts, lasts, strict=True):
            is_on[first:last] |= _distances_mm(places[first:last], start, end) < ON_OUTLINE_MM
        found = np.empty_like(is_inside)
        found[order] = is_inside | is_on
        return found


def _distances_mm(
    places: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (N,) distances of (N, 2) places to the line from start to end."""
    edge = end - start
    length = edge @ edge
    along = ((places - start) @ edge / length).clip(0.0, 1.0) if length else np.zeros(len(places))
    return np.linalg.norm(places - start - along[:, np.newaxis] * edge, axis=1)


def are_alike(first: NDArray[np.float64], second: NDArray[np.float64], *, within_mm: float) -> bool:
    """Say whether two closed outlines, (N, 2) and (M, 2) corners, run along each other: no corner lies farther off.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    >>> again = np.array([[4.0, 2.1], [4, 0], [0.1, 0], [0, 4], [4, 4]])
    >>> are_alike(square, again, within_mm=0.2), are_alike(square, square * 0.9, within_mm=0.2)
    (True, False)
    """
    boxes = [np.concatenate([corners.min(axis=0), corners.max(axis=0)]) for corners in (first, second)]
    if np.abs(boxes[0] - boxes[1]).max() > within_mm:
        return False
    ways = ((first, second), (second, first))
    return all(_distances_from(corners, outline).max() <= within_mm for corners, outline in ways)


def cross(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Say whether two closed outlines, (N, 2) and (M, 2) corners, lie partly in each other, as no hole does.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    >>> [cross(square, other) for other in (square + 1, square / 2 + 1, square + 5)]
    [True, False, False]
    """
    if (first.min(axis=0) > second.max(axis=0)).any() or (second.min(axis=0) > first.max(axis=0)).any():
        return False
    for corners, outline in ((first, second), (second, first)):
        is_inside = Outlines([outline]).shows(corners)
        if is_inside.any() and not is_inside.all():
            is_off = _distances_from(corners, outline) > ON_OUTLINE_MM
            if (is_inside & is_off).any() and (~is_inside & is_off).any():
                return True
    return False


def _distances_from(places: NDArray[np.float64], outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N,) distances of (N, 2) places to the nearest edge of a closed outline, (M, 2) corners."""
    nearest = np.full(len(places), np.inf)
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        np.minimum(nearest, _distances_mm(places, start, end), out=nearest)
    return nearest


@dataclass(frozen=True)
class PlanarSegment:
    """One label as it is drawn.

    Attributes
    ----------
    number : its label.
    name : its name.
    axes : (3, 3) unit vectors in LPS, a row each: the two directions of the planes and their normal.
    planes : height along the normal in mm, and what is drawn there.
    reach_mm : how far from a plane voxels belong to it; half the distance of the planes.
    """

    number: int
    name: str
    axes: NDArray[np.float64]
    planes: Sequence[tuple[float, Drawing]]
    reach_mm: float

    def voxels_on(self, grid: Grid) -> NDArray[np.int64]:
        """Return the flat numbers (in C order) of the voxels of a grid that lie in it, ascending."""
        found = [self._voxels_at(grid, height, drawing) for height, drawing in self.planes]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def share_outside(self, grid: Grid) -> float:
        """Return the share of what is drawn that lies outside a grid, by a lattice of places in each plane."""
        num_drawn = num_inside = 0
        for height, drawing in self.planes:
            low, high = drawing.bounds_mm
            places = low + LATTICE * (high - low)
            places = places[drawing.shows(places)]
            num_drawn += len(places)
            within = np.c_[places, np.full(len(places), height)] @ self.axes
            num_inside += int(grid.contains(lps_from_ras(within)).sum())
        return 1.0 - num_inside / num_drawn if num_drawn else 0.0

    def _voxels_at(self, grid: Grid, height: float, drawing: Drawing) -> NDArray[np.int64]:
        """Return the flat numbers of the voxels that lie in what one plane shows."""
        low, high = drawing.bounds_mm
        reach = self.reach_mm + ROUNDING_MM
        corners = np.array(
            [
                (u, v, w)
                for u in (low[0], high[0])
                for v in (low[1], high[1])
                for w in (height - reach, height + reach)
            ]
        )
        corners_vox = grid.voxel_from_world(lps_from_ras(corners @ self.axes))
        first = np.maximum(np.floor(corners_vox.min(axis=0)).astype(int), 0)
        last = np.minimum(np.ceil(corners_vox.max(axis=0)).astype(int) + 1, grid.shape)
        if (first >= last).any():
            return np.empty(0, dtype=np.int64)
        box = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
        indices = np.stack(np.meshgrid(*box, indexing="ij"), axis=-1).reshape(-1, 3)
        places = lps_from_ras(grid.world_from_voxel(indices)) @ self.axes.T
        is_near = np.abs(places[:, 2] - height) <= reach
        indices, places = indices[is_near], places[is_near]
        indices = indices[drawing.shows(places[:, :2])]
        return np.ravel_multi_index(tuple(indices.T), grid.shape).astype(np.int64)


def usual_gap_mm(heights_mm: Iterable[float]) -> float | None:
    """Return the usual distance of planes, the lower quartile; None where there is one plane only.

    Gaps between parts that do not touch are larger than those within one.

    Examples
    --------
    >>> usual_gap_mm([0.0, 3.0, 3.001, 6.0, 12.0]), usual_gap_mm([0.0, 6.0, 12.0, 18.0, 21.0])
    (3.0, 6.0)
    """
    heights = np.unique(np.round(np.array(list(heights_mm)) / SAME_HEIGHT_MM)) * SAME_HEIGHT_MM
    gaps = np.diff(heights)
    return round(float(np.quantile(gaps, 0.25, method="nearest")), 6) if len(gaps) else None


def same_plane_mm(heights_mm: Sequence[float], *, step_mm: float) -> float:
    """Return how far what is drawn on one slice may lie from each other, for slices of a distance.

    Where the planes are those of a much finer scan, each is one of its own.

    Examples
    --------
    >>> same_plane_mm([0.0, 0.1, 0.5], step_mm=0.5), same_plane_mm([0.0, 0.2, 3.0], step_mm=3.0)
    (0.1, 0.25)
    >>> same_plane_mm([0.0, 0.2, 0.4, 0.6], step_mm=3.0)
    0.01
    """
    within_mm = min(SAME_PLANE_MM, SAME_PLANE_SHARE * step_mm)
    heights = np.sort(np.asarray(heights_mm, dtype=np.float64))
    rows = np.split(heights, np.flatnonzero(np.diff(heights) > ROW_OF_PLANES * within_mm) + 1)
    is_finer = any(len(row) and row[-1] - row[0] > ROW_OF_PLANES * within_mm for row in rows)
    return SAME_HEIGHT_MM if is_finer else within_mm


def are_apart(gap_mm: float, *, step_mm: float) -> bool:
    """Say whether planes lie too far apart for what is drawn on them to be one thing, as lesions of one slice each.

    Examples
    --------
    >>> [are_apart(gap_mm, step_mm=1.0) for gap_mm in (2.0, 10.0, 11.0)], are_apart(14.0, step_mm=5.0)
    ([False, False, True], False)
    """
    return gap_mm > max(LARGEST_GAP_MM, LARGEST_GAP_SLICES * step_mm)


def step_along(grid: Grid, normal: NDArray[np.float64]) -> float:
    """Return the distance in mm of neighbouring voxels of a grid along a direction in LPS."""
    return float(np.abs(lps_from_ras(grid.affine[:3, :3].T) @ normal).max())


def finest_step(grid: Grid) -> float:
    """Return the smallest distance in mm of neighbouring voxels."""
    return float(spacing_from_affine(grid.affine).min())
