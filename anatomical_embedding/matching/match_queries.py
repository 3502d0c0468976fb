"""Answers to a list of queries between stored volumes: one row a query, found or failed with the reason."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.embedding_store import EmbeddedVolume, open_store, read_provenance
from anatomical_embedding.matching.nearest import Matches, match_points
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.progress import track
from anatomical_embedding.settings.matching import MatchingSettings

QUERY_POINT = ["query_x_mm", "query_y_mm", "query_z_mm"]
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")
NUM_STORES_OPEN = 64
"""Stores are memory-mapped, so an open one costs little; the number of maps of a process is bounded."""


def match_queries(
    queries: pd.DataFrame, stores: Mapping[str, Path], *, method: str, settings: MatchingSettings
) -> pd.DataFrame:
    """Return the matches of all queries, in their order: with the columns of `MATCH_COLUMNS`.

    Each target is prepared once and asked by all its templates.

    Parameters
    ----------
    queries : query_id, template_id, target_id and query_x_mm, query_y_mm, query_z_mm in the template's world.
    stores : volume id to embedding store, all of one model.
    method : name written into every row.

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

    answers = []
    targets = queries.groupby("target_id", sort=True)
    for target_id, of_target in track(targets, description="matching in volumes", total=len(targets)):
        target = prepare_target(opened(str(target_id)), settings=settings)
        for template_id, rows in of_target.groupby("template_id", sort=True):
            points_mm = rows[QUERY_POINT].to_numpy(dtype=float)
            matches = match_points(opened(str(template_id)), target, points_mm, settings=settings)
            answers.append(pd.DataFrame(_columns(matches, method=method), index=rows.index))
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


def require_stores(queries: pd.DataFrame, stores: Mapping[str, Path]) -> None:
    """Refuse queries that name a volume without embedding store (`UserError`)."""
    missing = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(stores))
    if missing:
        raise UserError(
            f"the queries name the volume {missing[0]!r}, which has no embedding store; "
            "export the embeddings of its split"
        )
