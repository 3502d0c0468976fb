"""Score the answers of one method: metrics with intervals, the error of every query, errors by landmark.

Settings: the section `bootstrap` of a landmark evaluation.
"""

from pathlib import Path

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.landmarks.organ_hits import count_organ_hits
from anatomical_embedding.evaluation.landmarks.scores import errors_of_matches, landmark_table, score_errors
from anatomical_embedding.evaluation.landmarks.tables import read_matches, read_queries, write_table
from anatomical_embedding.files import write_json
from anatomical_embedding.index_file import read_index
from anatomical_embedding.progress import log
from anatomical_embedding.settings.evaluation import BootstrapSettings
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `score_landmarks`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--index", type=existing_file, required=True, help="index, for the patient of each volume"
    )
    parser.add_argument("--queries", type=existing_file, required=True, help="queries with the true points")
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--model", help="name of the model; leave out for methods without one")
    parser.add_argument("--dataset", required=True, help="name of the data set, written into the scores")
    parser.add_argument("--protocol", required=True, help="name of the evaluation, written into the scores")
    parser.add_argument("--output", type=Path, required=True, help="scores (JSON) to write")
    parser.add_argument("--errors", type=Path, required=True, help="error of every query (CSV) to write")
    parser.add_argument(
        "--landmark-table", type=Path, required=True, help="metrics by landmark (CSV) to write"
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(BootstrapSettings, options.settings)

    queries = read_queries(options.queries)
    if queries.empty:
        raise UserError(f"{options.queries}: holds no query; there is nothing to score")
    matches = read_matches(options.matches)
    errors = errors_of_matches(queries, matches, matches_path=options.matches)
    volumes = read_index(options.index)
    asked = set(queries["template_id"]) | set(queries["target_id"])
    labels = {
        row.volume_id: map_volume(row.labels_path)
        for row in volumes
        if row.labels_path is not None and row.volume_id in asked
    }
    entry = score_errors(
        errors,
        subject_of_volume={row.volume_id: row.patient_id for row in volumes},
        model=options.model,
        dataset=options.dataset,
        protocol=options.protocol,
        organ_hits=count_organ_hits(queries, matches, labels=labels) if labels else None,
        settings=settings,
    )
    write_table(errors, options.errors)
    write_table(landmark_table(errors), options.landmark_table)
    write_json(options.output, entry.as_json())
    log(f"{entry.method}: median {entry.metrics['median_mm']:.1f} mm, {entry.num_failed} failed")


if __name__ == "__main__":
    run_stage(main)
