"""The largest errors of the best trained method of each evaluation."""

import numpy as np

from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation, ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.match_panel import describe_match, show_match
from anatomical_embedding.report.names import landmark_words
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.tables import Cell, number_cell, render_table

NUM_ROWS = 10
NUM_PANELS = 2


def worst_cases(inputs: ReportInputs) -> Markup | None:
    """Return the section `Worst cases`, None if nothing was trained."""
    parts = [
        _evaluation(evaluation, evaluation.best_trained)
        for evaluation in inputs.evaluations
        if evaluation.best_trained is not None
    ]
    if not parts:
        return None
    return element("section", element("h2", "Worst cases"), *parts, id="worst-cases")


def _evaluation(evaluation: Evaluation, method: EvaluatedMethod) -> Markup:
    errors = method.errors.merge(method.matches[["query_id", "similarity"]], on="query_id")
    found = errors[np.isfinite(errors["error_mm"])]
    worst = found.sort_values(["error_mm", "query_id"], ascending=[False, True]).head(NUM_ROWS)
    rows = [
        [
            Cell(landmark_words(row["landmark"])),
            Cell(row["template_id"]),
            Cell(row["target_id"]),
            number_cell(row["error_mm"], millimetres(row["error_mm"])),
            *[
                number_cell(value, f"{value:+.1f}")
                for value in (row["error_x_mm"], row["error_y_mm"], row["error_z_mm"])
            ],
            number_cell(row["similarity"], "" if np.isnan(row["similarity"]) else f"{row['similarity']:.2f}"),
        ]
        for row in worst.to_dict("records")
    ]
    headers = ("Landmark", "Template", "Target", "Error mm", "Right +", "Front +", "Up +", "Similarity")
    panels = [
        show_match(method, query_id, caption=describe_match(method, query_id, heading="Worst"))
        for query_id in worst["query_id"].head(NUM_PANELS)
    ]
    table = render_table(headers, rows, caption=f"Largest errors of {method.name}: {evaluation.title}")
    return element("div", table, *panels)
