"""Learning curves: the loss of every training and its error on held-out subjects."""

import numpy as np
import pandas as pd

from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import ReportInputs, TrainingCurves
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.names import model_words
from anatomical_embedding.report.numbers import duration

MOST_POINTS = 200
"""Longer logs are averaged over neighbouring steps."""

LOSSES = (
    ("loss", "total"),
    ("loss_fine", "fine head"),
    ("loss_coarse", "coarse head"),
    ("loss_semantic", "semantic head"),
)
"""Columns of the log; a step that did not train a head has no loss of it."""


def learning_curves(inputs: ReportInputs) -> Markup | None:
    """Return the section `Learning curves`, None if nothing was trained."""
    if not inputs.trainings:
        return None
    return element(
        "section",
        element("h2", "Learning curves"),
        *[_training(curves) for curves in inputs.trainings],
        id="learning-curves",
    )


def _training(curves: TrainingCurves) -> Markup:
    charts = []
    if curves.training is not None:
        charts.append(_loss_chart(curves.name, curves.training))
    if curves.validation is not None:
        charts.append(_error_chart(curves.name, curves.validation))
        charts.append(_hit_chart(curves.name, curves.validation))
    return element(
        "div",
        element("h3", model_words(curves.name)),
        element("p", _how_long(curves)),
        element("div", *charts, class_="charts"),
    )


def _how_long(curves: TrainingCurves) -> str:
    table = curves.training if curves.training is not None else curves.validation
    if table is None or table.empty:
        return "The log is empty."
    last = table.to_dict("records")[-1]
    text = f"{int(last['step'])} steps"
    if "seconds" in last:
        text += f" in {duration(last['seconds'])}"
    checks = (
        [] if curves.validation is None else curves.validation.dropna(subset=["median_mm"]).to_dict("records")
    )
    if checks:
        best = min(checks, key=lambda check: check["median_mm"])
        text += f"; lowest median error on validation {best['median_mm']:.1f} mm, at step {int(best['step'])}"
    return text + "."


def _loss_chart(name: str, log: pd.DataFrame) -> Markup:
    chart = Chart(
        description=f"Training loss of {name} against the step", x_label="step", y_label="training loss"
    )
    thinned = thin(log)
    present = [(series, column, label) for series, (column, label) in enumerate(LOSSES) if column in thinned]
    for series, column, _ in present:
        known = thinned.dropna(subset=[column])
        chart.line(known["step"], known[column], series=series)
    labels = legend([(series, label) for series, _, label in present])
    return element("div", chart.render(caption="Training loss"), labels)


def _error_chart(name: str, log: pd.DataFrame) -> Markup:
    chart = Chart(
        description=f"Median validation error of {name} against the step",
        x_label="step",
        y_label="median error, mm",
    )
    chart.line(log["step"], log["median_mm"], series=0)
    chart.axes.set_ylim(bottom=0.0)
    return chart.render(caption="Median error on validation subjects")


def _hit_chart(name: str, log: pd.DataFrame) -> Markup:
    chart = Chart(
        description=f"Share of validation queries of {name} within 10 mm against the step",
        x_label="step",
        y_label="within 10 mm, %",
    )
    chart.line(log["step"], 100.0 * log["hit_10mm"], series=0)
    chart.axes.set_ylim(bottom=0.0)
    return chart.render(caption="Validation queries within 10 mm")


def thin(log: pd.DataFrame) -> pd.DataFrame:
    """Return a log of at most `MOST_POINTS` rows, each the mean of as many neighbouring rows."""
    group = np.arange(len(log)) * MOST_POINTS // max(len(log), MOST_POINTS)
    return log.select_dtypes("number").groupby(group).mean()
