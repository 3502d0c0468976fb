"""Embed the volumes of an index with one model and list the stores.

Settings: the sections `embedding`, `store` and `intensity`. Started by torchrun, its processes divide the volumes
whose store is missing.
"""

from pathlib import Path

import torch

from anatomical_embedding.embedding.export import export_embeddings
from anatomical_embedding.embedding.store_manifest import write_store_manifest
from anatomical_embedding.index_file import SPLITS, read_index
from anatomical_embedding.processes import joined_processes
from anatomical_embedding.settings.export import ExportSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `export_embeddings`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument("--checkpoint", type=existing_file, required=True, help="the model")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, required=True, help="splits to embed")
    parser.add_argument("--store-folder", type=Path, required=True, help="where the stores lie, one a volume")
    parser.add_argument("--output", type=Path, required=True, help="list of the stores to write")
    options = parser.parse_args(arguments)

    settings = parse_settings(ExportSettings, options.settings)
    rows = [row for row in read_index(options.index) if row.split in options.splits]
    # They exchange a few numbers only, so they talk by gloo whatever they compute on.
    with joined_processes(torch.device("cpu")) as processes:
        stores = export_embeddings(
            rows,
            checkpoint=options.checkpoint,
            store_folder=options.store_folder,
            settings=settings,
            processes=processes,
        )
    if processes.is_first:
        write_store_manifest(stores, options.output)


if __name__ == "__main__":
    run_stage(main)
