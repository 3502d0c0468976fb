"""What the run was made with: code and device of every stage, from the manifests of its jobs."""

from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import duration
from anatomical_embedding.report.tables import Cell, number_cell, render_table


def provenance(inputs: ReportInputs) -> Markup | None:
    """Return the section `Provenance`, None without manifests."""
    if not inputs.manifests:
        return None
    rows = []
    for stage in sorted({manifest.stage for manifest in inputs.manifests}):
        jobs = [manifest for manifest in inputs.manifests if manifest.stage == stage]
        seconds, memory_mb = sum(job.cpu_seconds for job in jobs), max(job.peak_memory_mb for job in jobs)
        rows.append(
            [
                Cell(stage),
                number_cell(len(jobs), len(jobs)),
                Cell(", ".join(sorted({job.code for job in jobs}))),
                Cell(", ".join(sorted({job.device for job in jobs}))),
                number_cell(seconds, duration(seconds)),
                number_cell(memory_mb, f"{memory_mb:.0f}"),
            ]
        )
    note = element(
        "p",
        "Settings, versions, and checksums of what each job read and wrote lie in the folder provenance beside this "
        "page; `python -m workflow_scripts.compare_runs` names what differs between two runs.",
        class_="note",
    )
    table = render_table(
        ("Stage", "Jobs", "Code", "Device", "Processor time", "Peak memory MB"),
        rows,
        caption="Code and cost of every stage",
    )
    return element("section", element("h2", "Provenance"), note, table, id="provenance")
