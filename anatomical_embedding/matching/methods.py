"""Every way of matching, behind one function: the settings of a way of matching say how the points are found."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.matching.nearest import Matches, cycle_errors_mm, match_nearest
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.matching.stable_points import match_stable_points
from anatomical_embedding.settings.matching import MatchingMethod, NearestSettings, StablePointSettings

CYCLE_COLUMN = "cycle_error_mm"


@dataclass(frozen=True)
class MethodMatches:
    """What a way of matching answers to a list of queries, in its order.

    Attributes
    ----------
    matches : points, similarity and reasons of failure.
    columns : name -> (N,) what else it tells of its answers, for tables; `cycle_error_mm` is the distance of the query
        from the place that the answer is matched to in the template, mm, NaN without an answer.
    """

    matches: Matches
    columns: dict[str, NDArray]


def match_by(
    method: MatchingMethod,
    template: PreparedTarget,
    target: PreparedTarget,
    query_points_mm: ArrayLike,
    *,
    with_way_back: bool,
) -> MethodMatches:
    """Return where points of the template lie in the target.

    Parameters
    ----------
    method : the way of matching.
    template, target : prepared for the same settings; a way of matching may search both.
    query_points_mm : (N, 3) mm RAS+ in the template's world.
    with_way_back : `cycle_error_mm` is wanted; there may be one where it is not.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    points_mm = np.asarray(query_points_mm, dtype=np.float64).reshape(-1, 3)
    matching = target.settings
    match method:
        case NearestSettings():
            matches = match_nearest(template.embedded, target, points_mm, settings=matching)
            columns = {}
        case StablePointSettings():
            found = match_stable_points(template, target, points_mm, settings=matching, stable_points=method)
            matches = found.matches
            columns = {
                "num_anchors": found.num_anchors,
                "residual_mm": found.residual_mm,
                CYCLE_COLUMN: found.cycle_error_mm,
                "is_fallback": found.is_fallback,
            }
        case _:
            assert_never(method)
    if with_way_back and CYCLE_COLUMN not in columns:
        columns[CYCLE_COLUMN] = cycle_errors_mm(
            template, target.embedded, points_mm, matches.points_mm, settings=matching
        )
    return MethodMatches(matches, columns)
