"""How far answers can be trusted: whether probabilities and radii hold what they say, by data set and by organ."""

from typing import Any

from anatomical_embedding.model_card import two_digits
from anatomical_embedding.report.figures import Chart, legend
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.names import DECISIONS, landmark_words
from anatomical_embedding.report.numbers import millimetres, percent
from anatomical_embedding.report.tables import Cell, known_cell, number_cell, render_table

MEANINGS = {
    "found": "likely right",
    "review": "to be checked by eye",
    "out_of_view": "the place is likely outside the field of view; no position is given",
    "failed": "nothing was found",
    "unknown": "no confidence could be fitted",
}
NOTE = (
    "A confidence of 80 % means that, of many answers like it, four of five lie within {:g} mm; of one answer it "
    "says no more. A radius holds the true place in 50 or 90 of 100 cases, if the scan shows it. Both were fitted to "
    "patients that neither training nor these figures saw, and hold for scans like theirs."
)


def confidence(inputs: ReportInputs) -> Markup | None:
    """Return the section `Confidence`, None where no answers were judged."""
    if not inputs.confidences:
        return None
    within_mm = next(iter(inputs.confidences.values()))["within_mm"]
    return element(
        "section",
        element("h2", "Confidence"),
        element("p", NOTE.format(within_mm), class_="note"),
        *[show_confidence(scores, title=title) for title, scores in inputs.confidences.items()],
        id="confidence",
    )


def show_confidence(scores: dict[str, Any], *, title: str) -> Markup:
    """Return what the probabilities, radii and decisions of one method on one data set are worth."""
    within = f"{scores['within_mm']:g} mm"
    tables = [_decision_table(scores, title=title, within=within)]
    if scores["auroc"] is None and not scores["reliability"]:
        return element("div", element("h3", title), *tables)
    text = (
        f"The probability of being within {within}, over {scores['num_queries']} answers: area under the ROC curve "
        f"{two_digits(scores['auroc'])}, expected calibration error {two_digits(scores['calibration_error'])}. "
    )
    if scores["num_out_of_view"]:
        text += (
            f"{scores['num_out_of_view']} places lie outside their target's field of view; "
            f"{_share(scores['out_of_view_found'])} of them are detected at {percent(scores['false_alarm_share'])} "
            f"false alarms. The fitted threshold calls {_share(scores['out_of_view_called'])} of them out of view, and "
            f"{_share(scores['in_view_called'])} of the places that are in view."
        )
    charts = [_reliability_chart(scores, title=title, within=within), _risk_chart(scores, title=title)]
    return element(
        "div",
        element("h3", title),
        element("p", text),
        legend([(0, title), (1, "perfect calibration")]),
        element("div", *charts, class_="charts"),
        *tables,
        _radius_table(scores, title=title, within=within),
    )


def _reliability_chart(scores: dict[str, Any], *, title: str, within: str) -> Markup:
    chart = Chart(
        description=f"Reliability diagram: predicted and observed share of answers within {within}; {title}",
        x_label="predicted probability, %",
        y_label=f"within {within}, %",
    )
    chart.line([0.0, 100.0], [0.0, 100.0], series=1)
    points = [
        (100.0 * row["predicted"], 100.0 * row["observed"], row["num"] / scores["num_queries"])
        for row in scores["reliability"]
    ]
    chart.dots(points, series=0)
    chart.axes.set_xlim(-3.0, 103.0)
    chart.axes.set_ylim(-3.0, 103.0)
    return chart.render(caption=f"Reliability of the probability of being within {within}; areas by answers")


def _risk_chart(scores: dict[str, Any], *, title: str) -> Markup:
    chart = Chart(
        description=f"Risk against coverage: 90th percentile of the error of the surest answers; {title}",
        x_label="surest answers, %",
        y_label="90th percentile of the error, mm",
    )
    chart.line(
        [100.0 * row["accepted"] for row in scores["risk"]],
        [row["p90_mm"] for row in scores["risk"]],
        series=0,
    )
    return chart.render(
        caption="Risk against coverage: 9 of 10 of the surest answers lie within this distance"
    )


def _radius_table(scores: dict[str, Any], *, title: str, within: str) -> Markup:
    rows = [
        [
            Cell(landmark_words(name)),
            number_cell(group["num"], group["num"]),
            known_cell(group["right_share"], percent),
            *[
                cell
                for radius in group["radius"].values()
                for cell in (
                    known_cell(radius["covered"], percent),
                    known_cell(radius["median_mm"], millimetres),
                )
            ],
        ]
        for name, group in scores["groups"].items()
    ]
    heads = ("In the 50 % radius", "Its median mm", "In the 90 % radius", "Its median mm")
    return render_table(
        ("Places", "Answers", f"Within {within}", *heads), rows, caption=f"Radii by organ: {title}"
    )


def _decision_table(scores: dict[str, Any], *, title: str, within: str) -> Markup:
    rows = [
        [
            Cell(DECISIONS[name]),
            Cell(meaning),
            number_cell(scores["decisions"][name]["num"], scores["decisions"][name]["num"]),
            known_cell(scores["decisions"][name]["right"], percent),
        ]
        for name, meaning in MEANINGS.items()
        if scores["decisions"][name]["num"]
    ]
    return render_table(
        ("Decision", "Meaning", "Answers", f"Within {within}"), rows, caption=f"Decisions: {title}"
    )


def _share(value: float | None) -> str:
    return "none" if value is None else percent(value)
