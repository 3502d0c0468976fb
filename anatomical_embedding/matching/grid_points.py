"""A lattice of points in one volume, matched to another and back: what a registration starts from."""

import numpy as np

from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.matching.nearest import cycle_errors_mm, match_nearest
from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.settings.registration import MatchGridSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


def match_grid(
    fixed: EmbeddedVolume,
    moving: EmbeddedVolume,
    *,
    fixed_body: Volume,
    moving_body: Volume,
    settings: MatchGridSettings,
) -> Correspondences:
    """Return correspondences of two bodies, asked in the volume with the smaller field of view.

    Parameters
    ----------
    fixed, moving : embeddings of one model, which need to hold vectors in and round the bodies alone.
    fixed_body, moving_body : body masks on the volumes' grids.
    settings : the lattice, what is kept, and how points are matched.
    """
    is_fixed_smaller = _extent_mm3(fixed_body) <= _extent_mm3(moving_body)
    sides = (fixed, fixed_body), (moving, moving_body)
    (asked, asked_body), (searched, searched_body) = sides if is_fixed_smaller else sides[::-1]
    points_mm = lattice_in_body(asked_body, spacing_mm=settings.grid.spacing_mm)
    there = match_nearest(asked, searched, points_mm, settings=settings.matching, within=searched_body)
    distance_mm = cycle_errors_mm(
        asked, searched, points_mm, there.points_mm, settings=settings.matching, within=asked_body
    )
    found = np.isfinite(distance_mm)
    distance_mm = distance_mm[found]
    similarity = there.similarity[found]
    limit = settings.grid.max_return_distance_mm
    is_kept = (similarity >= settings.grid.min_similarity) & (
        distance_mm <= (np.inf if limit is None else limit)
    )
    pair = (points_mm[found], there.points_mm[found])
    fixed_mm, moving_mm = pair if is_fixed_smaller else pair[::-1]
    return Correspondences(fixed_mm, moving_mm, similarity, distance_mm, is_kept)


def lattice_in_body(body: Volume, *, spacing_mm: tuple[float, float, float]) -> Points:
    """Return (N, 3) world points of a lattice inside a body mask, centred on the volume.

    Parameters
    ----------
    body : positive inside the body.
    spacing_mm : distance of neighbours along the array axes; at least one voxel.
    """
    axes = []
    for size, step in zip(body.shape, np.maximum(np.array(spacing_mm) / body.spacing_mm, 1.0), strict=True):
        number = int((size - 1) // step) + 1
        axes.append((size - 1 - (number - 1) * step) / 2.0 + step * np.arange(number))
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = np.rint(lattice).astype(int)
    return body.world_from_voxel(lattice[body.array[nearest[:, 0], nearest[:, 1], nearest[:, 2]] > 0])


def _extent_mm3(body: Volume) -> float:
    return float(np.prod(np.array(body.shape) * body.spacing_mm))
