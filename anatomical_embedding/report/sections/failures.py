"""What failed: queries without an answer, by method and reason."""

from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.tables import Cell, number_cell, render_table


def failures(inputs: ReportInputs) -> Markup:
    """Return the section `What failed`; it says so when nothing did."""
    rows = []
    for evaluation in inputs.evaluations:
        for method in evaluation.methods:
            failed = method.matches[method.matches["status"] == "failed"]
            for reason, queries in failed.groupby("reason", sort=True):
                rows.append(
                    [
                        Cell(method.name),
                        Cell(evaluation.title),
                        Cell(str(reason) or "no reason given"),
                        number_cell(len(queries), len(queries)),
                        Cell(queries["query_id"].iloc[0]),
                    ]
                )
    headers = ("Method", "Evaluation", "Reason", "Queries", "Example")
    content = (
        render_table(headers, rows, caption="Queries without an answer; they count as misses")
        if rows
        else element("p", "Every query was answered.")
    )
    return element("section", element("h2", "What failed"), content, id="failures")
