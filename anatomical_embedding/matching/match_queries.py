"""Answers to a list of queries between stored volumes: one row per query, found or failed with the reason."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

from anatomical_embedding.embedding.store import open_store, read_origin
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.methods import match_by
from anatomical_embedding.matching.nearest import Matches
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.progress import track
from anatomical_embedding.settings.matching import MatchPointsSettings

QUERY_POINT = ["query_x_mm", "query_y_mm", "query_z_mm"]
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")
NUM_TEMPLATES_PREPARED = 4
"""Templates may be searched as well; a prepared one may hold a matrix of an eighth of its cells."""


def match_queries(
    queries: pd.DataFrame, stores: Mapping[str, Path], *, method: str, settings: MatchPointsSettings
) -> pd.DataFrame:
    """Return the matches of all queries, in their order.

    The columns are `MATCH_COLUMNS`, and what else the way of matching tells (`match_by`). Each target is prepared once
    and asked by all its templates.

    Parameters
    ----------
    queries : query_id, template_id, target_id and query_x_mm, query_y_mm, query_z_mm in the template's world.
    stores : volume id to embedding store, all of one model.
    method : name written into every row.
    settings : the way of matching.

    Raises
    ------
    UserError
        if a query names a volume that has no store, or a store is damaged or of another model than the others.
    """
    require_stores(queries, stores)
    if queries.empty:
        return pd.DataFrame(columns=list(MATCH_COLUMNS))
    model = read_origin(stores[queries["target_id"].iloc[0]]).checkpoint_sha256

    def searchable(volume_id: str) -> PreparedTarget:
        embedded = open_store(stores[volume_id], checkpoint_sha256=model)
        return prepare_target(embedded, settings=settings.matching)

    searchable_template = lru_cache(maxsize=NUM_TEMPLATES_PREPARED)(searchable)

    answers = []
    targets = queries.groupby("target_id", sort=True)
    for target_id, of_target in track(targets, description="matching in volumes", total=len(targets)):
        target = searchable(str(target_id))
        for template_id, rows in of_target.groupby("template_id", sort=True):
            found = match_by(
                settings.method,
                searchable_template(str(template_id)),
                target,
                rows[QUERY_POINT].to_numpy(dtype=float),
                with_way_back=settings.with_way_back,
            )
            columns = _columns(found.matches, method=method) | found.columns
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


def require_stores(queries: pd.DataFrame, stores: Mapping[str, Path]) -> None:
    """Refuse queries that name a volume without embedding store (`UserError`)."""
    missing = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(stores))
    if missing:
        raise UserError(
            f"the queries name the volume {missing[0]!r}, which has no embedding store; "
            "export the embeddings of its split"
        )
