"""Say of every answer how likely it is right and what to do with it; write a table, and markups for 3D Slicer.

Settings: the part `decision` of the section `confidence`. The markups hold, for each volume, the points found in it
that are not called out of view, named by query and decision, with probability and radii as description.
"""

from pathlib import Path

from anatomical_embedding.confidence import read_confidence
from anatomical_embedding.evaluation.confidence.known_answers import judge_answers, read_evidence
from anatomical_embedding.evaluation.landmarks.tables import ANSWER, read_questions, write_table
from anatomical_embedding.files import folder_written_atomically
from anatomical_embedding.matching.decision import judgement_words
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.settings.confidence import DecisionSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `judge_matches`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--confidence", type=existing_file, required=True, help="fitted confidence (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="judged answers (CSV) to write")
    parser.add_argument(
        "--output-markups", type=Path, required=True, help="folder, one file per target volume"
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(DecisionSettings, options.settings)

    confidence = read_confidence(options.confidence).confidence
    answers = judge_answers(read_evidence(options.matches), confidence, settings=settings)
    judged = read_questions(options.queries).merge(answers, on="query_id", validate="one_to_one")
    write_table(judged, options.output)
    with folder_written_atomically(options.output_markups) as folder:
        for target_id, rows in judged.dropna(subset=list(ANSWER)).groupby("target_id"):
            names = [f"{row.query_id} {row.decision}" for row in rows.itertuples()]
            points_mm = rows[list(ANSWER)].to_numpy()
            texts = [
                judgement_words(row.decision, row.confidence, row.radius_50_mm, row.radius_90_mm)
                for row in rows.itertuples()
            ]
            write_markups(points_mm, names, folder / f"{target_id}.mrk.json", descriptions=texts)


if __name__ == "__main__":
    run_stage(main)
