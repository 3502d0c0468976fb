"""Answers to a list of queries between stored volumes: one row per query, found or failed, and what speaks for it."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.confidence import FEATURES
from anatomical_embedding.embedding.cut_view import cut_view
from anatomical_embedding.embedding.store import open_store, read_origin
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.match_evidence import find_anchors, measure_evidence
from anatomical_embedding.matching.methods import CYCLE_COLUMN, match_by
from anatomical_embedding.matching.nearest import Matches
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.progress import track
from anatomical_embedding.settings.matching import MatchPointsSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.nifti import map_volume

QUERY_POINT = ["query_x_mm", "query_y_mm", "query_z_mm"]
VIEW = ["view_low_mm", "view_high_mm"]
"""Heights between which the target of a query is seen, where not all of it is: see `embedding/cut_view.py`."""
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")
NUM_TEMPLATES_PREPARED = 4
"""Templates may be searched as well; a prepared one may hold a matrix of an eighth of its cells."""


def match_queries(
    queries: pd.DataFrame,
    stores: Mapping[str, Path],
    *,
    method: str,
    settings: MatchPointsSettings,
    body_masks: Mapping[str, Path],
) -> pd.DataFrame:
    """Return the matches of all queries, in their order.

    The columns are `MATCH_COLUMNS`, what else the way of matching tells (`match_by`), and the evidence, where it is
    wanted (`measure_evidence`). Each target is prepared once and asked by all its templates.

    Parameters
    ----------
    queries : query_id, template_id, target_id and query_x_mm, query_y_mm, query_z_mm in the template's world; with
        `view_low_mm` and `view_high_mm` targets are seen only in part, where these are finite.
    stores : volume id to embedding store, all of one model.
    method : name written into every row.
    settings : the way of matching, and the evidence.
    body_masks : volume id to body mask, in which anchors are looked for; read where evidence is wanted.

    Raises
    ------
    UserError
        if a query names a volume that has no store, or a store is damaged or of another model than the others.
    """
    require_stores(queries, stores)
    if queries.empty:
        return pd.DataFrame(columns=list(dict.fromkeys([*MATCH_COLUMNS, *FEATURES])))
    model = read_origin(stores[queries["target_id"].iloc[0]]).checkpoint_sha256

    def searchable(volume_id: str, low_mm: float = -np.inf, high_mm: float = np.inf) -> PreparedTarget:
        embedded = open_store(stores[volume_id], checkpoint_sha256=model)
        if np.isfinite([low_mm, high_mm]).any():
            embedded = cut_view(embedded, low_mm=low_mm, high_mm=high_mm)
        return prepare_target(embedded, settings=settings.matching)

    searchable_template = lru_cache(maxsize=NUM_TEMPLATES_PREPARED)(searchable)

    answers = []
    views = queries.assign(**{name: queries.get(name, np.nan) for name in VIEW})
    views[VIEW] = views[VIEW].fillna({VIEW[0]: -np.inf, VIEW[1]: np.inf})
    targets = views.groupby(["target_id", *VIEW], sort=True)
    for (target_id, *view), of_target in track(
        targets, description="matching in volumes", total=len(targets)
    ):
        target = searchable(str(target_id), *view)
        for template_id, rows in of_target.groupby("template_id", sort=True):
            columns = _answers(
                searchable_template(str(template_id)),
                target,
                rows[QUERY_POINT].to_numpy(dtype=float),
                template_body=body_masks.get(str(template_id)),
                settings=settings,
            )
            answers.append(pd.DataFrame({"method": method} | columns, index=rows.index))
    return pd.concat([queries["query_id"], pd.concat(answers).loc[queries.index]], axis=1)


def _answers(
    template: PreparedTarget,
    target: PreparedTarget,
    points_mm: Points,
    *,
    template_body: Path | None,
    settings: MatchPointsSettings,
) -> dict[str, object]:
    """Return the columns of one pair of volumes."""
    wants_evidence = settings.evidence is not None
    found = match_by(settings.method, template, target, points_mm, with_way_back=wants_evidence)
    columns = _columns(found.matches) | found.columns
    if settings.evidence is None:
        return columns
    body = None if template_body is None else map_volume(template_body)
    return columns | measure_evidence(
        template,
        target,
        points_mm,
        found.matches,
        template_body=body,
        cycle_error_mm=found.columns[CYCLE_COLUMN],
        anchors=find_anchors(template, target, template_body=body, settings=settings.evidence),
        settings=settings.evidence,
    )


def _columns(matches: Matches) -> dict[str, object]:
    x_mm, y_mm, z_mm = matches.points_mm.T
    return {
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
