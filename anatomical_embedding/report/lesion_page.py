"""The page of one tracking answer: every lesion in three planes, worst first."""

from anatomical_embedding.report.document import render_document
from anatomical_embedding.report.lesions import lesion_panel, lesion_table, lesions_of
from anatomical_embedding.report.markup import element
from anatomical_embedding.report.match_panel import describe_marks
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

NUM_PANELS = 200
"""Lesions shown as pictures, the worst ones; a page of more would be slow to open."""


def render_lesion_page(answers: TrackedAnswers, *, title: str) -> str:
    """Return the page as the text of an HTML file that opens offline.

    Parameters
    ----------
    answers : one method on one tracking.
    title : title of the page.
    """
    lesions = lesions_of(answers)
    shown = lesions[lesions["has_place"]].head(NUM_PANELS)
    how_many = f"The table holds all {len(lesions)} lesions; click a column's heading to sort by it. " + (
        f"Pictures of the {len(shown)} with a position follow, worst first."
        if len(shown) == lesions["has_place"].sum()
        else f"Pictures of the worst {len(shown)} with a position follow."
    )
    table = lesion_table(
        lesions, caption=f"{answers.tracking}, {answers.name}", shown_on_page=set(shown["query_id"])
    )
    panels = [lesion_panel(answers, row) for row in shown.to_dict("records")]
    return render_document(
        title,
        element("section", element("p", how_many, class_="note"), table, id="lesions"),
        element("section", element("h2", "Pictures"), describe_marks(), *panels, id="pictures"),
    )
