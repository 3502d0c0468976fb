"""Move a scan by a rigid map drawn from a seed, so that what a registration should find is known."""

from pathlib import Path

from anatomical_embedding.datasets.known_move import draw_move, move_volume, write_move
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.dataset import KnownMoveSettings
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `move_volume`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--image", type=existing_file, required=True, help="scan as its owner stores it")
    parser.add_argument(
        "--geometry", choices=("sform", "qform"), help="form to take where the header states two places"
    )
    parser.add_argument("--name", required=True, help="id of the volume")
    parser.add_argument("--output-image", type=Path, required=True, help="moved scan to write")
    parser.add_argument("--output-move", type=Path, required=True, help="the move (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(KnownMoveSettings, options.settings)
    scan = read_raw_scan(options.image, ReadingOptions(modality="mr", geometry=options.geometry))
    note_remarks(scan.notes)
    volume = scan.volume
    matrix = draw_move(volume, options.name, settings=settings)
    write_volume(move_volume(volume, matrix), options.output_image)
    write_move(matrix, options.output_move)


if __name__ == "__main__":
    run_stage(main)
