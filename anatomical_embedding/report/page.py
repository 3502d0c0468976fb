"""The report: one HTML file that needs nothing else to open."""

from collections.abc import Callable

from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.sections.error_distribution import error_distribution
from anatomical_embedding.report.sections.examples import examples
from anatomical_embedding.report.sections.failures import failures
from anatomical_embedding.report.sections.landmark_errors import landmark_errors
from anatomical_embedding.report.sections.learning_curves import learning_curves
from anatomical_embedding.report.sections.overview import overview
from anatomical_embedding.report.sections.registrations import registrations
from anatomical_embedding.report.sections.score_table import score_table
from anatomical_embedding.report.sections.stage_times import stage_times
from anatomical_embedding.report.sections.tracking import tracking
from anatomical_embedding.report.sections.worst_cases import worst_cases
from anatomical_embedding.report.sorting_script import SORTING_SCRIPT
from anatomical_embedding.report.stylesheet import STYLESHEET

Section = Callable[[ReportInputs], Markup | None]
"""Builds one section of the report; None leaves it out. A new method adds its section here."""

SECTIONS: tuple[Section, ...] = (
    overview,
    score_table,
    error_distribution,
    learning_curves,
    examples,
    landmark_errors,
    worst_cases,
    failures,
    registrations,
    tracking,
    stage_times,
)

NOTHING_FROM_OUTSIDE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""Browsers hold the page to it: no request leaves it."""


def render_page(inputs: ReportInputs, *, title: str) -> str:
    """Return the report as the text of an HTML file.

    Parameters
    ----------
    inputs : what to show.
    title : title of the page.
    """
    sections = [section(inputs) for section in SECTIONS]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=NOTHING_FROM_OUTSIDE),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLESHEET)),
    )
    body = element(
        "body",
        element("header", element("h1", title)),
        element("main", *sections),
        element("script", Markup(SORTING_SCRIPT)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"
