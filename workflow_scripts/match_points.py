"""Answer queries between volumes by one way of matching.

Settings: the section `matching`; `method`, an entry of the section `methods`; the part `evidence` of the confidence, or
null; and the data set whose scans refine the matches, or null.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from anatomical_embedding.datasets.listed_scan import read_listed_scan
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.evaluation.landmarks.tables import read_questions, write_table
from anatomical_embedding.index_file import read_index
from anatomical_embedding.matching.match_queries import SearchedScans, match_queries
from anatomical_embedding.settings.match_points import MatchPointsSettings, RefineTableSettings
from anatomical_embedding.volumes.raw_scan import RawScan
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `match_points`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--queries", type=existing_file, required=True, help="queries; the truth is not read")
    parser.add_argument("--stores", type=existing_file, required=True, help="list of embedding stores")
    parser.add_argument("--index", type=existing_file, help="index, for the body masks and images")
    parser.add_argument("--method-name", required=True, help="method written into the matches")
    parser.add_argument(
        "--made-folder", type=Path, help="phantoms or moved scans of the data set that refines"
    )
    parser.add_argument("--deeds", type=existing_file, help="program that registers the scans that refine")
    parser.add_argument("--threads", type=int, help="processor threads; all if left out")
    parser.add_argument("--output", type=Path, required=True, help="matches to write")
    options = parser.parse_args(arguments)

    settings = parse_settings(MatchPointsSettings, options.settings)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    queries = read_questions(options.queries)
    rows = read_index(options.index) if options.index else []
    scans = None
    if settings.refined is not None:
        for name in ("deeds", "index"):
            if settings.refined.registration is not None and getattr(options, name) is None:
                parser.error(f"--{name}: is needed to register scans")
        scans = SearchedScans(
            scan_reader(settings.refined, made_folder=options.made_folder),
            images={row.volume_id: row.image_path for row in rows},
            program=options.deeds,
            threads=torch.get_num_threads(),
        )
    matches = match_queries(
        queries,
        read_store_manifest(options.stores),
        method=options.method_name,
        settings=settings,
        body_masks={row.volume_id: row.body_mask_path for row in rows},
        scans=scans,
    )
    write_table(matches, options.output)


def scan_reader(settings: RefineTableSettings, *, made_folder: Path) -> Callable[[str], RawScan]:
    """Return what reads the raw scan of a volume of a data set."""
    dataset, gap_mm = settings.dataset, settings.largest_gap_mm
    volumes = {volume.volume_id: volume for volume in list_raw_volumes(dataset, made_folder=made_folder)}
    return lambda volume_id: read_listed_scan(volumes[volume_id], dataset, largest_gap_mm=gap_mm)


if __name__ == "__main__":
    run_stage(main)
