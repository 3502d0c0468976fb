"""Scans and label maps that were read with a correction or a choice, from the manifests of the jobs."""

from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.tables import Cell, render_table


def scan_remarks(inputs: ReportInputs) -> Markup | None:
    """Return the section `Scans with a remark`, None where every scan was taken as it stands."""
    remarks = sorted({remark for manifest in inputs.manifests for remark in manifest.remarks})
    if not remarks:
        return None
    rows = [[Cell(path), Cell(text)] for path, _, text in (remark.partition(": ") for remark in remarks)]
    note = element(
        "p",
        "Each was used as the remark says; docs/scans.md lists what is accepted, corrected and refused.",
        class_="note",
    )
    table = render_table(
        ("File", "Remark"), rows, caption="Corrections and choices made when scans were read"
    )
    return element("section", element("h2", "Scans with a remark"), note, table, id="scan-remarks")
