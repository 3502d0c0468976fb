"""How far tracked answers can be trusted: the reliability of the probabilities, and what was decided."""

from typing import Any

from anatomical_embedding.report.figures import Chart
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

MEANINGS = {
    "accept": "likely within 10 mm",
    "review": "to be looked at",
    "out_of_fov": "the lesion is likely outside the field of view; no place is given",
}


def show_confidence(answers: TrackedAnswers) -> Markup | None:
    """Return the reliability diagram and the decisions, None where there is no confidence."""
    scores = answers.confidence
    if scores is None:
        return None
    text = (
        f"Area under the curve of the probability of being within 10 mm {_number(scores['auroc'])}, expected "
        f"calibration error {_number(scores['calibration_error'])} over {scores['num_queries']} answers. "
        f"{scores['num_out_of_view']} lesions lie outside their target's field of view: at "
        f"{percent(scores['false_alarm_share'])} false alarms {_share(scores['out_of_view_found'])} of them are told; "
        f"the fitted threshold calls {_share(scores['out_of_view_called'])} of them and "
        f"{_share(scores['in_view_called'])} of the others."
    )
    return element(
        "div",
        element("p", text),
        element("div", _reliability(scores, title=answers.tracking), class_="charts"),
        _decision_table(scores, caption=f"Decisions: {answers.tracking}"),
    )


def _reliability(scores: dict[str, Any], *, title: str) -> Markup:
    chart = Chart(
        description=f"Reliability diagram: predicted and observed share of answers within 10 mm; {title}",
        x_label="predicted probability, %",
        y_label="observed share, %",
    )
    chart.line([0.0, 100.0], [0.0, 100.0], series=1)
    bins = scores["reliability"]
    chart.line(
        [100.0 * row["predicted"] for row in bins], [100.0 * row["observed"] for row in bins], series=0
    )
    chart.axes.scatter(
        [100.0 * row["predicted"] for row in bins],
        [100.0 * row["observed"] for row in bins],
        s=[6.0 + 60.0 * row["num"] / scores["num_queries"] for row in bins],
        color=chart.axes.lines[-1].get_color(),
        zorder=4,
    )
    chart.axes.set_xlim(0.0, 100.0)
    chart.axes.set_ylim(0.0, 100.0)
    return chart.render(
        caption="Reliability of the probability of being within 10 mm; dots by number of answers"
    )


def _decision_table(scores: dict[str, Any], *, caption: str) -> Markup:
    rows = [
        [
            Cell(name),
            Cell(MEANINGS[name]),
            number_cell(row["num"], row["num"]),
            Cell("") if row["correct"] is None else number_cell(row["correct"], percent(row["correct"])),
        ]
        for name, row in scores["decisions"].items()
    ]
    return render_table(("Decision", "Meaning", "Answers", "Within 10 mm"), rows, caption=caption)


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "none" if value is None else percent(value)
