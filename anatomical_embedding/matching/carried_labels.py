"""What became of each label that is carried to another scan, and how far to trust it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from anatomical_embedding.matching.decision import Decision
from anatomical_embedding.settings.usage import PropagationSettings
from anatomical_embedding.volumes.affine import Points

MOST_OUTSIDE_IN_A_LABEL_OF_THE_SCAN = 0.5
"""Share of a label outside the scan, or its body, beyond which it is hardly one of this scan: its place is another."""
MOST_OUTSIDE_UNSAID = 0.05
"""Share outside that margins of a mask reach; a label with more of it is for review."""
NUM_JUDGED = 3
"""Points of a label by which it is told whether the confidence was fitted to the like: what is unlike is so around."""


@dataclass(frozen=True)
class CarriedLabel:
    """What became of one label.

    Attributes
    ----------
    label : its number.
    from_ml, to_ml : volume in the template and in the target.
    outside_share : part of it that lies outside the template, 0 to 1.
    num_asked, num_anchors : points in and around it that were matched, and that came back.
    decision, reason : found; review or failed, and why; unknown where the model holds no confidence.
    """

    label: int
    from_ml: float
    to_ml: float
    outside_share: float
    num_asked: int
    num_anchors: int
    decision: Decision
    reason: str


def share_in_words(share: float) -> str:
    """Return a share of 0 to 1 in words."""
    return f"{100 * share:.0f} %" if share < 1 else "all"


def judge_label(
    label: int,
    *,
    from_ml: float,
    to_ml: float,
    outside_share: float,
    air_share: float,
    num_asked: int,
    num_anchors: int,
    settings: PropagationSettings,
) -> CarriedLabel:
    """Return what became of a label: where it failed it has no volume in the target.

    Parameters
    ----------
    label, from_ml, to_ml, outside_share, num_asked, num_anchors : as in `CarriedLabel`.
    air_share : part of it that lies outside the body in the template, 0 to 1.
    settings : how many of its points must come back.
    """
    decision: Decision = "found"
    reason = ""
    outside = f"{share_in_words(outside_share)} of it lies outside the scan that it belongs to"
    if outside_share > MOST_OUTSIDE_IN_A_LABEL_OF_THE_SCAN:
        decision, reason = "failed", outside
    elif num_anchors < settings.min_anchors:
        decision, reason = "failed", f"{num_anchors} of {num_asked} points around it match back"
    elif to_ml == 0:
        decision, reason = "failed", "its place lies outside the target, or between its voxels"
    elif num_anchors < settings.min_return_share * num_asked:
        decision, reason = "review", f"{num_anchors} of {num_asked} points around it match back"
    elif outside_share > MOST_OUTSIDE_UNSAID:
        decision, reason = "review", outside
    elif air_share > MOST_OUTSIDE_IN_A_LABEL_OF_THE_SCAN:
        decision, reason = "review", f"{share_in_words(air_share)} of it lies outside the body"
    return CarriedLabel(
        label,
        from_ml,
        0.0 if decision == "failed" else to_ml,
        outside_share,
        num_asked,
        num_anchors,
        decision,
        reason,
    )


def held_against_fit(
    rows: Sequence[CarriedLabel], regions: Mapping[int, Points], unlike: Callable[[Points], Sequence[str]]
) -> list[CarriedLabel]:
    """Return the labels; of those found, the ones for review that are unlike what the confidence was fitted to.

    Parameters
    ----------
    regions : (N, 3) world points of each label in the template.
    unlike : says of points what is unlike, empty where nothing is.
    """
    asked = {row.label: _spread(regions[row.label]) for row in rows if row.decision == "found"}
    if not asked:
        return list(rows)
    reasons = iter(unlike(np.concatenate(list(asked.values()))))
    reasons_of = {
        label: [word for word in islice(reasons, len(points)) if word] for label, points in asked.items()
    }
    return [
        replace(row, decision="review", reason=reasons_of[row.label][0])
        if row.label in reasons_of and 2 * len(reasons_of[row.label]) > len(asked[row.label])
        else row
        for row in rows
    ]


def _spread(points_mm: Points) -> Points:
    """Return a few of (N, 3) points, none of the outermost ones where there are more."""
    number = min(NUM_JUDGED, len(points_mm))
    return points_mm[((np.arange(number) + 0.5) / number * len(points_mm)).astype(np.int64)]
