"""Lesion tracking: scores under every published definition, by slice thickness and size, curves, and worst cases."""

from typing import Any

import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.lesion_metrics import PROTOCOLS
from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element, join
from anatomical_embedding.report.match_panel import show_match
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.sections.tracking_confidence import show_confidence
from anatomical_embedding.report.tables import Cell, number_cell, render_table
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

LARGEST_SHOWN_MM = 40.0
NUM_PANELS = 3
NUM_ROWS = 300
"""Lesions listed, the largest errors first; the CSV beside the scores holds all."""

SHARES = (("cpm_10mm", "CPM@10mm"), ("cpm_radius", "CPM@Radius"))
DISTANCES = (
    ("med_mm", "MED mm"),
    ("med_x_mm", "x"),
    ("med_y_mm", "y"),
    ("med_z_mm", "z"),
    ("median_mm", "Median mm"),
    ("p95_mm", "95th percentile mm"),
)
STRATA = {"slice_thickness_mm": "slices of {} mm", "radius_mm": "radius {} mm"}


def tracking(inputs: ReportInputs) -> Markup | None:
    """Return the section `Lesion tracking`, None if no lesions were followed."""
    if not inputs.trackings:
        return None
    note = element(
        "p",
        "Three published definitions share the names CPM@10mm and CPM@Radius; compare figures of one definition only. ",
        *[
            f"{name}: {protocol.within_10mm}; {protocol.within_radius}. "
            for name, protocol in PROTOCOLS.items()
        ],
        "Small numbers are 95 % intervals over resampled patients; p values are of the paired test against the affine "
        "start, signs changed by patient.",
        class_="note",
    )
    return element(
        "section",
        element("h2", "Lesion tracking"),
        note,
        *[_show(answers) for answers in inputs.trackings],
        id="tracking",
    )


def _show(answers: TrackedAnswers) -> Markup:
    return element(
        "div",
        element("h3", f"{answers.tracking}: {answers.name}"),
        _protocol_table(answers),
        _strata_table(answers),
        legend([(0, answers.name), (1, "affine start")]),
        element("div", _curve(answers), class_="charts"),
        show_confidence(answers),
        *_panels(answers),
        _lesion_table(answers),
    )


def _protocol_table(answers: TrackedAnswers) -> Markup:
    rows, classes = [], []
    for protocol in answers.scores:
        for name, scores in ((answers.name, answers.scores), ("affine start", answers.start_scores)):
            figures = scores[protocol]
            is_ours = name == answers.name
            p_value = answers.comparison[protocol]["cpm_10mm"]["p_value"]
            rows.append(
                [
                    Cell(f"{protocol}: {name}"),
                    *[_figure(figures, key, is_share=True) for key, _ in SHARES],
                    *[_figure(figures, key, is_share=False) for key, _ in DISTANCES],
                    number_cell(p_value, f"{p_value:.3g}") if is_ours else Cell(""),
                    number_cell(figures["num_pairs"], figures["num_pairs"]),
                    number_cell(figures["num_failed"], figures["num_failed"]),
                ]
            )
            classes.append("ours" if is_ours else None)
    names = [name for _, name in (*SHARES, *DISTANCES)]
    return render_table(
        ("Definition and method", *names, "p of CPM@10mm", "Pairs", "Failed"),
        rows,
        caption=f"Scores: {answers.tracking}",
        row_classes=classes,
    )


def _figure(figures: dict[str, Any], key: str, *, is_share: bool) -> Cell:
    value, interval = figures[key], figures["ci95"][key]
    if value is None:
        return Cell("")
    write = _percent if is_share else millimetres
    small = element("small", f"{write(interval[0])} to {write(interval[1])}") if interval else Markup("")
    return number_cell(value, join([element("span", write(value)), small]))


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _strata_table(answers: TrackedAnswers) -> Markup:
    rows = []
    strata = answers.scores["dlt"].get("strata", {})
    for kind, classes in strata.items():
        for label, figures in classes.items():
            start = answers.start_scores["dlt"]["strata"][kind][label]
            uae = answers.scores["uae"]["strata"][kind][label]
            rows.append(
                [
                    Cell(STRATA[kind].format(label)),
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
            "CPM@10mm (dlt)",
            "CPM@10mm (uae)",
            "MED mm",
            "MED mm of the affine start",
        ),
        rows,
        caption=f"By slice thickness and lesion size: {answers.tracking}",
    )


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
    return chart.render(caption="Share of lesions within each distance (CPM over its radius)")


def _panels(answers: TrackedAnswers) -> list[Markup]:
    found = answers.errors[np.isfinite(answers.errors["error_mm"])]
    worst = found.sort_values(["error_mm", "query_id"], ascending=[False, True])
    shown = [(query_id, "Worst") for query_id in worst["query_id"].head(NUM_PANELS)]
    if len(worst) > 0:
        shown.append((worst["query_id"].iloc[len(worst) // 2], "The median"))
    return [show_match(answers, query_id, heading=heading) for query_id, heading in shown]


def _lesion_table(answers: TrackedAnswers) -> Markup:
    pairs = answers.pairs.sort_values(["error_mm", "pair_id"], ascending=[False, True], na_position="first")
    decisions = _decisions(answers.judged)
    rows = [
        [
            Cell(row["pair_id"]),
            Cell(row["source"]),
            Cell(row["target"]),
            number_cell(row["slice_thickness_mm"], f"{row['slice_thickness_mm']:g}"),
            number_cell(row["radius_mm"], millimetres(row["radius_mm"])),
            _error_cell(row["error_mm"]),
            *decisions.get(row["pair_id"], [Cell(""), Cell("")]),
        ]
        for row in pairs.head(NUM_ROWS).to_dict("records")
    ]
    headers = (
        "Pair",
        "Source",
        "Target",
        "Slices mm",
        "Radius mm",
        "Error mm",
        "Probability within 10 mm",
        "Decision",
    )
    return render_table(headers, rows, caption=f"Lesions, largest errors first: {answers.tracking}")


def _error_cell(error_mm: float) -> Cell:
    return (
        number_cell(np.inf, "failed") if np.isnan(error_mm) else number_cell(error_mm, millimetres(error_mm))
    )


def _decisions(judged: pd.DataFrame | None) -> dict[str, list[Cell]]:
    if judged is None:
        return {}
    return {
        row["query_id"]: [
            number_cell(row["probability_within_10mm"], f"{row['probability_within_10mm']:.2f}"),
            Cell(row["decision"]),
        ]
        for row in judged.to_dict("records")
    }
