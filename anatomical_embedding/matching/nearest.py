"""Nearest matching: for each query point the most similar cell of another volume, in world mm.

A prepared target serves any number of templates, so a stage prepares each volume once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.cell_search import CellSearch
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.matching.query_vectors import query_vectors
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class Matches:
    """The answers to a list of queries, in its order.

    Attributes
    ----------
    points_mm : (N, 3) mm RAS+ in the target's world; NaN where failed.
    similarity : (N,) weighted mean cosine in [-1, 1] at the best cell; NaN where failed.
    reason : (N,) why a query failed; empty where it was found.
    """

    points_mm: Points
    similarity: NDArray[np.float64]
    reason: tuple[str, ...]

    @property
    def status(self) -> tuple[str, ...]:
        """`found` or `failed` for each query."""
        return tuple("failed" if reason else "found" for reason in self.reason)


def match_nearest(
    template: EmbeddedVolume,
    target: EmbeddedVolume | PreparedTarget,
    query_points_mm: ArrayLike,
    *,
    settings: MatchingSettings,
    within: Volume | None = None,
) -> Matches:
    """Return where points of the template lie in the target.

    Parameters
    ----------
    template : volume in which the points are known.
    target : volume searched; prepare it once (`prepare_target`) when several templates ask.
    query_points_mm : (N, 3) mm RAS+ in the template's world.
    within : mask on the grid of the target; cells that touch none of it are no answers. None searches all.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    prepared = as_prepared(target, settings=settings)
    require_one_model(template, prepared.embedded)
    points_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    reasons = why_not_searched(template, points_mm)
    searched = np.array([not reason for reason in reasons], dtype=bool)
    answers_mm = np.full(points_mm.shape, np.nan)
    similarity = np.full(len(points_mm), np.nan)
    if searched.any():
        queries = query_vectors(template, points_mm[searched], interpolation=settings.query_interpolation)
        among = None if within is None else prepared.cells_touching(within)
        best = CellSearch(prepared, among).best_cells(queries)
        answers_mm[searched] = world_of_cells(prepared.embedded, best.cells_xyz)
        similarity[searched] = best.similarity
    return Matches(answers_mm, similarity, reasons)


def cycle_errors_mm(
    template: EmbeddedVolume | PreparedTarget,
    target: EmbeddedVolume,
    query_points_mm: ArrayLike,
    answers_mm: ArrayLike,
    *,
    settings: MatchingSettings,
    within: Volume | None = None,
) -> NDArray[np.float64]:
    """Return the (N,) distances in mm of query points from where their answers are matched to; NaN without an answer.

    Parameters
    ----------
    template : volume of the query points, which the way back searches; prepare it once for several targets.
    target : volume of the answers.
    query_points_mm, answers_mm : (N, 3) mm RAS+, each in the world of its volume.
    within : mask on the grid of the template, as in `match_nearest`.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    back = match_nearest(target, template, answers_mm, settings=settings, within=within)
    asked_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    return np.asarray(np.linalg.norm(back.points_mm - asked_mm, axis=1))


def similarity_map(
    template: EmbeddedVolume,
    target: EmbeddedVolume | PreparedTarget,
    point_mm: ArrayLike,
    *,
    settings: MatchingSettings,
) -> Volume:
    """Return the similarity of one template point and every fine cell of the target, float32.

    Raises
    ------
    UserError
        if the point lies outside the template, or the two embeddings come from different models.
    """
    prepared = as_prepared(target, settings=settings)
    require_one_model(template, prepared.embedded)
    point = np.asarray(point_mm, dtype=np.float64).reshape(1, 3)
    (reason,) = why_not_searched(template, point)
    if reason:
        raise UserError(f"point {point[0].tolist()} mm: {reason}")
    query = query_vectors(template, point, interpolation=settings.query_interpolation)
    return Volume(CellSearch(prepared).similarity_grid(query), prepared.embedded.fine.cell_affine)


def world_of_cells(volume: EmbeddedVolume, cells_xyz: ArrayLike) -> Points:
    """Return the (N, 3) mm RAS+ of (N, 3) fine cell indices, moved to the nearest voxel centre of the volume.

    The last cell of an axis may reach beyond the volume where its size is no multiple of the stride.
    """
    stride = np.array(volume.fine.stride_vox, dtype=np.float64)
    points_vox = np.asarray(cells_xyz, dtype=np.float64) * stride + (stride - 1.0) / 2.0
    return volume.world_from_voxel(np.clip(points_vox, 0.0, np.array(volume.shape) - 1.0))


def as_prepared(target: EmbeddedVolume | PreparedTarget, *, settings: MatchingSettings) -> PreparedTarget:
    """Return a volume ready for searching, as it is if it was prepared for these settings already."""
    if isinstance(target, EmbeddedVolume):
        return prepare_target(target, settings=settings)
    if target.settings != settings:
        raise ValueError("the target was prepared for other matching settings")
    return target


def require_one_model(template: EmbeddedVolume, target: EmbeddedVolume) -> None:
    """Refuse two embeddings of different models with a `UserError`."""
    models = [volume.origin.checkpoint_sha256 for volume in (template, target)]
    if models[0] != models[1]:
        raise UserError(
            f"the embeddings of {template.volume_id} and {target.volume_id} come from different models "
            f"({models[0][:12]} and {models[1][:12]}); export both with the same checkpoint"
        )


def why_not_searched(template: EmbeddedVolume, points_mm: Points) -> tuple[str, ...]:
    """Return for each query why it has no answer; empty where it can be searched."""
    finite = np.all(np.isfinite(points_mm), axis=1)
    inside = template.contains(np.where(finite[:, None], points_mm, 0.0))
    reasons = np.where(inside, "", "the point lies outside the scan that it belongs to")
    return tuple(np.where(finite, reasons, "the query is not finite").tolist())
