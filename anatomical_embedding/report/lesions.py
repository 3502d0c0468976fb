"""Followed lesions one by one, worst first: the rows of their table, and a panel for each."""

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.match_panel import show_match
from anatomical_embedding.report.names import DECISIONS
from anatomical_embedding.report.numbers import millimetres, percent
from anatomical_embedding.report.tables import Cell, known_cell, number_cell, render_table
from anatomical_embedding.report.tracking_inputs import TrackedAnswers

HEADERS = ("Lesion", "Source", "Target", "Slices mm", "Radius mm", "Error mm")
JUDGED_HEADERS = ("Confidence", "90 % radius mm", "Decision")


def lesions_of(answers: TrackedAnswers) -> pd.DataFrame:
    """Return one row per query, worst first.

    An answer that failed, and one that gives a place to a lesion outside the field of view, are infinitely bad; a
    lesion outside that is called so is not bad at all.

    Returns
    -------
    Columns `query_id, template_id, target_id, is_in_view, slice_thickness_mm, radius_mm, error_mm` (NaN out of view,
    infinite where failed), `badness_mm`, `has_place`, and `confidence, radius_90_mm, decision` (numbers are
    NaN without a confidence).
    """
    lesions = answers.queries[["query_id", "template_id", "target_id", "is_in_view"]].merge(
        answers.pairs[["pair_id", "slice_thickness_mm", "radius_mm"]],
        left_on="query_id",
        right_on="pair_id",
        how="left",
    )
    lesions = lesions.drop(columns="pair_id").merge(answers.errors[["query_id", "error_mm"]], on="query_id")
    lesions = lesions.merge(answers.matches[["query_id", "status"]], on="query_id")
    judged = answers.judged[["query_id", "confidence", "radius_90_mm", "decision"]]
    lesions = lesions.merge(judged, on="query_id", how="left")
    lesions["has_place"] = lesions["status"] == "found"
    gives_no_place = ~lesions["has_place"] | (lesions["decision"] == "out_of_view")
    lesions["badness_mm"] = np.where(
        lesions["is_in_view"], lesions["error_mm"], np.where(gives_no_place, 0.0, np.inf)
    )
    lesions.loc[~lesions["is_in_view"], "error_mm"] = np.nan
    return lesions.sort_values(["badness_mm", "query_id"], ascending=[False, True], ignore_index=True)


def lesion_table(lesions: pd.DataFrame, *, caption: str, shown_on_page: Collection[str]) -> Markup:
    """Return the sortable table of some lesions.

    Parameters
    ----------
    lesions : rows of `lesions_of`.
    caption : what the table shows.
    shown_on_page : names that lead to their panels on the same page.
    """
    rows = [
        [
            Cell(_name(row["query_id"], is_link=row["query_id"] in shown_on_page)),
            Cell(row["template_id"]),
            Cell(row["target_id"]),
            known_cell(row["slice_thickness_mm"], "{:g}".format),
            known_cell(row["radius_mm"], millimetres),
            number_cell(row["badness_mm"], error_text(row)),
            *_judged_cells(row),
        ]
        for row in lesions.to_dict("records")
    ]
    return render_table((*HEADERS, *JUDGED_HEADERS), rows, caption=caption)


def lesion_panel(answers: TrackedAnswers, row: Mapping[Hashable, Any]) -> Markup:
    """Return six slices of an answered lesion, under its name, error and decision."""
    notes = [error_text(row) + (" mm" if np.isfinite(row["error_mm"]) else "")]
    words = DECISIONS[row["decision"]]
    if np.isfinite(row["confidence"]):
        words += f", {percent(row['confidence'])} sure, 90 % within {millimetres(row['radius_90_mm'])} mm"
    notes.append(words)
    names = f"{row['template_id']} to {row['target_id']}"
    caption = f"Lesion {row['query_id']}, {names}: {'; '.join(notes)}"
    return element(
        "div", show_match(answers, row["query_id"], caption=caption), id=f"lesion-{row['query_id']}"
    )


def error_text(row: Mapping[Hashable, Any]) -> str:
    """Return the error in mm, or why there is none."""
    if not row["is_in_view"]:
        return "out of view"
    return millimetres(row["error_mm"]) if row["has_place"] else "failed"


def _name(query_id: str, *, is_link: bool) -> Markup:
    return element("a", query_id, href=f"#lesion-{query_id}") if is_link else element("span", query_id)


def _judged_cells(row: Mapping[Hashable, Any]) -> list[Cell]:
    return [
        known_cell(row["confidence"], "{:.2f}".format),
        known_cell(row["radius_90_mm"], millimetres),
        Cell(DECISIONS[row["decision"]]),
    ]
