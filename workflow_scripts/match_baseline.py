"""Answer the queries of a landmark evaluation by a baseline that has learned nothing.

Settings: the section `ncc` of the evaluation for the method `ncc`, an empty object for the others.
"""

from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.baselines.answers import (
    MatchPoints,
    PreparedScan,
    body_affine_matcher,
    match_queries,
    ncc_matcher,
    same_coordinate_matcher,
)
from anatomical_embedding.evaluation.landmarks.tables import read_questions, write_table
from anatomical_embedding.index_file import read_index
from anatomical_embedding.settings.base import Settings
from anatomical_embedding.settings.evaluation import NccSettings
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `match_baseline`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--method", choices=["same_coordinate", "body_affine", "ncc"], required=True)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--output", type=Path, required=True, help="matches to write")
    options = parser.parse_args(arguments)

    rows = {row.volume_id: row for row in read_index(options.index)}
    queries = read_questions(options.queries)
    unknown = sorted((set(queries["template_id"]) | set(queries["target_id"])) - set(rows))
    if unknown:
        raise InputFileError(options.queries, f"names the volume {unknown[0]!r}, which {options.index} lacks")

    def load(volume_id: str) -> PreparedScan:
        row = rows[volume_id]
        return PreparedScan(map_volume(row.image_path), map_volume(row.body_mask_path))

    matcher = choose_matcher(options.method, options.settings, load)
    write_table(match_queries(queries, matcher, method=options.method), options.output)


def choose_matcher(method: str, settings_text: str, load) -> MatchPoints:
    """Return the baseline of that name with its settings."""
    if method == "ncc":
        return ncc_matcher(load, parse_settings(NccSettings, settings_text))
    parse_settings(Settings, settings_text)  # refuses keys that would have no effect
    return same_coordinate_matcher(load) if method == "same_coordinate" else body_affine_matcher(load)


if __name__ == "__main__":
    run_stage(main)
