"""What decides whether an answer is found, doubtful or failed."""

from typing import Literal

from anatomical_embedding.settings.usage import AnswerSettings

Decision = Literal["found", "doubtful", "failed"]
OUTSIDE_BODY = "the point lies outside the body"


def decide(
    reason: str, *, cycle_mm: float, is_in_body: bool, settings: AnswerSettings
) -> tuple[Decision, str]:
    """Return the decision on an answer, and why it is not found; empty where it is.

    Parameters
    ----------
    reason : why there is no match; empty where there is one.
    cycle_mm : distance of the point asked for and the match of its match.
    is_in_body : whether the point asked for lies in the body.
    settings : when an answer counts as found.
    """
    if reason:
        return "failed", reason
    if not is_in_body:
        return "doubtful", OUTSIDE_BODY
    if cycle_mm > settings.max_cycle_error_mm:
        return "doubtful", f"matching back ends {cycle_mm:.1f} mm from the point"
    return "found", ""
