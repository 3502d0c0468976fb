"""Say of every answer how likely it is right and what to do with it; write a table, and markups for 3D Slicer.

The markups hold, for each volume, the points found in it that are not called out of view, named by query and decision.
"""

from pathlib import Path

from anatomical_embedding.evaluation.confidence.tracked_answers import (
    POINT_COLUMNS,
    join_evidence,
    judge_answers,
)
from anatomical_embedding.evaluation.confidence.tracking_confidence import read_confidence
from anatomical_embedding.evaluation.landmarks.tables import read_matches, read_questions, write_table
from anatomical_embedding.files import folder_written_atomically
from anatomical_embedding.points.slicer_markups import write_markups
from workflow_scripts.command_line import command_parser, existing_file, run_stage


def main(arguments: list[str]) -> None:
    """Run the stage `judge_matches`."""
    parser = command_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--evidence", type=existing_file, required=True, help="evidence of these answers")
    parser.add_argument("--confidence", type=existing_file, required=True, help="fitted confidence (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="judged answers (CSV) to write")
    parser.add_argument(
        "--output-markups", type=Path, required=True, help="folder, one file per target volume"
    )
    options = parser.parse_args(arguments)

    answers = join_evidence(read_matches(options.matches), options.evidence)
    judged = read_questions(options.queries).merge(
        judge_answers(answers, read_confidence(options.confidence)), on="query_id", validate="one_to_one"
    )
    write_table(judged, options.output)
    with folder_written_atomically(options.output_markups) as folder:
        for target_id, rows in judged[judged["status"] == "found"].groupby("target_id"):
            names = [f"{row.query_id} {row.decision}" for row in rows.itertuples()]
            write_markups(rows[POINT_COLUMNS].to_numpy(), names, folder / f"{target_id}.mrk.json")


if __name__ == "__main__":
    run_stage(main)
