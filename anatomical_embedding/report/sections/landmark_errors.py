"""Errors by landmark: where the best trained method is good, and where it is not."""

import numpy as np

from anatomical_embedding.evaluation.landmarks.scores import landmark_table
from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation, ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.names import landmark_words
from anatomical_embedding.report.numbers import millimetres, percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table

MOST_ROWS_SHOWN_AT_ONCE = 20
"""Longer tables open at a click."""


def landmark_errors(inputs: ReportInputs) -> Markup:
    """Return the section `Errors by landmark`."""
    return element(
        "section",
        element("h2", "Errors by landmark"),
        *[_evaluation(evaluation) for evaluation in inputs.evaluations],
        id="landmarks",
    )


def _evaluation(evaluation: Evaluation) -> Markup:
    method = evaluation.best_trained or evaluation.methods[0]
    baseline = evaluation.best_baseline if evaluation.best_trained is not None else None
    table = landmark_table(method.errors).sort_values("median_mm", kind="stable")
    medians = {} if baseline is None else _medians(baseline)
    headers = ["Landmark", "Median mm", "Mean mm", "Deviation mm", "90th percentile mm", "Largest mm"]
    headers += ["Within 10 mm", "Queries", "Failed", "Missing"]
    if baseline is not None:
        headers.insert(2, f"Median mm of {baseline.name}")
    rows = []
    for row in table.to_dict("records"):
        cells = [
            Cell(landmark_words(row["landmark"])),
            number_cell(row["median_mm"], millimetres(row["median_mm"])),
            number_cell(row["mean_mm"], millimetres(row["mean_mm"])),
            number_cell(row["sd_mm"], "" if np.isnan(row["sd_mm"]) else millimetres(row["sd_mm"])),
            number_cell(row["p90_mm"], millimetres(row["p90_mm"])),
            number_cell(row["max_mm"], millimetres(row["max_mm"])),
            number_cell(row["hit_10mm"], percent(row["hit_10mm"])),
            number_cell(row["num_queries"], row["num_queries"]),
            number_cell(row["num_failed"], row["num_failed"]),
            number_cell(row["num_missing"], row["num_missing"]),
        ]
        if baseline is not None:
            cells.insert(2, number_cell(medians[row["landmark"]], millimetres(medians[row["landmark"]])))
        rows.append(cells)
    table_markup = render_table(headers, rows, caption=f"{method.name}: {evaluation.title}")
    return element(
        "details",
        element("summary", f"{evaluation.title}: {len(rows)} landmarks"),
        table_markup,
        open=len(rows) <= MOST_ROWS_SHOWN_AT_ONCE,
    )


def _medians(method: EvaluatedMethod) -> dict[str, float]:
    table = landmark_table(method.errors)
    return dict(zip(table["landmark"], table["median_mm"], strict=True))
