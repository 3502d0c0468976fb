"""Gather the descriptions of a data set's prepared volumes into its index, with splits."""

from pathlib import Path

from anatomical_embedding.datasets.listing import left_out, list_raw_volumes
from anatomical_embedding.datasets.prepared_index import gather_index
from anatomical_embedding.datasets.shared_scans import require_separate_splits
from anatomical_embedding.datasets.split import split_patients
from anatomical_embedding.index_file import write_index
from anatomical_embedding.progress import log
from anatomical_embedding.settings.dataset import DatasetSectionSettings
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the index of a data set."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--descriptions-folder", type=Path, required=True, help="holds <volume_id>.json of every volume"
    )
    parser.add_argument(
        "--made-folder", type=Path, required=True, help="phantoms or moved scans of the data set"
    )
    parser.add_argument("--output-index", type=Path, required=True, help="CSV, in a folder above the volumes")
    options = parser.parse_args(arguments)
    dataset = parse_settings(DatasetSectionSettings, options.settings).dataset

    raw_volumes = list_raw_volumes(dataset, made_folder=options.made_folder)
    splits = split_patients(dataset, raw_volumes)
    rows = gather_index(raw_volumes, splits=splits, descriptions_folder=options.descriptions_folder)
    for remark in (*left_out(dataset), *require_separate_splits(rows)):
        log(f"note: {remark}")
    write_index(rows, options.output_index)


if __name__ == "__main__":
    run_stage(main)
