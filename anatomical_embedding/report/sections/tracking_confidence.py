"""How far tracked answers can be trusted: the reliability of the probabilities, and what was decided."""

from typing import Any

from anatomical_embedding.report.figures import Chart
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.names import DECISIONS
from anatomical_embedding.report.numbers import percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

MEANINGS = {
    "accept": "likely within 10 mm",
    "review": "to be checked by eye",
    "out_of_fov": "the lesion is likely outside the field of view; no position is given",
}


def show_confidence(answers: TrackedAnswers) -> Markup | None:
    """Return what the probabilities and decisions are worth, None where there is no confidence."""
    scores = answers.confidence
    if scores is None:
        return None
    text = (
        f"The probability of being within 10 mm, over {scores['num_queries']} answers: area under the ROC curve "
        f"{_number(scores['auroc'])}, expected calibration error {_number(scores['calibration_error'])}. "
    )
    if scores["num_out_of_view"]:
        text += (
            f"{scores['num_out_of_view']} lesions lie outside their target's field of view; "
            f"{_share(scores['out_of_view_found'])} of them are detected at {percent(scores['false_alarm_share'])} "
            f"false alarms. The fitted threshold calls {_share(scores['out_of_view_called'])} of them out of view, and "
            f"{_share(scores['in_view_called'])} of the lesions that are in view."
        )
    return element(
        "div", element("p", text), _decision_table(scores, caption=f"Decisions: {answers.tracking}")
    )


def confidence_charts(answers: TrackedAnswers) -> list[Markup]:
    """Return the reliability diagram; nothing where there is no confidence."""
    if answers.confidence is None:
        return []
    chart = Chart(
        description=f"Reliability diagram: predicted and observed share of answers within 10 mm; {answers.tracking}",
        x_label="predicted probability, %",
        y_label="within 10 mm, %",
    )
    chart.line([0.0, 100.0], [0.0, 100.0], series=1)
    chart.dots(
        [
            (
                100.0 * row["predicted"],
                100.0 * row["observed"],
                row["num"] / answers.confidence["num_queries"],
            )
            for row in answers.confidence["reliability"]
        ],
        series=0,
    )
    chart.axes.set_xlim(-3.0, 103.0)
    chart.axes.set_ylim(-3.0, 103.0)
    return [
        chart.render(
            caption="Reliability of the probability of being within 10 mm; areas by number of answers"
        )
    ]


def _decision_table(scores: dict[str, Any], *, caption: str) -> Markup:
    rows = [
        [
            Cell(DECISIONS[name]),
            Cell(meaning),
            number_cell(scores["decisions"][name]["num"], scores["decisions"][name]["num"]),
            _correct_cell(scores["decisions"][name]["correct"]),
        ]
        for name, meaning in MEANINGS.items()
    ]
    return render_table(("Decision", "Meaning", "Answers", "Within 10 mm"), rows, caption=caption)


def _correct_cell(share: float | None) -> Cell:
    return Cell("", is_number=True) if share is None else number_cell(share, percent(share))


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "none" if value is None else percent(value)
