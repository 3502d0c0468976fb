"""How sizes, states and times of followed lesions are written for people."""

import datetime
import math

from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.records import LesionRow, MeasurementRow
from anatomical_embedding.follow.response import VisitResponse
from anatomical_embedding.report.markup import Markup, element

SIZE_NOT_TOLD = "size not told by the scan"
STATES = {"out_of_view": "out of view", "review": "to review"}


def state_words(state: str) -> str:
    """Return a state as people write it.

    Examples
    --------
    >>> state_words("out_of_view"), state_words("gone")
    ('out of view', 'gone')
    """
    return STATES.get(state, state)


def mask_words(mask: str) -> str:
    """Return what a mask is as people write it; a carried one has the size of another visit.

    Examples
    --------
    >>> mask_words("carried"), mask_words("grown")
    ('carried, size not told by the scan', 'grown')
    """
    return f"{mask}, {SIZE_NOT_TOLD}" if mask == "carried" else mask


def date_words(date: datetime.date | None) -> str:
    """Return a date, or nothing where it is not known."""
    return "" if date is None else date.isoformat()


def date_cell(date: datetime.date | None) -> Markup:
    """Return a date that stays on one line in a table."""
    return element("span", date_words(date), style="white-space: nowrap")


def sum_words(response: VisitResponse) -> str:
    """Return the sum of the diameters of targets, and whether some are missing or have the size of another visit."""
    untold = f", {len(response.untold)} not told by the scan" if response.untold else ""
    return f"{response.sum_mm:.1f} mm" + ("" if response.is_whole else ", not whole") + untold


def change_words(share: float) -> str:
    """Return a change in percent.

    Examples
    --------
    >>> change_words(-0.301), change_words(float("inf")), change_words(float("nan"))
    ('-30 %', 'from nothing', '–')
    """
    if math.isnan(share):
        return "–"
    return "from nothing" if math.isinf(share) else f"{100 * share:+.0f} %"


def size_words(measured: MeasurementRow, row: LesionRow | None) -> str:
    """Return both axes and the volume of a lesion, such as `23.4 x 17.0 mm, 4.12 ml`.

    The parts of one that split are added, `17.0 + 13.0 mm`; and it is said where the scan does not tell the size.
    """
    axes = f"{measured.long_axis_mm:.1f} x {measured.short_axis_mm:.1f} mm"
    if row is not None and row.state == "split" and measured.part_long_axes_mm:
        axes = f"{' + '.join(f'{length_mm:.1f}' for length_mm in measured.part_long_axes_mm)} mm"
    size = f"{axes}, {measured.volume_ml:.3g} ml"
    return f"{size}, {SIZE_NOT_TOLD}" if row is not None and row.mask == "carried" else size


def times_of(history: History) -> tuple[dict[str, float], str]:
    """Return when each visit was, and in what: days since the first, or its number where a date is not known."""
    dates = [visit.date for visit in history.record.visits]
    first = dates[0]
    if first is not None and all(date is not None for date in dates):
        days = [float((date - first).days) for date in dates if date is not None]
        return dict(zip(history.visits, days, strict=True)), "days since the first visit"
    return {visit: float(number) for number, visit in enumerate(history.visits, start=1)}, "visit"
