"""Register one pair of prepared volumes, from a start where there is one, and measure the overlap of their organs."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from anatomical_embedding.evaluation.registration.carried_organs import measure_carried_organs
from anatomical_embedding.evaluation.registration.organ_overlap import (
    OrganOverlap,
    PairOverlap,
    write_pair_overlap,
)
from anatomical_embedding.progress import log
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.displacement_field import write_field
from anatomical_embedding.registration.guided_start import read_start
from anatomical_embedding.settings.registration import RegisterDeedsSettings
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.prepare import crop_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `register_deeds`."""
    options = parse(arguments)
    settings = parse_settings(RegisterDeedsSettings, options.settings)
    matrix = read_start(options.start).matrix if options.start else None
    fixed, moving = read_volume(options.fixed), read_volume(options.moving)
    moving_labels = read_volume(options.moving_labels, require_contrast=False) if settings.organs else None
    found = deform(
        options.program,
        fixed,
        moving,
        matrix=matrix,
        moving_labels=moving_labels,
        settings=settings.deeds,
        output_stem=options.output_stem,
        threads=options.threads,
        modalities=settings.modalities,
        with_image=True,
    )
    for remark in found.remarks:
        log(remark)
    start = np.eye(4) if matrix is None else matrix
    whole = found.field.before(start)
    write_field(whole, options.output_field)
    organs: tuple[OrganOverlap, ...] = ()
    if moving_labels is not None:
        organs = measure_carried_organs(
            moving_labels,
            crop_volume(read_volume(options.fixed_labels, require_contrast=False), box=found.box),
            matrix=start,
            start=settings.deeds.start,
            whole=whole,
            organs=settings.organs,
        )
    registration, fixed_id, moving_id = options.names
    overlap = PairOverlap(registration, fixed_id, moving_id, organs)
    write_pair_overlap(overlap, options.output_overlap)
    if organs:
        log("mean Dice {:.3f} before, {:.3f} after".format(*overlap.mean_dice))


def parse(arguments: list[str]) -> Namespace:
    """Return the options of the stage."""
    parser = stage_parser(__doc__)
    parser.add_argument("--program", type=existing_file, required=True, help="the built program deeds")
    for name in ("fixed", "moving"):
        parser.add_argument(f"--{name}", type=existing_file, required=True, metavar="PATH")
        parser.add_argument(f"--{name}-labels", type=existing_file, metavar="PATH")
    parser.add_argument("--start", type=existing_file, help="start (JSON) of the stage fit_affine")
    parser.add_argument("--names", nargs=3, required=True, metavar=("REGISTRATION", "FIXED", "MOVING"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output-stem", type=Path, required=True, help="what the field's files begin with")
    parser.add_argument(
        "--output-field",
        type=Path,
        required=True,
        help="displacement field of the whole map (NIfTI) to write",
    )
    parser.add_argument("--output-overlap", type=Path, required=True, help="overlap (JSON) to write")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_stage(main)
