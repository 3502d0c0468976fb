"""One query and its match as pictures, with the true point."""

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.names import landmark_words
from anatomical_embedding.report.numbers import millimetres
from anatomical_embedding.report.panels import Mark, grey_window, show_planes
from anatomical_embedding.volumes.nifti import map_volume


class AnsweredQueries(Protocol):
    """Answers to queries: tables with one row per query, and the volumes by id."""

    @property
    def queries(self) -> pd.DataFrame:
        """Questions with their truth."""

    @property
    def matches(self) -> pd.DataFrame:
        """Answers."""

    @property
    def errors(self) -> pd.DataFrame:
        """Errors."""

    @property
    def volumes(self) -> dict[str, IndexRow]:
        """Volumes by id."""


def describe_match(method: AnsweredQueries, query_id: str, *, heading: str) -> str:
    """Return a caption for the panel of a found query: a heading, what is asked, error and similarity."""
    query, match = _row(method.queries, query_id), _row(method.matches, query_id)
    error_mm = _row(method.errors, query_id)["error_mm"]
    similarity = "" if np.isnan(match["similarity"]) else f", similarity {match['similarity']:.2f}"
    names = f"{landmark_words(query['landmark'])}, {query['template_id']} to {query['target_id']}"
    return f"{heading}: {names}, error {millimetres(error_mm)} mm{similarity}"


def show_match(method: AnsweredQueries, query_id: str, *, caption: str) -> Markup:
    """Return the panel of one found query: three planes of the template, three of the target.

    Parameters
    ----------
    method : whose answer is shown; a query without a true point has no ring.
    query_id : which query.
    caption : stands above.
    """
    query, match = _row(method.queries, query_id), _row(method.matches, query_id)
    query_mm, truth_mm = _point(query, "query_"), _point(query, "truth_")
    match_mm = _point(match, "")
    template, target = method.volumes[query["template_id"]], method.volumes[query["target_id"]]
    truth = [Mark("truth", truth_mm)] if np.isfinite(truth_mm).all() else []
    pictures = {"template": map_volume(template.image_path), "target": map_volume(target.image_path)}
    return element(
        "figure",
        element("figcaption", caption),
        element(
            "div",
            _half(
                "Query in the template",
                show_planes(
                    pictures["template"],
                    window=grey_window(pictures["template"], modality=template.modality),
                    centre_mm=query_mm,
                    marks=[Mark("query", query_mm)],
                    title=f"template {template.volume_id}",
                ),
            ),
            _half(
                "Match in the target",
                show_planes(
                    pictures["target"],
                    window=grey_window(pictures["target"], modality=target.modality),
                    centre_mm=match_mm,
                    marks=[*truth, Mark("match", match_mm)],
                    title=f"target {target.volume_id}",
                ),
            ),
            class_="halves",
        ),
        class_="example",
    )


def _half(title: str, planes: Markup) -> Markup:
    return element("div", element("p", title, class_="half-title"), planes)


def describe_marks() -> Markup:
    """Return the sentence that says what the marks mean."""
    return element(
        "p",
        "The ",
        element("span", "yellow cross", class_="key query"),
        " is the query in the template, the ",
        element("span", "orange cross", class_="key match"),
        " the match in the target, the ",
        element("span", "green ring", class_="key truth"),
        " the true point. Slices run through the query and through the match; "
        "the ring is projected onto them. The patient's left is on the right of axial and coronal slices, "
        "the front on the left of sagittal ones.",
        class_="note",
    )


def _row(table: pd.DataFrame, query_id: str) -> dict[Hashable, Any]:
    return table[table["query_id"] == query_id].to_dict("records")[0]


def _point(row: dict[Hashable, Any], prefix: str) -> np.ndarray:
    return np.array([row[f"{prefix}{axis}_mm"] for axis in "xyz"], dtype=np.float64)
