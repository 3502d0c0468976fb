"""Score judged answers: whether probabilities and radii hold what they say, and places out of view are told.

Settings: the part `fit` of the section `confidence`.
"""

from pathlib import Path

from anatomical_embedding.evaluation.confidence.known_answers import errors_mm, read_judged, read_truths
from anatomical_embedding.evaluation.confidence.scores import score_confidence
from anatomical_embedding.evaluation.landmarks.tables import read_matches
from anatomical_embedding.files import write_json
from anatomical_embedding.settings.confidence import FitSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `score_confidence`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries with true points")
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--judged", type=existing_file, required=True, help="the same answers, judged")
    parser.add_argument("--output", type=Path, required=True, help="scores (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(FitSettings, options.settings)

    queries = read_truths(options.queries)
    scores = score_confidence(
        errors_mm=errors_mm(queries, read_matches(options.matches)),
        is_in_view=queries["is_in_view"].to_numpy(),
        landmarks=queries["landmark"],
        judged=read_judged(options.judged).set_index("query_id").loc[queries["query_id"]],
        settings=settings,
    )
    write_json(options.output, scores)


if __name__ == "__main__":
    run_stage(main)
