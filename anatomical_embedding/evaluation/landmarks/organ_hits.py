"""How often an answer lies in the organ of its query: the share of points that carry a label to the right place.

A query counts if it lies in an organ of the template and its true place in the same organ of the target; so the centre
of a kidney counts, and a landmark at the border of two organs, or in none, does not. A failed query is no hit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.evaluation.landmarks.tables import ANSWER, QUERY_POINT, TRUTH_COLUMNS
from anatomical_embedding.volumes.volume import Volume


@dataclass(frozen=True)
class OrganHits:
    """Hits of one method.

    Attributes
    ----------
    num_queries : that lie in an organ in both volumes.
    share : of these whose answer lies in that organ; None where there are none.
    """

    num_queries: int
    share: float | None


def count_organ_hits(
    queries: pd.DataFrame, matches: pd.DataFrame, *, labels: Mapping[str, Volume]
) -> OrganHits:
    """Return the hits of the answers of one method.

    Parameters
    ----------
    queries : with truth.
    matches : one row per query, in any order.
    labels : volume id to its label map; queries of volumes without one do not count.
    """
    answers = matches.set_index("query_id").loc[queries["query_id"]]
    asked = _labels_at(queries[list(QUERY_POINT)], queries["template_id"], labels)
    true = _labels_at(queries[list(TRUTH_COLUMNS)], queries["target_id"], labels)
    found = _labels_at(answers[list(ANSWER)], queries["target_id"], labels)
    counts = (asked > 0) & (asked == true)
    num_queries = int(counts.sum())
    return OrganHits(num_queries, float((found == true)[counts].mean()) if num_queries else None)


def _labels_at(
    points_mm: pd.DataFrame, volume_ids: pd.Series, labels: Mapping[str, Volume]
) -> NDArray[np.int64]:
    """Return (N,) the label of the voxel at each point; 0 outside, without label map and at a point that is NaN."""
    points = points_mm.to_numpy(dtype=np.float64)
    names = volume_ids.to_numpy()
    found = np.zeros(len(points), dtype=np.int64)
    for name in sorted(set(names) & set(labels)):
        rows = np.flatnonzero((names == name) & np.isfinite(points).all(axis=1))
        found[rows] = labels[name].nearest_values(points[rows])
    return found
