"""Register one pair of prepared volumes, from a start where there is one, and measure the overlap of their organs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.registration_overlap import (
    OrganOverlap,
    PairOverlap,
    measure_organs,
    write_pair_overlap,
)
from anatomical_embedding.progress import log
from anatomical_embedding.registration import deeds_program
from anatomical_embedding.registration.displacement_field import read_field, write_field
from anatomical_embedding.registration.guided_start import read_start
from anatomical_embedding.registration.shared_view import seen_from, shared_box
from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.settings.registration import RegisterDeedsSettings
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.prepare import Box, crop_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `register_deeds`."""
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
    options = parser.parse_args(arguments)
    settings = parse_settings(RegisterDeedsSettings, options.settings)

    registration, fixed_id, moving_id = options.names
    matrix = read_start(options.start).matrix if options.start else np.eye(4)
    fixed, moving = read_volume(options.fixed), seen_from(read_volume(options.moving), matrix)
    size_x, size_y, size_z = fixed.shape
    box: Box | None = (slice(0, size_x), slice(0, size_y), slice(0, size_z))
    if options.start:
        box = shared_box(fixed, moving)
    if box is None:
        raise UserError(f"{options.fixed} and {options.moving} share no place after {options.start}")
    options.output_stem.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(options.output_stem.parent / ".deeds") as folder:
        write_volume(crop_volume(fixed, box=box), folder / "fixed.nii")
        write_volume(moving, folder / "moving.nii")
        moved_labels = None
        if settings.organs:
            labels = read_volume(options.moving_labels, require_contrast=False)
            moved_labels = seen_from(labels, matrix)
            write_volume(moved_labels, folder / "labels.nii")
        files = deeds_program.register(
            options.program,
            folder / "fixed.nii",
            folder / "moving.nii",
            output_stem=options.output_stem,
            settings=settings.deeds,
            moving_labels=folder / "labels.nii" if settings.organs else None,
            threads=options.threads,
        )
        deeds_program.write_field(options.program, folder / "field.nii.gz", stem=options.output_stem)
        write_field(read_field(folder / "field.nii.gz").before(matrix), options.output_field)
    organs: tuple[OrganOverlap, ...] = ()
    if moved_labels is not None:
        truth = crop_volume(read_volume(options.fixed_labels, require_contrast=False), box=box)
        before = on_fixed_grid(moved_labels, truth, start=settings.deeds.start, is_label=True, fill_value=0)
        after = read_volume(files.deformed_labels, require_contrast=False)
        organs = measure_organs(before, after, truth, organs=settings.organs)
    overlap = PairOverlap(registration, fixed_id, moving_id, organs)
    write_pair_overlap(overlap, options.output_overlap)
    if organs:
        log("mean Dice {:.3f} before, {:.3f} after".format(*overlap.mean_dice))


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder and remove it in the end; what a killed run left in it goes first.

    It lies beside the outputs of its pair, so that pairs which run at once share nothing.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run_stage(main)
