"""Write the report and a page of matches to click (HTML), the summary (JSON) and the table of all results (CSV).

The lists of scores, errors, matches, queries and indices run in parallel: the files at one place of all lists
belong to one method. The same holds for registrations (folders of registered pairs) and for trackings (prefixes of
the files of an answer) with their indices.
"""

import argparse
from pathlib import Path

from anatomical_embedding.datasets.shared_scans import learned_and_held_out
from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.landmarks.tables import write_table
from anatomical_embedding.files import write_json, written_atomically
from anatomical_embedding.index_file import read_index
from anatomical_embedding.progress import log
from anatomical_embedding.provenance import read_manifests
from anatomical_embedding.report.inputs import (
    ReportInputs,
    read_confidence_scores,
    read_evaluations,
    read_stage_times,
    read_trainings,
)
from anatomical_embedding.report.match_page import render_match_page
from anatomical_embedding.report.page import render_page
from anatomical_embedding.report.registration_inputs import read_pair_results
from anatomical_embedding.report.results_csv import results_table
from anatomical_embedding.report.tracking_inputs import read_tracked_answers, summary_rows
from anatomical_embedding.settings.pipeline import PipelineSettings
from anatomical_embedding.versions import library_versions
from workflow_scripts.command_line import existing_file, named_file, parse_settings, run_stage, stage_parser

PARALLEL_LISTS = ("scores", "errors", "matches", "queries", "index")
REGISTRATION_LISTS = ("registrations", "registration_indices")
TRACKING_LISTS = ("trackings", "tracking_indices")


def main(arguments: list[str]) -> None:
    """Run the stage `write_report`."""
    options = parse_arguments(arguments)
    settings = parse_settings(PipelineSettings, options.settings)
    inputs = ReportInputs(
        evaluations=read_evaluations(
            scores=options.scores,
            errors=options.errors,
            matches=options.matches,
            queries=options.queries,
            indices=options.index,
        ),
        trainings=read_trainings(options.training_logs),
        stage_times=read_stage_times(options.benchmarks),
        settings=settings.model_dump(mode="json"),
        versions=library_versions(),
        registrations=read_pair_results(
            options.registrations, options.registration_indices, settings=settings.registrations
        ),
        trackings=read_tracked_answers(
            options.trackings, options.tracking_indices, trackings=settings.trackings
        ),
        manifests=list(read_manifests(options.provenance).values()) if options.provenance else [],
        match_page=options.match_page.name if options.match_page else None,
        confidences=read_confidence_scores(options.confidences),
        shared_scans=learned_and_held_out({name: read_index(path) for name, path in options.datasets}),
    )
    for sentence in inputs.shared_scans:
        log(f"warning: {sentence}")
    pages = {options.output: render_page(inputs, title=settings.title)}
    if options.match_page is not None:
        pages[options.match_page] = render_match_page(
            inputs.evaluations, title=f"{settings.title}: click to match"
        )
    for path, page in pages.items():
        with written_atomically(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    if options.results_table is not None:
        write_table(results_table(inputs), options.results_table)
    write_json(
        options.summary,
        [
            *[method.score.as_json() for evaluation in inputs.evaluations for method in evaluation.methods],
            *summary_rows(inputs.trackings),
        ],
    )


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the arguments, the parallel lists checked for equal length."""
    parser = stage_parser(__doc__)
    for name in PARALLEL_LISTS:
        parser.add_argument(f"--{name}", type=existing_file, nargs="*", default=[], metavar="PATH")
    parser.add_argument("--registrations", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--registration-indices", type=existing_file, nargs="*", default=[], metavar="PATH")
    parser.add_argument("--confidences", type=existing_file, nargs="*", default=[])
    parser.add_argument("--trackings", type=Path, nargs="*", default=[], metavar="PREFIX")
    parser.add_argument("--tracking-indices", type=existing_file, nargs="*", default=[], metavar="PATH")
    parser.add_argument(
        "--datasets",
        type=named_file,
        nargs="*",
        default=[],
        metavar="DATASET=PATH",
        help="indices of all data sets, to find scans that are both learned and tested",
    )
    parser.add_argument("--training-logs", type=existing_file, nargs="*", default=[], metavar="PATH")
    parser.add_argument(
        "--benchmarks",
        type=Path,
        nargs="*",
        default=[],
        metavar="PATH",
        help="benchmark files, or folders of them",
    )
    parser.add_argument("--provenance", type=Path, help="folder of the jobs' manifests")
    parser.add_argument("--output", type=Path, required=True, help="report (HTML) to write")
    parser.add_argument(
        "--match-page", type=Path, help="page of matches to click (HTML) to write, in the report's folder"
    )
    parser.add_argument("--summary", type=Path, required=True, help="scores (JSON) to write")
    parser.add_argument("--results-table", type=Path, help="table of all results (CSV) to write")
    options = parser.parse_args(arguments)
    for names in (PARALLEL_LISTS, REGISTRATION_LISTS, TRACKING_LISTS):
        lengths = {name: len(getattr(options, name)) for name in names}
        if len(set(lengths.values())) > 1:
            given = ", ".join(f"{length} of --{name}" for name, length in lengths.items())
            raise UserError(f"expected as many files in each of the parallel lists, got {given}")
    return options


if __name__ == "__main__":
    run_stage(main)
