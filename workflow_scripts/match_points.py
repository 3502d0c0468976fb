"""Answer queries between volumes by one way of matching.

Settings: the section `matching`; `method`, an entry of the section `methods`; and whether the way back is wanted.
"""

from pathlib import Path

import torch

from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.landmarks.tables import read_questions, write_table
from anatomical_embedding.matching.match_queries import match_queries
from anatomical_embedding.settings.matching import MatchPointsSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `match_points`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--stores", type=existing_file, required=True, help="list of embedding stores")
    parser.add_argument("--method-name", required=True, help="method written into the matches")
    parser.add_argument("--threads", type=int, help="processor threads; all if left out")
    parser.add_argument("--output", type=Path, required=True, help="matches to write")
    options = parser.parse_args(arguments)

    settings = parse_settings(MatchPointsSettings, options.settings)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    matches = match_queries(
        read_questions(options.queries),
        read_store_manifest(options.stores),
        method=options.method_name,
        settings=settings,
    )
    write_table(matches, options.output)


if __name__ == "__main__":
    run_stage(main)
