"""Answers to a list of queries between stored volumes: one row per query, found or failed with the reason."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from anatomical_embedding.embedding.store import EmbeddedVolume, open_store, read_provenance
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.nearest import Matches, cycle_errors_mm, match_points
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.matching.stable_points import StablePoints, match_stable_points
from anatomical_embedding.progress import track
from anatomical_embedding.settings.matching import MatchPointsSettings

QUERY_POINT = ["query_x_mm", "query_y_mm", "query_z_mm"]
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")
STABLE_POINT_COLUMNS = ("num_anchors", "residual_mm", "cycle_error_mm", "is_fallback")
"""Further columns of the matches by stable points."""
CYCLE_COLUMN = "cycle_error_mm"
"""Further column of nearest matches that are matched back."""
NUM_STORES_OPEN = 64
"""Stores are memory-mapped, so an open one costs little; the number of maps of a process is bounded."""
NUM_TEMPLATES_PREPARED = 4
"""Stable points search their templates as well; a prepared one may hold a matrix of an eighth of its cells."""


def match_queries(
    queries: pd.DataFrame, stores: Mapping[str, Path], *, method: str, settings: MatchPointsSettings
) -> pd.DataFrame:
    """Return the matches of all queries, in their order.

    The columns are `MATCH_COLUMNS`, and for stable points `STABLE_POINT_COLUMNS` as well, or `CYCLE_COLUMN` where the
    settings ask for the way back. Each target is prepared once and asked by all its templates.

    Parameters
    ----------
    queries : query_id, template_id, target_id and query_x_mm, query_y_mm, query_z_mm in the template's world.
    stores : volume id to embedding store, all of one model.
    method : name written into every row.
    settings : how points are found, with `stable_points` where anchors round a query decide.

    Raises
    ------
    UserError
        if a query names a volume that has no store, or a store is damaged or of another model than the others.
    """
    require_stores(queries, stores)
    if queries.empty:
        return pd.DataFrame(columns=list(MATCH_COLUMNS))
    model = read_provenance(stores[queries["target_id"].iloc[0]]).checkpoint_sha256

    @lru_cache(maxsize=NUM_STORES_OPEN)
    def opened(volume_id: str) -> EmbeddedVolume:
        return open_store(stores[volume_id], checkpoint_sha256=model)

    @lru_cache(maxsize=NUM_TEMPLATES_PREPARED)
    def searchable(volume_id: str) -> PreparedTarget:
        return prepare_target(opened(volume_id), settings=settings.matching)

    answers = []
    targets = queries.groupby("target_id", sort=True)
    for target_id, of_target in track(targets, description="matching in volumes", total=len(targets)):
        target = prepare_target(opened(str(target_id)), settings=settings.matching)
        for template_id, rows in of_target.groupby("template_id", sort=True):
            points_mm = rows[QUERY_POINT].to_numpy(dtype=float)
            if settings.stable_points is None:
                matches = match_points(
                    opened(str(template_id)), target, points_mm, settings=settings.matching
                )
                columns = _columns(matches, method=method)
                if settings.with_way_back:
                    columns[CYCLE_COLUMN] = cycle_errors_mm(
                        searchable(str(template_id)),
                        target.embedded,
                        points_mm,
                        matches.points_mm,
                        settings=settings.matching,
                    )
            else:
                found = match_stable_points(
                    searchable(str(template_id)),
                    target,
                    points_mm,
                    settings=settings.matching,
                    stable_points=settings.stable_points,
                )
                columns = _columns(found.matches, method=method) | _stable_point_columns(found)
            answers.append(pd.DataFrame(columns, index=rows.index))
    return pd.concat([queries["query_id"], pd.concat(answers).loc[queries.index]], axis=1)


def _columns(matches: Matches, *, method: str) -> dict[str, object]:
    x_mm, y_mm, z_mm = matches.points_mm.T
    return {
        "method": method,
        "x_mm": x_mm,
        "y_mm": y_mm,
        "z_mm": z_mm,
        "similarity": matches.similarity,
        "status": matches.status,
        "reason": matches.reason,
    }


def _stable_point_columns(found: StablePoints) -> dict[str, object]:
    return {name: getattr(found, name) for name in STABLE_POINT_COLUMNS}


def require_stores(queries: pd.DataFrame, stores: Mapping[str, Path]) -> None:
    """Refuse queries that name a volume without embedding store (`UserError`)."""
    missing = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(stores))
    if missing:
        raise UserError(
            f"the queries name the volume {missing[0]!r}, which has no embedding store; "
            "export the embeddings of its split"
        )
