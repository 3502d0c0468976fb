"""The page of one patient: the response, then every lesion as a strip of pictures over its visits, with its curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.pictures import show_visit, side_mm
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.records import LesionRow, Visit
from anatomical_embedding.follow.response import APPLIED, NOT_APPLIED, RULE
from anatomical_embedding.follow.words import (
    change_words,
    date_cell,
    date_words,
    size_words,
    state_words,
    sum_words,
    times_of,
)
from anatomical_embedding.report.document import render_document
from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table

CURVES = ("volume", "longest diameter", "short axis")
"""Sizes whose curves are drawn, in the order of their colours."""
UNITS = {"ct": " HU", "mr": ""}
STYLE = """
.strip { display: grid; gap: 0.5rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 13rem)); }
.strip figure { margin: 0; }
.strip svg, .strip .nothing { display: block; width: 100%; aspect-ratio: 1; background: #000000; border-radius: 4px; }
.strip .nothing { display: grid; place-items: center; color: #b9c2cc; font-size: 0.85rem; }
.strip figcaption { font-size: 0.8rem; line-height: 1.35; }
.outline { fill: none; stroke: #4dff88; stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.axis { fill: none; stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.axis.long { stroke: #ffe14d; }
.axis.short { stroke: #ff9833; }
.review { color: var(--series-1); }
.sign { display: grid; grid-template-columns: 2fr 1fr; gap: 2rem; max-width: 40rem; margin-top: 3rem; }
.sign span { border-top: 1px solid var(--ink); padding-top: 0.25rem; font-size: 0.875rem; }
"""


def render_patient_page(history: History, recent: RecentScans) -> str:
    """Return the page as the text of an HTML file that opens offline.

    Parameters
    ----------
    history : what is known of the patient.
    recent : scans that are in memory already; the others are read one after another.

    Raises
    ------
    UserError
        if a scan or a mask cannot be read any more.
    """
    sides_mm = {lesion: side_mm(history, lesion) for lesion in history.numbers}
    pictures = {
        visit.name: show_visit(history, visit, recent, sides_mm=sides_mm) for visit in history.record.visits
    }
    return render_document(
        f"Lesions of {history.patient}",
        element("style", Markup(STYLE)),
        _visits(history),
        _lesion_table(history),
        element("section", element("h2", "Every lesion"), _key(), *_panels(history, pictures), id="lesions"),
        _method(history),
    )


def _visits(history: History) -> Markup:
    headers = (
        "Visit",
        "Date",
        "Lesions",
        "Sum of targets",
        "From baseline",
        "From smallest",
        "Response",
        "Why",
    )
    responses = {response.visit: response for response in history.responses}
    rows = []
    for visit in history.record.visits:
        response = responses.get(visit.name)
        cells = [Cell(visit.name), Cell(date_cell(visit.date)), Cell(_states(history, visit))]
        if response is None:
            cells += [Cell("–") for _ in headers[len(cells) :]]
        else:
            cells += [
                number_cell(response.sum_mm, sum_words(response)),
                number_cell(response.from_baseline, change_words(response.from_baseline)),
                number_cell(response.from_nadir, change_words(response.from_nadir)),
                Cell(element("strong", response.category)),
                Cell(response.reason),
            ]
        rows.append(cells)
    how = (
        f"as {history.folder.targets.name} names them"
        if history.targets_were_chosen
        else "the largest at the first visit"
    )
    targets = ", ".join(str(target.lesion) for target in history.targets) or "none can be measured"
    caption = f"Target lesions: {targets} ({how}). Rule: {RULE}."
    return element("section", render_table(headers, rows, caption=caption), _sum_chart(history), id="visits")


def _states(history: History, visit: Visit) -> str:
    states = [row.state for row in history.lesions if row.visit == visit.name]
    return ", ".join(f"{states.count(state)} {state_words(state)}" for state in dict.fromkeys(states))


def _sum_chart(history: History) -> Markup | None:
    known = [response for response in history.responses if response.is_whole]
    if len(known) < len(("from", "to")):
        return None
    times, unit = times_of(history)
    chart = Chart(description="sum of target diameters over time", x_label=unit, y_label="mm")
    values = [(times[response.visit], response.sum_mm) for response in known]
    _draw(chart, values, series=0)
    return element("div", chart.render(caption="Sum of the diameters of the targets"), class_="charts")


def _lesion_table(history: History) -> Markup:
    rows = []
    for lesion in history.numbers:
        name = element("a", _name(history, lesion), href=f"#lesion-{lesion}")
        cells = [Cell(name, sort_value=lesion)]
        for visit in history.visits:
            row, measured = history.row(lesion, visit), history.measurement(lesion, visit)
            size = history.axes_mm(lesion, visit)[0]
            text = "–" if row is None else _state_and_probability(row)
            small = None if measured is None else element("small", size_words(measured, row))
            cells.append(Cell(element("span", text, small), sort_value=-1.0 if math.isnan(size) else size))
        rows.append(cells)
    caption = (
        "State with the probability that it is right, longest diameter x short axis, volume; of a lesion that has "
        "split the longest diameters of its parts"
    )
    return element("section", render_table(("Lesion", *history.visits), rows, caption=caption), id="table")


def _panels(history: History, pictures: Mapping[str, Mapping[int, Markup]]) -> list[Markup]:
    return [_panel(history, lesion, pictures) for lesion in history.numbers]


def _panel(history: History, lesion: int, pictures: Mapping[str, Mapping[int, Markup]]) -> Markup:
    strip = [
        element(
            "figure",
            pictures[visit.name].get(lesion)
            or element("div", _why_no_picture(history, lesion, visit), class_="nothing"),
            element("figcaption", *_caption(history, lesion, visit)),
        )
        for visit in history.record.visits
    ]
    return element(
        "section",
        element("h3", _name(history, lesion), id=f"lesion-{lesion}"),
        element("div", *strip, class_="strip"),
        _curves(history, lesion),
        class_="example",
    )


def _why_no_picture(history: History, lesion: int, visit: Visit) -> str:
    row = history.row(lesion, visit.name)
    return "not there yet" if row is None else state_words(row.state)


def _caption(history: History, lesion: int, visit: Visit) -> list[Markup]:
    row, measured = history.row(lesion, visit.name), history.measurement(lesion, visit.name)
    lines: list[Any] = [element("strong", visit.name), f" {date_words(visit.date)}".rstrip()]
    if row is not None:
        lines += [element("br"), _state_and_probability(row)]
    if measured is not None:
        change = history.change(lesion, visit.name)
        lines += [element("br"), size_words(measured, row)]
        lines += [element("br"), f"mean {measured.mean:.0f}, SD {measured.sd:.0f}{UNITS[visit.modality]}"]
        if not math.isnan(change.volume_from_baseline):
            lines += [element("br"), f"diameter {change_words(change.long_axis_from_baseline)}, "]
            lines += [f"volume {change_words(change.volume_from_baseline)}"]
    decision = history.decision(lesion, visit.name)
    if decision is not None:
        lines += [element("br"), f"{_done(decision.action)} by {decision.name or 'a reader'}"]
    if row is not None and row.note:
        lines += [element("br"), element("span", row.note, class_="review")]
    return [line if isinstance(line, Markup) else element("span", line) for line in lines]


def _curves(history: History, lesion: int) -> Markup | None:
    measured = [(visit, history.measurement(lesion, visit)) for visit in history.visits]
    found = [(visit, row) for visit, row in measured if row is not None]
    if len(found) < len(("from", "to")):
        return None
    times, unit = times_of(history)
    chart = Chart(
        description=f"size of lesion {lesion} over time",
        x_label=unit,
        y_label="percent of the first measurement",
    )
    for series in range(len(CURVES)):
        sizes = [
            (times[visit], (row.volume_ml, *history.axes_mm(lesion, visit))[series]) for visit, row in found
        ]
        _draw(chart, [(time, 100.0 * size / sizes[0][1]) for time, size in sizes], series=series)
    caption = "Volume and diameters as a share of the first measurement"
    return element(
        "details",
        element("summary", "Curves"),
        element("div", chart.render(caption=caption), class_="charts"),
        legend(list(enumerate(CURVES))),
    )


def _draw(chart: Chart, values: Sequence[tuple[float, float]], *, series: int) -> None:
    chart.line([x for x, _ in values], [y for _, y in values], series=series)
    chart.dots([(x, y, 0.0) for x, y in values], series=series)
    chart.axes.set_ylim(bottom=0.0)


def _key() -> Markup:
    return element(
        "p",
        "Axial slices through the longest diameter, the patient's left on the right. Green: outline of the mask; "
        "yellow: longest diameter; orange: short axis; a yellow cross: a place without a mask. All pictures of a "
        "lesion have one scale. A percentage is the probability that the state is right.",
        class_="note",
    )


def _method(history: History) -> Markup:
    record = history.record
    decided = len({(row.lesion, row.visit) for row in history.decisions})
    answers = sum(row.how != "given" for row in history.lesions)
    return element(
        "section",
        element("h2", "How this was made"),
        element(
            "p",
            f"Of {answers} answers a reader has decided on {decided}. Model: {record.checkpoint_sha256[:12]}.",
        ),
        element("p", f"{RULE}. Applied:"),
        element("ul", *[element("li", rule) for rule in APPLIED]),
        element("p", "Left to the reader:"),
        element("ul", *[element("li", rule) for rule in NOT_APPLIED]),
        element(
            "p",
            "Diameters are measured on the outline of the mask, half way between its voxels and others, in the axial "
            "planes of the scan. This page is not a diagnosis: a reader has to look at every lesion before it is used.",
            class_="note",
        ),
        element("div", element("span", "Read by"), element("span", "Date"), class_="sign"),
        id="method",
    )


def _name(history: History, lesion: int) -> str:
    label = history.label(lesion)
    return f"Lesion {lesion}" + (f" ({label})" if label else "")


def _state_and_probability(row: LesionRow) -> str:
    is_certain = row.how == "given" or math.isnan(row.probability)
    known = "" if is_certain else f", {percent(row.probability)}"
    related = f" with {', '.join(map(str, row.related))}" if row.related else ""
    return f"{state_words(row.state)}{related}{known}"


def _done(action: str) -> str:
    return {"accept": "accepted", "move": "moved", "reject": "rejected"}[action]
