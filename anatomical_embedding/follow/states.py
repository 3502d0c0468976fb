"""What became of a lesion at a visit, with a probability."""

import math
from dataclasses import dataclass

from scipy.special import expit, logit
from scipy.stats import chi2, norm

from anatomical_embedding.follow.records import State
from anatomical_embedding.settings.follow import CalibrationSettings, FollowSettings

QUANTILE_OF_RADIUS = 0.9
NUM_AXES = 3
THERE_BESIDE = 1.5
"""How many lesions are there beside a wrong place for each that is gone, before anything is looked at."""


@dataclass(frozen=True)
class PlaceTrust:
    """How far a place can be relied on.

    Attributes
    ----------
    found : probability that it is near enough to the truth, if that lies in the view.
    out_of_view : probability that the lesion lies outside the view.
    radius_mm : with a probability of 90 % the truth is this near.
    """

    found: float
    out_of_view: float
    radius_mm: float


@dataclass(frozen=True)
class JudgedState:
    """The state of a lesion, its probability, and why it is to be reviewed."""

    state: State
    probability: float
    note: str


def trust_place(*, error_mm: float, depth_mm: float, depth_error_mm: float, within_mm: float) -> PlaceTrust:
    """Return how far a place can be relied on: the only door to the confidence of places.

    Parameters
    ----------
    error_mm : deviation of the place along each axis.
    depth_mm : how deep the lesion lies inside the scan by the body farther in; negative outside, NaN where unknown.
    depth_error_mm : deviation of that.
    within_mm : a place this near to the true one is right, as for all answers of the model.
    """
    found = float(chi2.cdf((within_mm / error_mm) ** 2, df=NUM_AXES))
    radius_mm = error_mm * float(chi2.ppf(QUANTILE_OF_RADIUS, df=NUM_AXES)) ** 0.5
    out_of_view = 0.0 if math.isnan(depth_mm) else float(norm.cdf(-depth_mm / depth_error_mm))
    return PlaceTrust(found, out_of_view, radius_mm)


def judge_state(
    trust: PlaceTrust, *, presence: float, split: float, disagreement_mm: float, settings: FollowSettings
) -> JudgedState:
    """Return the likeliest state; `review` where it is not likely enough, or the visits disagree.

    Parameters
    ----------
    presence : probability that the lesion's tissue is at its place; NaN where nothing tells it.
    split : probability that the tissue lies in two parts beside it; where such parts are found, `presence` tells
        nothing, and both being found confirms the place. The visits may disagree by as much as the parts are apart.
    disagreement_mm : largest distance between the answers of the visits; NaN where one answers.
    """
    in_view = 1.0 - trust.out_of_view
    present, gone = _seen_or_gone(trust.found, 0.5 if math.isnan(presence) else presence)
    chances: dict[State, float] = {
        "out_of_view": trust.out_of_view,
        "present": 0.0 if split else in_view * present,
        "gone": 0.0 if split else in_view * gone,
        "split": in_view * split,
    }
    state = max(chances, key=chances.__getitem__)
    probability = calibrated(chances[state], settings.calibration)
    if state not in ("out_of_view", "split") and disagreement_mm > settings.places.largest_disagreement_mm:
        return JudgedState(
            "review", probability, f"the visits disagree by {disagreement_mm:.0f} mm; likely {_said(state)}"
        )
    if probability < settings.present_probability:
        return JudgedState("review", probability, f"likely {_said(state)}, but not certain")
    return JudgedState(state, probability, "")


def _seen_or_gone(found: float, presence: float) -> tuple[float, float]:
    """Return the probabilities that a lesion is there, at its place, and that it is gone.

    What looks like the lesion confirms the place. What does not tells of a lesion that is gone, wherever its place is,
    or of one that is there beside a wrong place.
    """
    there, gone = found * presence, 1.0 - presence
    every = there + gone + THERE_BESIDE * (1.0 - found) * gone
    return (there / every, gone / every) if every else (0.0, 0.0)


def calibrated(probability: float, calibration: CalibrationSettings) -> float:
    """Return a probability whose log odds are stretched and shifted; 0 and 1 stay.

    Examples
    --------
    >>> round(calibrated(0.9, CalibrationSettings(slope=0.5, offset=0.0)), 9)  # odds of 9 to odds of 3
    0.75
    """
    return float(expit(calibration.offset + calibration.slope * logit(probability)))


def _said(state: State) -> str:
    return state.replace("_", " ")
