"""A smooth map of the world from scattered anchors and their partners: a local affine map round every place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from anatomical_embedding.matching.local_affine import SMALLEST_SCALE_MM, fit_local_affines
from anatomical_embedding.settings.usage import PropagationSettings
from anatomical_embedding.volumes.affine import Points

NODES_AT_ONCE = 4000
"""Local maps fitted together; bounds memory to about 100 MB."""


@dataclass(frozen=True)
class Shifts:
    """Shifts in mm on the nodes of a lattice along the axes of the world.

    Attributes
    ----------
    origin_mm, step_mm : (3,) the first node, and the distance of neighbours.
    shifts_mm : (I, J, K, 3).
    """

    origin_mm: NDArray[np.float64]
    step_mm: float
    shifts_mm: NDArray[np.float64]

    def moved(self, points_mm: Points) -> Points:
        """Return (N, 3) points moved by the shifts between the nodes."""
        at_nodes = ((points_mm - self.origin_mm) / self.step_mm).T
        shifts = [
            map_coordinates(self.shifts_mm[..., axis], at_nodes, order=1, mode="nearest") for axis in range(3)
        ]
        return points_mm + np.stack(shifts, axis=1)


def fit_shifts(source_mm: Points, goal_mm: Points, *, settings: PropagationSettings) -> Shifts:
    """Return the smooth map of (N, 3) anchors to their partners, on a lattice two steps beyond the outermost anchor.

    It costs about 0.05 ms for each node.
    """
    step_mm = settings.anchor_spacing_mm
    origin_mm = source_mm.min(axis=0) - 2 * step_mm
    num_nodes = np.ceil((source_mm.max(axis=0) + 2 * step_mm - origin_mm) / step_mm).astype(int) + 1
    nodes_mm = origin_mm + step_mm * np.indices(tuple(num_nodes)).reshape(3, -1).T
    places_mm = places_by_anchors(nodes_mm, source_mm, goal_mm, settings)
    return Shifts(origin_mm, step_mm, (places_mm - nodes_mm).reshape(*num_nodes, 3))


def places_by_anchors(
    points_mm: Points, source_mm: Points, goal_mm: Points, settings: PropagationSettings
) -> NDArray[np.float64]:
    """Return (N, 3) where points lie under the affine map of the (M, 3) anchors around each."""
    if not len(points_mm):
        return points_mm
    num_neighbours = min(settings.num_neighbours, len(source_mm))
    tree = cKDTree(source_mm)
    parts = []
    for start in range(0, len(points_mm), NODES_AT_ONCE):
        part = points_mm[start : start + NODES_AT_ONCE]
        distance_mm, neighbours = tree.query(part, k=num_neighbours)
        # Relative to the nearest one, so that far from all of them the weights do not vanish.
        nearness = np.exp((distance_mm[:, :1] ** 2 - distance_mm**2) / (2.0 * settings.reach_mm**2))
        fit = fit_local_affines(
            source_mm[neighbours] - part[:, np.newaxis],
            goal_mm[neighbours],
            nearness,
            stiffness_mm=settings.stiffness_mm,
            smallest_scale_mm=SMALLEST_SCALE_MM,
        )
        parts.append(fit.answers_mm)
    return np.concatenate(parts)
