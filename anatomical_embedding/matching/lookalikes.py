"""Where the target looks like the surroundings of a query: at its answer alone, or all around it.

The embedding gives the cells of one organ vectors of their own; the scans themselves, compared more widely than to find
the voxel, say something else: whether the neighbourhood of the answer is that of the query, and whether another place
some way off fits it as well.
"""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.matching.local_correlation import correlations_around
from anatomical_embedding.matching.local_cubes import cube_offsets_mm
from anatomical_embedding.matching.voxel_refinement import POINTS_AT_ONCE
from anatomical_embedding.settings.refinement import LookalikeSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


def lookalike_distances_mm(
    template: Volume, queries_mm: Points, target: Volume, answers_mm: Points, *, settings: LookalikeSettings
) -> NDArray[np.float64]:
    """Return (N,) the mean distance from each answer of the places around it that look like its query.

    Small where the answer is the one place that fits; about three quarters of the reach where none or all do.

    Parameters
    ----------
    queries_mm, answers_mm : (N, 3) mm RAS+, each in the world of its scan; NaN gives NaN.
    """
    distances_mm = np.full(len(answers_mm), np.nan)
    rows = np.flatnonzero(np.isfinite(queries_mm).all(axis=1) & np.isfinite(answers_mm).all(axis=1))
    for start in range(0, len(rows), POINTS_AT_ONCE):
        part = rows[start : start + POINTS_AT_ONCE]
        lattice = correlations_around(template, queries_mm[part], target, answers_mm[part], settings=settings)
        distances_mm[part] = _mean_distances(lattice, settings=settings)
    return distances_mm


def _mean_distances(lattice: NDArray[np.float32], *, settings: LookalikeSettings) -> NDArray[np.float64]:
    """Return (N,) mm, over the ball within reach of (N, M, M, M) correlations, weighed by how high they are."""
    half = (lattice.shape[1] - 1) // 2
    steps = np.linalg.norm(cube_offsets_mm(np.arange(-half, half + 1.0)), axis=-1)
    is_near = steps <= half
    alike = lattice[:, is_near].astype(np.float64)
    weights = np.exp(settings.sharpness * (alike - alike.max(axis=1, keepdims=True)))
    return settings.step_mm * (weights @ steps[is_near]) / weights.sum(axis=1)
