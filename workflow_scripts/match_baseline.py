"""Answer the queries of a landmark evaluation by a baseline that has learned nothing.

Settings: `method`, the baseline, and `ncc`, the section of the evaluation for the baseline `ncc`, null for the others.
"""

from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.baselines.answers import (
    PreparedScan,
    answer_queries,
    baseline_matcher,
)
from anatomical_embedding.evaluation.landmarks.tables import read_questions, write_table
from anatomical_embedding.index_file import read_index
from anatomical_embedding.settings.evaluation import BaselineSettings
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `match_baseline`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--output", type=Path, required=True, help="matches to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(BaselineSettings, options.settings)

    rows = {row.volume_id: row for row in read_index(options.index)}
    queries = read_questions(options.queries)
    unknown = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(rows))
    if unknown:
        raise InputFileError(options.queries, f"names the volume {unknown[0]!r}, which {options.index} lacks")

    def load(volume_id: str) -> PreparedScan:
        row = rows[volume_id]
        return PreparedScan(map_volume(row.image_path), map_volume(row.body_mask_path))

    matches = answer_queries(queries, baseline_matcher(settings, load), method=settings.method)
    write_table(matches, options.output)


if __name__ == "__main__":
    run_stage(main)
