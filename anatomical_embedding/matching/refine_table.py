"""The matches of a list of queries moved to the voxel by the scans: one row a query, with what became of it."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd

from anatomical_embedding.matching.match_queries import QUERY_POINT
from anatomical_embedding.matching.refine_scans import refine_between, refined_words
from anatomical_embedding.progress import track
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.raw_scan import RawScan

ANSWER_POINT = ["x_mm", "y_mm", "z_mm"]
NUM_SCANS_KEPT = 4
"""In memory; queries are taken target by target."""


def refine_table(
    queries: pd.DataFrame,
    matches: pd.DataFrame,
    read_scan: Callable[[str], RawScan],
    *,
    settings: RefinementSettings,
) -> pd.DataFrame:
    """Return matches with `x_mm`, `y_mm`, `z_mm` refined, and two more columns.

    `refined` is `yes` or says why not, `refinement_shift_mm` by how far the match was moved, 0 where it was not.

    Parameters
    ----------
    queries : query_id, template_id, target_id and the query point.
    matches : one row a query, in the same order.
    read_scan : volume id to the scan itself.

    Raises
    ------
    UserError
        if a scan cannot be read.
    """
    scan_of = lru_cache(maxsize=NUM_SCANS_KEPT)(read_scan)
    places_mm = matches[ANSWER_POINT].to_numpy(dtype=float, copy=True)
    asked_mm = queries[QUERY_POINT].to_numpy(dtype=float)
    shifts_mm = np.zeros(len(matches))
    refined = np.empty(len(matches), dtype=object)
    pairs = queries.reset_index(drop=True).groupby(["target_id", "template_id"], sort=True)
    for (target_id, template_id), rows in track(pairs, description="refining pairs", total=len(pairs)):
        moved = refine_between(
            scan_of(str(template_id)),
            scan_of(str(target_id)),
            asked_mm[rows.index],
            places_mm[rows.index],
            settings=settings,
        )
        places_mm[rows.index] = moved.points_mm
        shifts_mm[rows.index] = moved.shift_mm
        refined[rows.index] = refined_words(moved)
    moved_columns = dict(zip(ANSWER_POINT, places_mm.T, strict=True))
    return matches.assign(**moved_columns, refined=refined, refinement_shift_mm=shifts_mm)
