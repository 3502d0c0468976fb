"""How numbers are written in the report."""

import math
from collections.abc import Callable

from anatomical_embedding.evaluation.landmarks.scores import ScoreEntry

SECONDS_PER_MINUTE = 60.0
SECONDS_PER_HOUR = 3600.0


def millimetres(value: float) -> str:
    """Return a length without its unit.

    Examples
    --------
    >>> millimetres(11.66), millimetres(float("inf"))
    ('11.7', '∞')
    """
    return f"{value:.1f}" if math.isfinite(value) else "∞"


def percent(share: float) -> str:
    """Return a share as percentage.

    Examples
    --------
    >>> percent(0.4444)
    '44 %'
    """
    return f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> duration(0.42), duration(75), duration(7300)
    ('0.4 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < SECONDS_PER_MINUTE:
        return f"{seconds:.1f} s"
    if seconds < SECONDS_PER_HOUR:
        return f"{int(seconds // SECONDS_PER_MINUTE)} min {int(seconds % SECONDS_PER_MINUTE):02d} s"
    minutes = int(seconds % SECONDS_PER_HOUR // SECONDS_PER_MINUTE)
    return f"{int(seconds // SECONDS_PER_HOUR)} h {minutes:02d} min"


def interval_text(score: ScoreEntry, metric: str, write: Callable[[float], str]) -> str:
    """Return `low to high` of a metric's confidence interval; empty if there is none."""
    if score.intervals is None:
        return ""
    low, high = score.intervals[metric]
    return f"{write(low).removesuffix(' %')} to {write(high)}"
