"""How errors spread: the share of queries below every distance, and a histogram."""

from collections.abc import Iterator

import numpy as np

from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import EvaluatedMethod, Evaluation, ReportInputs
from anatomical_embedding.report.markup import Markup, element

LARGEST_SHOWN_MM = 60.0
BIN_MM = 5.0


def error_distribution(inputs: ReportInputs) -> Markup:
    """Return the section `Distribution of errors`."""
    return element(
        "section",
        element("h2", "Distribution of errors"),
        *[_evaluation(evaluation) for evaluation in inputs.evaluations],
        id="distribution",
    )


def _evaluation(evaluation: Evaluation) -> Markup:
    return element(
        "div",
        element("h3", evaluation.title),
        legend([(series, method.name) for series, method in _in_colours(evaluation)]),
        element("div", _cumulative(evaluation), _histogram(evaluation), class_="charts"),
    )


def _cumulative(evaluation: Evaluation) -> Markup:
    chart = Chart(
        description=f"Share of queries below each error, one curve per method; {evaluation.title}",
        x_label="error at most, mm",
        y_label="queries, %",
    )
    distances = np.linspace(0.0, LARGEST_SHOWN_MM, 121)
    for series, method in _in_colours(evaluation):
        errors = np.sort(method.errors["error_mm"].to_numpy())
        shares = np.searchsorted(errors, distances, side="right") / len(errors)
        chart.line(distances, 100.0 * shares, series=series)
    chart.axes.set_xlim(0.0, LARGEST_SHOWN_MM)
    chart.axes.set_ylim(0.0, 100.0)
    return chart.render(caption="Share of queries below each error; higher is better")


def _histogram(evaluation: Evaluation) -> Markup:
    chart = Chart(
        description=f"Histogram of errors in bins of {BIN_MM:g} mm, one outline per method; {evaluation.title}",
        x_label="error, mm",
        y_label="queries, %",
    )
    edges = np.arange(0.0, LARGEST_SHOWN_MM + BIN_MM, BIN_MM)
    for series, method in _in_colours(evaluation):
        shares = 100.0 * histogram_shares(method.errors["error_mm"].to_numpy(), edges=edges)
        chart.line(
            np.repeat(np.append(edges, edges[-1] + BIN_MM), 2)[1:-1],
            np.repeat(shares, 2),
            series=series,
        )
    ticks = np.arange(0.0, LARGEST_SHOWN_MM + 1.0, 20.0)
    chart.axes.set_xticks(
        [*ticks, LARGEST_SHOWN_MM + BIN_MM / 2], [*[f"{tick:g}" for tick in ticks], "\nmore"]
    )
    chart.axes.set_xlim(0.0, LARGEST_SHOWN_MM + BIN_MM)
    chart.axes.set_ylim(bottom=0.0)
    caption = f"Histogram in bins of {BIN_MM:g} mm; the last bin holds all larger errors and failed queries"
    return chart.render(caption=caption)


def histogram_shares(errors_mm: np.ndarray, *, edges: np.ndarray) -> np.ndarray:
    """Return the share of errors in each bin and, last, the share beyond the last edge or failed."""
    inside, _ = np.histogram(errors_mm[errors_mm < edges[-1]], bins=edges)
    return np.append(inside, np.count_nonzero(errors_mm >= edges[-1])) / len(errors_mm)


def _in_colours(evaluation: Evaluation) -> Iterator[tuple[int, EvaluatedMethod]]:
    """Give each method its colour: the best trained one has series 0."""
    first = 0 if evaluation.best_trained is not None else 1
    yield from enumerate(evaluation.methods, start=first)
