"""The vectors of query points: what is searched for in the other volume."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume, HeadMap
from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points


@dataclass(frozen=True)
class QueryVectors:
    """One unit vector a query and head.

    Attributes
    ----------
    fine, coarse : (N, C) float32.
    semantic : (N, C) float32 or None.
    """

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    semantic: NDArray[np.float32] | None


def query_vectors(
    template: EmbeddedVolume, points_mm: ArrayLike, *, interpolation: Literal["trilinear", "nearest"]
) -> QueryVectors:
    """Return the vectors of a template's heads at world points.

    Vectors are interpolated trilinearly between cells and normalised again; beyond the outermost cells the border
    counts. With `nearest` the points first move to the centre of their fine cell, so that the fine vector is that of
    the cell and the coarse one that of the map upsampled to the fine grid (the published way).

    Parameters
    ----------
    points_mm : (N, 3) finite, mm RAS+.
    """
    points_mm = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
    if interpolation == "nearest":
        points_mm = transform_points(template.fine.cell_affine, nearest_cells(template.fine, points_mm))
    return QueryVectors(
        fine=_interpolated(template.fine, points_mm),
        coarse=_interpolated(template.coarse, points_mm),
        semantic=None if template.semantic is None else _interpolated(template.semantic, points_mm),
    )


def nearest_cells(head: HeadMap, points_mm: ArrayLike) -> NDArray[np.int64]:
    """Return the (N, 3) index (x, y, z) of the cell whose centre is nearest to each (N, 3) point in mm RAS+."""
    cells = transform_points(invert_affine(head.cell_affine), points_mm)
    return np.clip(np.floor(cells + 0.5), 0, np.array(head.shape_zyx[::-1]) - 1).astype(np.int64)


def _interpolated(head: HeadMap, points_mm: Points) -> NDArray[np.float32]:
    last = np.array(head.shape_zyx) - 1
    cells = transform_points(invert_affine(head.cell_affine), points_mm)[:, ::-1]
    cells = np.clip(cells, 0, last)  # (N, 3) z, y, x
    lower = np.floor(cells).astype(np.int64)
    fraction = cells - lower
    total = np.zeros((len(cells), head.values.shape[3]))
    for corner in product((0, 1), repeat=3):
        weight = np.where(corner, fraction, 1.0 - fraction).prod(axis=1)
        total += weight[:, None] * head.vectors_at(np.minimum(lower + corner, last))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, np.finfo(np.float32).tiny)).astype(np.float32)
