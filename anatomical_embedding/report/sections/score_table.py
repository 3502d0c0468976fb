"""The table of scores: trained methods beside the baselines, each number with its confidence interval."""

from anatomical_embedding.evaluation.statistics import METRICS
from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation, ReportInputs
from anatomical_embedding.report.markup import Markup, element, join
from anatomical_embedding.report.numbers import interval_text, millimetres, percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table

HEADERS = (
    "Method",
    "Median mm",
    "Mean mm",
    "90th percentile mm",
    "Within 10 mm",
    "Within 20 mm",
    "In the organ",
    "Queries",
    "Failed",
)


def score_table(inputs: ReportInputs) -> Markup:
    """Return the section `Scores`."""
    return element(
        "section",
        element("h2", "Scores"),
        *[_table(evaluation) for evaluation in inputs.evaluations],
        element("p", _reading_help(inputs), class_="note"),
        id="scores",
    )


def _table(evaluation: Evaluation) -> Markup:
    best = {metric: _best(evaluation, metric) for metric in METRICS}
    rows = [
        [
            _name_cell(method),
            *[_metric_cell(method, metric, best=best[metric]) for metric in METRICS],
            _organ_cell(method),
            number_cell(method.score.num_queries, method.score.num_queries),
            number_cell(method.score.num_failed, method.score.num_failed),
        ]
        for method in evaluation.methods
    ]
    classes = [None if method.is_baseline else "ours" for method in evaluation.methods]
    return render_table(HEADERS, rows, caption=f"Landmark errors: {evaluation.title}", row_classes=classes)


def _best(evaluation: Evaluation, metric: str) -> float:
    values = [method.score.metrics[metric] for method in evaluation.methods]
    return max(values) if metric.startswith("hit") else min(values)


def _name_cell(method: EvaluatedMethod) -> Cell:
    tag = None if method.is_baseline else element("span", "trained", class_="tag")
    return Cell(join([element("span", method.name), tag or Markup("")]))


def _metric_cell(method: EvaluatedMethod, metric: str, *, best: float) -> Cell:
    write = percent if metric.startswith("hit") else millimetres
    value = method.score.metrics[metric]
    interval = interval_text(method.score, metric, write)
    number = element("strong", write(value)) if value == best else element("span", write(value))
    return number_cell(value, join([number, element("small", interval) if interval else Markup("")]))


def _organ_cell(method: EvaluatedMethod) -> Cell:
    hits = method.score.organ_hits
    if hits is None or hits.share is None:
        return Cell(element("span", "none"))
    counted = element("small", f"of {hits.num_queries}")
    return number_cell(hits.share, join([element("span", percent(hits.share)), counted]))


def _reading_help(inputs: ReportInputs) -> str:
    levels = {
        f"{100 * method.score.confidence_level:g} %"
        for evaluation in inputs.evaluations
        for method in evaluation.methods
    }
    return (
        "The best value of each column is bold; click a column's heading to sort by it. "
        f"Small numbers are {' or '.join(sorted(levels))} intervals from resampled subjects; there are "
        "none for fewer than three subjects. A failed query counts as an infinite error, except in the "
        "mean, which is that of the found ones. In the organ: the share of the queries inside an organ, in both "
        "volumes, whose answer lies in it."
    )
