"""Match a lattice of points between a fixed and a moving volume by their embeddings, there and back."""

from pathlib import Path

import torch

from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.matching.grid_points import match_grid
from anatomical_embedding.progress import log
from anatomical_embedding.registration.correspondences import write_correspondences
from anatomical_embedding.settings.registration import MatchGridSettings
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `match_grid`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--stores", type=existing_file, required=True, help="list of embedding stores")
    parser.add_argument("--names", nargs=2, required=True, metavar=("FIXED", "MOVING"))
    parser.add_argument("--fixed-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--moving-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="correspondences (CSV) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(MatchGridSettings, options.settings)
    torch.set_num_threads(options.threads)
    stores = read_store_manifest(options.stores)
    missing = sorted(set(options.names) - set(stores))
    if missing:
        raise InputFileError(options.stores, f"lists no store of {missing[0]!r}; export its embeddings")
    fixed, moving = (open_store(stores[name]) for name in options.names)
    found = match_grid(
        fixed,
        moving,
        fixed_body=map_volume(options.fixed_body),
        moving_body=map_volume(options.moving_body),
        settings=settings,
    )
    write_correspondences(found, options.output)
    log(
        f"{int(found.is_kept.sum())} of {len(found.is_kept)} correspondences are similar and consistent enough"
    )


if __name__ == "__main__":
    run_stage(main)
