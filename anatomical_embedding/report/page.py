"""The report: its sections, in their order."""

from collections.abc import Callable

from anatomical_embedding.report.document import render_document
from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup
from anatomical_embedding.report.sections.confidence import confidence
from anatomical_embedding.report.sections.error_distribution import error_distribution
from anatomical_embedding.report.sections.examples import examples
from anatomical_embedding.report.sections.failures import failures
from anatomical_embedding.report.sections.landmark_errors import landmark_errors
from anatomical_embedding.report.sections.learning_curves import learning_curves
from anatomical_embedding.report.sections.overview import overview
from anatomical_embedding.report.sections.provenance import provenance
from anatomical_embedding.report.sections.registrations import registrations
from anatomical_embedding.report.sections.scan_remarks import scan_remarks
from anatomical_embedding.report.sections.score_table import score_table
from anatomical_embedding.report.sections.stage_times import stage_times
from anatomical_embedding.report.sections.tracking import tracking
from anatomical_embedding.report.sections.worst_cases import worst_cases

Section = Callable[[ReportInputs], Markup | None]
"""Builds one section of the report; None leaves it out. A new method adds its section here."""

SECTIONS: tuple[Section, ...] = (
    overview,
    examples,
    score_table,
    error_distribution,
    landmark_errors,
    worst_cases,
    failures,
    registrations,
    tracking,
    confidence,
    learning_curves,
    scan_remarks,
    stage_times,
    provenance,
)


def render_page(inputs: ReportInputs, *, title: str) -> str:
    """Return the report as the text of an HTML file.

    Parameters
    ----------
    inputs : what to show.
    title : title of the page.
    """
    return render_document(title, *[section(inputs) for section in SECTIONS])
