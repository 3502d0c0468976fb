"""The evidence around a list of answers between stored volumes: one row per query."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.embedding.store import open_store, read_origin
from anatomical_embedding.matching.match_evidence import (
    Evidence,
    body_points,
    find_anchors,
    measure_evidence,
)
from anatomical_embedding.matching.match_queries import QUERY_POINT, require_stores
from anatomical_embedding.matching.prepared_target import PreparedTarget, prepare_target
from anatomical_embedding.progress import track
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.tracking import EvidenceSettings
from anatomical_embedding.volumes.nifti import map_volume

EVIDENCE_COLUMNS = ("query_id", *(field.name for field in fields(Evidence)))
ANSWER_POINT = ["x_mm", "y_mm", "z_mm"]
NUM_VOLUMES_PREPARED = 2


def assess_matches(
    queries: pd.DataFrame,
    matches: pd.DataFrame,
    stores: Mapping[str, Path],
    *,
    body_masks: Mapping[str, Path],
    matching: MatchingSettings,
    settings: EvidenceSettings,
) -> pd.DataFrame:
    """Return the evidence of all queries, in their order: with the columns of `EVIDENCE_COLUMNS`.

    Parameters
    ----------
    queries : query_id, template_id, target_id and the query point.
    matches : one row per query, in any order, with x_mm, y_mm, z_mm.
    stores, body_masks : by volume id.

    Raises
    ------
    UserError
        if a query names a volume that has no store, or a store is damaged or of another model than the others.
    """
    require_stores(queries, stores)
    if queries.empty:
        return pd.DataFrame(columns=list(EVIDENCE_COLUMNS))
    model = read_origin(stores[queries["target_id"].iloc[0]]).checkpoint_sha256
    answers = matches.set_index("query_id").loc[queries["query_id"], ANSWER_POINT].to_numpy(dtype=np.float64)

    @lru_cache(maxsize=NUM_VOLUMES_PREPARED)
    def prepared(volume_id: str) -> PreparedTarget:
        return prepare_target(open_store(stores[volume_id], checkpoint_sha256=model), settings=matching)

    parts = []
    pairs = queries.reset_index(drop=True).groupby(["template_id", "target_id"], sort=True)
    for (template_id, target_id), rows in track(pairs, description="assessing pairs", total=len(pairs)):
        template, target = prepared(str(template_id)), prepared(str(target_id))
        candidates_mm = body_points(
            map_volume(body_masks[str(template_id)]), spacing_mm=settings.anchor_spacing_mm
        )
        evidence = measure_evidence(
            template,
            target,
            rows[QUERY_POINT].to_numpy(dtype=np.float64),
            answers[rows.index],
            anchors=find_anchors(template, target, candidates_mm, settings=settings, matching=matching),
            matching=matching,
            settings=settings,
        )
        parts.append(pd.DataFrame(asdict(evidence), index=rows.index))
    table = pd.concat(parts).sort_index()
    table.insert(0, "query_id", queries["query_id"].to_numpy())
    return table
