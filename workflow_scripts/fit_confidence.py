"""Fit how far answers can be trusted, on a split whose true points are known.

Settings: the section `confidence` of a tracking, without `fitted_on` and `evidence`.
"""

from pathlib import Path

from anatomical_embedding.datasets.lesion_annotations import patient_of_file
from anatomical_embedding.evaluation.confidence.features import feature_table
from anatomical_embedding.evaluation.confidence.tracked_answers import are_correct, errors_mm, join_evidence
from anatomical_embedding.evaluation.confidence.tracking_confidence import fit_confidence, write_confidence
from anatomical_embedding.evaluation.landmarks.tables import read_matches
from anatomical_embedding.evaluation.lesions.queries import read_tracking_queries
from anatomical_embedding.progress import log
from anatomical_embedding.settings.tracking import FitConfidenceSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `fit_confidence`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--queries", type=existing_file, required=True, help="tracking queries with true points"
    )
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--evidence", type=existing_file, required=True, help="evidence of these answers")
    parser.add_argument("--output", type=Path, required=True, help="confidence (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(FitConfidenceSettings, options.settings)

    queries = read_tracking_queries(options.queries)
    answers = join_evidence(read_matches(options.matches), options.evidence)
    answers = answers.set_index("query_id", drop=False).loc[queries["query_id"]]
    confidence = fit_confidence(
        feature_table(answers),
        is_correct=are_correct(errors_mm(queries, answers)),
        is_in_view=queries["is_in_view"].to_numpy(),
        patient_ids=queries["target_id"].map(patient_of_file).to_numpy(),
        settings=settings,
    )
    write_confidence(confidence, options.output)
    log(
        f"{confidence.num_queries} answers of {confidence.num_patients} patients, "
        f"{confidence.num_out_of_view} out of view"
    )


if __name__ == "__main__":
    run_stage(main)
