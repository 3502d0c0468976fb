"""The slowest stages, from the benchmark files of the jobs."""

from anatomical_embedding.report.inputs import ReportInputs
from anatomical_embedding.report.markup import Markup, element
from anatomical_embedding.report.numbers import duration, percent
from anatomical_embedding.report.tables import Cell, number_cell, render_table

NUM_ROWS = 15


def stage_times(inputs: ReportInputs) -> Markup | None:
    """Return the section `Slowest stages`, None without benchmark files."""
    jobs = inputs.stage_times
    if jobs.empty:
        return None
    total = jobs["seconds"].sum()
    rows = []
    stages = {str(stage): group for stage, group in jobs.groupby("stage")}
    slowest_first = sorted(stages, key=lambda stage: (-stages[stage]["seconds"].sum(), stage))
    for stage in slowest_first[:NUM_ROWS]:
        group = stages[stage]
        seconds, longest, memory = (
            group["seconds"].sum(),
            group["seconds"].max(),
            group["max_memory_mb"].max(),
        )
        share = seconds / total if total > 0 else 0.0
        rows.append(
            [
                Cell(stage),
                number_cell(seconds, duration(seconds)),
                number_cell(share, percent(share)),
                number_cell(len(group), len(group)),
                number_cell(longest, duration(longest)),
                number_cell(memory, f"{memory:.0f}" if memory > 0 else "not measured"),
            ]
        )
    headers = ("Stage", "Time of all jobs", "Share", "Jobs", "Longest job", "Largest memory MB")
    table = render_table(headers, rows, caption="Wall time by stage, slowest first")
    return element("section", element("h2", "Slowest stages"), table, id="stages")
