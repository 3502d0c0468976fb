"""Lesion tracking: what was found under every published definition, how far off, and the worst cases."""

from typing import Any

import numpy as np

from anatomical_embedding.evaluation.lesions.metrics import PROTOCOLS
from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.lesions import lesion_panel, lesion_table, lesions_of
from anatomical_embedding.report.markup import Markup, element, join
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.tables import Cell, number_cell, render_table
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

LARGEST_SHOWN_MM = 40.0
NUM_PANELS = 3
NUM_ROWS = 10
"""Lesions listed; the page beside the scores shows all."""

START = "affine start"
SHARES = (
    ("cpm_10mm", "found within 10 mm (CPM@10mm)"),
    ("cpm_radius", "found within the radius (CPM@Radius)"),
)
DISTANCES = (
    ("med_mm", "Mean distance (MED), mm"),
    ("med_x_mm", "Mean along x, mm"),
    ("med_y_mm", "Mean along y, mm"),
    ("med_z_mm", "Mean along z, mm"),
    ("median_mm", "Median distance, mm"),
    ("p95_mm", "95th percentile, mm"),
)
STRATA = {"slice_thickness_mm": "slices of {} mm", "radius_mm": "radius {} mm"}


def tracking(inputs: ReportInputs) -> Markup | None:
    """Return the section `Lesion tracking`, None if no lesions were followed."""
    if not inputs.trackings:
        return None
    note = element(
        "p",
        "CPM is the share of lesions whose centre is found (centre point matching), MED the mean Euclidean distance. "
        "Three published definitions share the names CPM@10mm and CPM@Radius: compare figures of one definition only. "
        "The affine start is the baseline that the annotations hold. Small numbers are 95 % intervals over resampled "
        "patients; p values are of the paired test against the affine start, signs changed by patient.",
        class_="note",
    )
    return element(
        "section",
        element("h2", "Lesion tracking"),
        note,
        *[_show(answers) for answers in inputs.trackings],
        id="tracking",
    )


def tracking_sentence(answers: TrackedAnswers) -> str:
    """Return the outcome of one tracking in a sentence."""
    ours, start = answers.scores["dlt"], answers.start_scores["dlt"]
    text = f"Lesions of {answers.dataset}, {answers.name}: {ours['num_pairs']} directed pairs"
    if ours["med_mm"] is None:
        return f"{text}, none found."
    shares = ", ".join(f"{_percent(answers.scores[name]['cpm_10mm'])} ({name})" for name in ("dlt", "uae"))
    return (
        f"{text}, found {millimetres(ours['med_mm'])} mm from the truth on average "
        f"(affine start {millimetres(start['med_mm'])} mm); CPM@10mm {shares}."
    )


def _show(answers: TrackedAnswers) -> Markup:
    return element(
        "div",
        element("h3", f"{answers.tracking}: {answers.name}"),
        _definition_table(answers),
        _distance_table(answers),
        _strata_table(answers),
        legend([(0, answers.name), (1, START)]),
        element("div", _curve(answers), class_="charts"),
        *_worst(answers),
    )


def _definition_table(answers: TrackedAnswers) -> Markup:
    rows = []
    for protocol, ours in answers.scores.items():
        start = answers.start_scores[protocol]
        definition = PROTOCOLS[protocol]
        for (key, name), counted in zip(
            SHARES, (definition.within_10mm, definition.within_radius), strict=True
        ):
            p_value = answers.comparison[protocol][key]["p_value"]
            rows.append(
                [
                    Cell(f"{name}, {protocol}"),
                    Cell(counted),
                    _figure(ours, key, is_share=True),
                    _figure(start, key, is_share=True),
                    number_cell(p_value, f"{p_value:.2g}"),
                ]
            )
    caption = f"Lesions found, by definition: {answers.tracking}"
    return render_table(
        ("Figure", "What counts", answers.name, START.capitalize(), "p value"), rows, caption=caption
    )


def _distance_table(answers: TrackedAnswers) -> Markup:
    rows = []
    for name, scores in ((answers.name, answers.scores), (START.capitalize(), answers.start_scores)):
        figures = scores["dlt"]  # distances are the same under every definition
        rows.append(
            [
                Cell(name),
                *[_figure(figures, key, is_share=False) for key, _ in DISTANCES],
                number_cell(figures["num_pairs"], figures["num_pairs"]),
                number_cell(figures["num_failed"], figures["num_failed"]),
            ]
        )
    return render_table(
        ("Method", *[name for _, name in DISTANCES], "Pairs", "Failed"),
        rows,
        caption=f"Distances of prediction and truth: {answers.tracking}",
        row_classes=["ours", None],
    )


def _figure(figures: dict[str, Any], key: str, *, is_share: bool) -> Cell:
    value, interval = figures[key], figures["ci95"][key]
    if value is None:
        return Cell("", is_number=True)
    write = _percent if is_share else millimetres
    small = Markup("")
    if interval:
        small = element("small", f"{write(interval[0]).removesuffix(' %')} to {write(interval[1])}")
    return number_cell(value, join([element("span", write(value)), small]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _strata_table(answers: TrackedAnswers) -> Markup:
    rows = []
    strata = answers.scores["dlt"].get("strata", {})
    for kind, title in STRATA.items():
        for label in sorted(strata.get(kind, {}), key=_first_number):
            figures, start, uae = (
                scores["strata"][kind][label]
                for scores in (answers.scores["dlt"], answers.start_scores["dlt"], answers.scores["uae"])
            )
            rows.append(
                [
                    Cell(title.format(label)),
                    number_cell(figures["num_pairs"], figures["num_pairs"]),
                    _figure(figures, "cpm_10mm", is_share=True),
                    _figure(uae, "cpm_10mm", is_share=True),
                    _figure(figures, "med_mm", is_share=False),
                    _figure(start, "med_mm", is_share=False),
                ]
            )
    return render_table(
        (
            "Target",
            "Pairs",
            "Found within 10 mm (dlt)",
            "Found within 10 mm (uae)",
            "Mean distance, mm",
            f"Mean distance of the {START}, mm",
        ),
        rows,
        caption=f"By slice thickness and lesion size: {answers.tracking}",
    )


def _first_number(label: str) -> float:
    return float(label.split(maxsplit=1)[0])


def _curve(answers: TrackedAnswers) -> Markup:
    chart = Chart(
        description=f"Share of lesions found within each distance; {answers.tracking}",
        x_label="distance at most, mm",
        y_label="lesions, %",
    )
    distances = np.linspace(0.0, LARGEST_SHOWN_MM, 161)
    for series, pairs in ((0, answers.pairs), (1, answers.start_pairs)):
        errors = np.sort(pairs["error_mm"].fillna(np.inf).to_numpy())
        chart.line(
            distances, 100.0 * np.searchsorted(errors, distances, side="right") / len(errors), series=series
        )
    chart.axes.set_xlim(0.0, LARGEST_SHOWN_MM)
    chart.axes.set_ylim(0.0, 100.0)
    return chart.render(caption="Share of lesions within each distance: at 10 mm, CPM@10mm of uae")


def _worst(answers: TrackedAnswers) -> list[Markup]:
    lesions = lesions_of(answers)
    shown = lesions[lesions["has_place"]].head(NUM_PANELS)
    page = f"trackings/{answers.tracking}/{answers.split}/{answers.model}.{answers.method}.lesions.html"
    link = element("p", "Every lesion in three planes: ", element("a", page, href=page), ".")
    table = lesion_table(
        lesions.head(NUM_ROWS), caption=f"Worst lesions: {answers.tracking}", shown_on_page=()
    )
    return [link, table, *[lesion_panel(answers, row) for row in shown.to_dict("records")]]
