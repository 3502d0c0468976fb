"""Points that a registration carries to the other scan, judged in the words of every other answer.

What a match is asked, whether it lies within `confidence.fit.within_mm` with at least
`confidence.decision.found_probability`, is asked of a carried point as well. A registration of two CTs of one patient
says how far a place may be off in four of five cases; other registrations say nothing, so their points are `unknown`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.arguments import point_array, require_choice
from anatomical_embedding.matching.decision import OUT_OF_VIEW, Decision
from anatomical_embedding.registration.field_doubt import DOUBT_SHARE, doubt_at
from anatomical_embedding.registration.guided_start import GuidedStart
from anatomical_embedding.registration.itk_transform import transform_by_itk
from anatomical_embedding.settings.confidence import ConfidenceSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.registration import ScanRegistration
from anatomical_embedding.volumes.affine import Points

Side = Literal["fixed", "moving"]
"""Scan that points are given in."""
NO_START = "no start was found, the bodies were centred on one another"
NOT_IN_SCAN = "the point lies outside its scan"
NO_DOUBT = "how far it may be off is known between two CTs of one patient alone, and where both show the body"


@dataclass(frozen=True)
class CarriedPoints:
    """N points of one scan in the other, and what is thought of each.

    Attributes
    ----------
    points_mm : (N, 3) mm RAS+ in the other scan's world.
    doubt_mm : (N,) distance from the answer within which the true place lies in four of five cases; NaN where that is
        not known.
    decision : (N,) found, review, out_of_view, failed or unknown.
    reason : (N,) why it is not found; empty where it is.
    """

    points_mm: Points
    doubt_mm: NDArray[np.float64]
    decision: tuple[Decision, ...]
    reason: tuple[str, ...]


def carry_registered_points(
    model: Model, found: ScanRegistration, points_mm: ArrayLike, *, side: Side = "fixed"
) -> CarriedPoints:
    """Return where points of one registered scan lie in the other.

    Parameters
    ----------
    model : that registered; its settings say what is asked of an answer that is `found`.
    found : the registration.
    points_mm : (N, 3) mm RAS+ in the world of the scan of `side`.

    Raises
    ------
    UserError
        if the points are no (N, 3) numbers, or the side is none.
    """
    require_choice("side", side, Side)
    asked = point_array(points_mm)
    is_fixed = side == "fixed"
    carried = transform_by_itk(found.forward if is_fixed else found.inverse, asked)
    scan, goal = (found.fixed, found.moving) if is_fixed else (found.moving, found.fixed)
    doubt = np.full(len(asked), np.nan)
    if found.doubt is not None:
        doubt = doubt_at(found.doubt, asked if is_fixed else carried)
    is_inside, is_shown = scan.contains(asked), goal.contains(carried)
    decided = [
        _decide(
            found.start,
            doubt[row],
            is_inside=bool(is_inside[row]),
            is_shown=bool(is_shown[row]),
            settings=model.card.usage.confidence,
        )
        for row in range(len(asked))
    ]
    return CarriedPoints(carried, doubt, tuple(each for each, _ in decided), tuple(why for _, why in decided))


def _decide(
    start: GuidedStart, doubt_mm: float, *, is_inside: bool, is_shown: bool, settings: ConfidenceSettings
) -> tuple[Decision, str]:
    if start.status == "failed":
        return "failed", f"{NO_START}: {start.reason}"
    if not is_shown:
        return "out_of_view", OUT_OF_VIEW
    if not is_inside:
        return "review", NOT_IN_SCAN
    if np.isnan(doubt_mm):
        return "unknown", NO_DOUBT
    within_mm, asked = settings.fit.within_mm, settings.decision.found_probability
    if doubt_mm <= within_mm and asked <= DOUBT_SHARE:
        return "found", ""
    known = f"{100 * DOUBT_SHARE:.0f} % sure to lie within {doubt_mm:.1f} mm"
    return "review", f"{known}, not {100 * asked:.0f} % within {within_mm:g} mm"
