"""Register one pair of prepared volumes and measure the overlap of their organs before and after."""

from pathlib import Path

from anatomical_embedding.evaluation.registration_overlap import (
    PairOverlap,
    measure_organs,
    write_pair_overlap,
)
from anatomical_embedding.progress import log
from anatomical_embedding.registration.deeds_program import register, write_field
from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.settings.registration import RegisterDeedsSettings
from anatomical_embedding.volumes.nifti import read_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `register_deeds`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--program", type=existing_file, required=True, help="the built program deeds")
    for name in ("fixed", "moving", "fixed-labels", "moving-labels"):
        parser.add_argument(f"--{name}", type=existing_file, required=True, metavar="PATH")
    parser.add_argument("--names", nargs=3, required=True, metavar=("REGISTRATION", "FIXED", "MOVING"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output-stem", type=Path, required=True, help="what the field's files begin with")
    parser.add_argument(
        "--output-field", type=Path, required=True, help="displacement field (NIfTI) to write"
    )
    parser.add_argument("--output-overlap", type=Path, required=True, help="overlap (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(RegisterDeedsSettings, options.settings)

    files = register(
        options.program,
        options.fixed,
        options.moving,
        output_stem=options.output_stem,
        settings=settings.deeds,
        moving_labels=options.moving_labels,
        threads=options.threads,
    )
    write_field(options.program, options.output_field, stem=options.output_stem)
    truth, moving, after = (
        read_volume(path, require_contrast=False)
        for path in (options.fixed_labels, options.moving_labels, files.deformed_labels)
    )
    before = on_fixed_grid(moving, truth, start=settings.deeds.start, is_label=True, fill_value=0)
    registration, fixed, moving_id = options.names
    organs = measure_organs(before, after, truth, organs=settings.organs)
    overlap = PairOverlap(registration, fixed, moving_id, organs)
    write_pair_overlap(overlap, options.output_overlap)
    log("mean Dice {:.3f} before, {:.3f} after".format(*overlap.mean_dice))


if __name__ == "__main__":
    run_stage(main)
