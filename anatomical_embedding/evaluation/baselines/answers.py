"""Answers of the baselines to a list of queries: one row per query, found or failed with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.evaluation.baselines.body_box import (
    BodyBox,
    EmptyBodyMaskError,
    body_affine,
    same_coordinate,
)
from anatomical_embedding.evaluation.baselines.cross_correlation import (
    CorrelationTarget,
    NoCorrelationError,
    cube_round,
    odd_cube_size,
)
from anatomical_embedding.evaluation.landmarks.tables import MATCH_COLUMNS, QUERY_POINT
from anatomical_embedding.progress import track
from anatomical_embedding.settings.evaluation import BaselineSettings, NccSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume

NUM_TARGETS_KEPT = 2
"""Prepared correlation targets in memory; queries come sorted by target, so one is in use."""
NUM_TEMPLATES_KEPT = 64
"""Templates in memory at the working spacing."""


@dataclass(frozen=True)
class PreparedScan:
    """What a baseline sees of a volume: the prepared image and its body mask on the same grid."""

    image: Volume
    body_mask: Volume


@dataclass(frozen=True)
class PointMatch:
    """The answer to one query.

    Attributes
    ----------
    point_mm : (3,) world mm RAS+ of the target; None if the query failed.
    similarity : in [-1, 1]; None for methods that compare nothing.
    reason : why the query failed; empty if it did not.
    """

    point_mm: np.ndarray | None
    similarity: float | None = None
    reason: str = ""


LoadScan = Callable[[str], PreparedScan]
"""Gives the prepared scan of a volume_id."""

Matcher = Callable[[str, str, Points], Sequence[PointMatch]]
"""Answers queries of one pair: (template_id, target_id, (N, 3) points) to N answers."""


def answer_queries(queries: pd.DataFrame, matcher: Matcher, *, method: str) -> pd.DataFrame:
    """Return the matches table of a baseline: one row per query, in the order of the queries.

    Parameters
    ----------
    queries : columns of a queries file without the truth.
    matcher : the baseline.
    method : its name, written into every row.
    """
    answers: dict[str, PointMatch] = {}
    pairs = queries.groupby(["target_id", "template_id"], sort=True)
    for (target_id, template_id), rows in track(pairs, description=f"matching by {method}", total=len(pairs)):
        points_mm = rows[list(QUERY_POINT)].to_numpy()
        try:
            matches = matcher(str(template_id), str(target_id), points_mm)
        except EmptyBodyMaskError as error:
            matches = [PointMatch(None, reason=str(error))] * len(rows)
        answers.update(zip(rows["query_id"], matches, strict=True))
    return pd.DataFrame(
        [_match_row(query_id, method, answers[query_id]) for query_id in queries["query_id"]],
        columns=list(MATCH_COLUMNS),
    )


def baseline_matcher(settings: BaselineSettings, load: LoadScan) -> Matcher:
    """Return the baseline of the settings, with scans to be loaded as they are needed."""
    match settings.method:
        case "same_coordinate":
            return box_matcher(same_coordinate, load)
        case "body_affine":
            return box_matcher(body_affine, load)
        case "ncc":
            if settings.ncc is None:
                raise SettingsError("ncc: is null, expected the settings of the baseline ncc")
            return ncc_matcher(load, settings.ncc)


def box_matcher(place: Callable[[Points, BodyBox, BodyBox], Points], load: LoadScan) -> Matcher:
    """Return the baseline that places points by body boxes alone: `same_coordinate` or `body_affine`."""
    box_of = _box_loader(load)

    def match_by_box(template_id: str, target_id: str, points_mm: Points) -> list[PointMatch]:
        return [PointMatch(point) for point in place(points_mm, box_of(template_id), box_of(target_id))]

    return match_by_box


def ncc_matcher(load: LoadScan, settings: NccSettings) -> Matcher:
    """Return the baseline that looks for the most similar cube.

    The cube is taken round the voxel nearest to the query on the template's working grid; the part of a voxel
    between the two is added to the answer, so the grid itself adds no error.
    """
    box_of = _box_loader(load)
    cube_size = odd_cube_size(settings.cube_mm, spacing_mm=settings.spacing_mm)
    spacing_mm = (settings.spacing_mm,) * 3

    @lru_cache(maxsize=NUM_TEMPLATES_KEPT)
    def template_of(volume_id: str) -> Volume:
        return resample_to_spacing(load(volume_id).image, spacing_mm=spacing_mm, is_label=False)

    @lru_cache(maxsize=NUM_TARGETS_KEPT)
    def target_of(volume_id: str) -> CorrelationTarget:
        mask = resample_to_spacing(load(volume_id).body_mask, spacing_mm=spacing_mm, is_label=True)
        return CorrelationTarget(template_of(volume_id), mask.array != 0, cube_size=cube_size)

    def match_cubes(template_id: str, target_id: str, points_mm: Points) -> list[PointMatch]:
        centres_mm = body_affine(points_mm, box_of(template_id), box_of(target_id))
        template, target = template_of(template_id), target_of(target_id)
        return [
            _match_cube(template, target, point_mm, centre_mm, settings.search_radius_mm)
            for point_mm, centre_mm in zip(points_mm, centres_mm, strict=True)
        ]

    return match_cubes


def _box_loader(load: LoadScan) -> Callable[[str], BodyBox]:
    @cache
    def box_of(volume_id: str) -> BodyBox:
        try:
            return BodyBox.of(load(volume_id).body_mask)
        except EmptyBodyMaskError as error:
            raise EmptyBodyMaskError(f"{error} in volume {volume_id!r}") from error

    return box_of


def _match_cube(
    template: Volume,
    target: CorrelationTarget,
    point_mm: np.ndarray,
    centre_mm: np.ndarray,
    radius_mm: float | None,
) -> PointMatch:
    if not template.contains(point_mm):
        return PointMatch(None, reason="the query point lies outside the template")
    point_vox = template.voxel_from_world(point_mm)
    voxel = np.clip(np.rint(point_vox), 0, np.array(template.shape) - 1).astype(np.int64)
    cube = cube_round(template.array, voxel, size=target.cube_size)
    try:
        best = target.best_place(cube, centre_mm=centre_mm, radius_mm=radius_mm)
    except NoCorrelationError as error:
        return PointMatch(None, reason=str(error))
    answer_mm = target.target.world_from_voxel(best.voxel + (point_vox - voxel))
    return PointMatch(answer_mm, best.correlation)


def _match_row(query_id: str, method: str, match: PointMatch) -> tuple:
    if match.point_mm is None:
        return query_id, method, np.nan, np.nan, np.nan, np.nan, "failed", match.reason
    x_mm, y_mm, z_mm = match.point_mm
    similarity = np.nan if match.similarity is None else match.similarity
    return query_id, method, x_mm, y_mm, z_mm, similarity, "found", ""
