"""Example panels, query to match: good, middling and poor ones, chosen by their rank and not by hand."""

import numpy as np
import pandas as pd

from anatomical_embedding.report.inputs import EvaluatedMethod, ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.match_panel import describe_marks, describe_match, show_match

SHOWN_RANKS = ((0.1, "Among the best tenth"), (0.5, "The median"), (0.9, "Among the worst tenth"))


def examples(inputs: ReportInputs) -> Markup | None:
    """Return the section `Examples`: panels of the best trained method of each evaluation."""
    parts = [
        element(
            "div",
            element("h3", f"{evaluation.title}: {evaluation.best_trained.name}"),
            *_panels(evaluation.best_trained),
        )
        for evaluation in inputs.evaluations
        if evaluation.best_trained is not None and _found(evaluation.best_trained).shape[0] > 0
    ]
    if not parts:
        return None
    link = (
        element("p", element("a", "Click a point and see its match", href=inputs.match_page), ".")
        if inputs.match_page is not None
        else None
    )
    return element(
        "section", element("h2", "Examples: query and match"), link, describe_marks(), *parts, id="examples"
    )


def _panels(method: EvaluatedMethod) -> list[Markup]:
    found = _found(method)
    chosen = {round(rank * (len(found) - 1)): heading for rank, heading in SHOWN_RANKS}
    return [
        show_match(method, query_id, caption=describe_match(method, query_id, heading=heading))
        for query_id, heading in (
            (found["query_id"].iloc[place], heading) for place, heading in chosen.items()
        )
    ]


def _found(method: EvaluatedMethod) -> pd.DataFrame:
    found = method.errors[np.isfinite(method.errors["error_mm"])]
    return found.sort_values(["error_mm", "query_id"])
