"""Measure what speaks for and against every answer, from the embeddings alone.

Settings: the sections `matching`, and `evidence` of the confidence of a tracking.
"""

from pathlib import Path

import torch

from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.landmarks.tables import read_matches, read_questions, write_table
from anatomical_embedding.index_file import read_index
from anatomical_embedding.matching.assess_matches import assess_matches
from anatomical_embedding.settings.tracking import AssessMatchesSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `assess_matches`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--matches", type=existing_file, required=True, help="answers of one method")
    parser.add_argument("--stores", type=existing_file, required=True, help="list of embedding stores")
    parser.add_argument("--index", type=existing_file, required=True, help="index, for the body masks")
    parser.add_argument("--threads", type=int, help="processor threads; all if left out")
    parser.add_argument("--output", type=Path, required=True, help="evidence (CSV) to write")
    options = parser.parse_args(arguments)

    settings = parse_settings(AssessMatchesSettings, options.settings)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    evidence = assess_matches(
        read_questions(options.queries),
        read_matches(options.matches),
        read_store_manifest(options.stores),
        body_masks={row.volume_id: row.body_mask_path for row in read_index(options.index)},
        matching=settings.matching,
        settings=settings.evidence,
    )
    write_table(evidence, options.output)


if __name__ == "__main__":
    run_stage(main)
