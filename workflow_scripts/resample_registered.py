"""Bring the original moving volume of a registered pair onto the fixed one, interpolated once at its own spacing.

A second copy at the working spacing, with a mask of the body that both volumes show, is what a training reads.
"""

from pathlib import Path

import numpy as np

from anatomical_embedding.datasets.listed_scan import read_scan_by
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.registration.displacement_field import (
    Sampling,
    read_field,
    resample_all_through,
)
from anatomical_embedding.registration.registered_volume import body_in_both, registered_grid
from anatomical_embedding.settings.registration import ResampleRegisteredSettings
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `resample_registered`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--field", type=existing_file, required=True, help="displacement field of the whole map"
    )
    parser.add_argument("--moving", type=Path, required=True, help="original moving volume")
    parser.add_argument("--moving-labels", type=existing_file, help="label map of the moving volume")
    parser.add_argument("--fixed-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--moving-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--output-image", type=Path, required=True, help="moving volume at its own spacing")
    parser.add_argument("--output-labels", type=Path, help="its labels on the same grid")
    parser.add_argument("--output-shared-view", type=Path, required=True, help="1 where both volumes reach")
    parser.add_argument(
        "--output-training-image", type=Path, required=True, help=".nii at the working spacing"
    )
    parser.add_argument(
        "--output-training-mask", type=Path, required=True, help="body that both volumes show"
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(ResampleRegisteredSettings, options.settings)
    field = read_field(options.field)
    scan = read_scan_by(options.moving, settings.moving)
    note_remarks(scan.notes)
    moving = to_lps(scan.volume)
    grid = registered_grid(field, spacing_mm=moving.spacing_mm)

    samplings = [Sampling(moving, False, float(moving.array.min()))]
    if options.output_labels:
        labels = to_lps(read_volume(options.moving_labels, require_contrast=False))
        samplings.append(Sampling(labels, True, 0))
    sampled, *sampled_labels = resample_all_through(field, samplings, grid=grid)
    image = sampled.volume
    write_volume(image, options.output_image)
    write_volume(Volume(sampled.is_reached.astype(np.uint8), image.affine), options.output_shared_view)
    for found in sampled_labels:
        write_volume(found.volume, options.output_labels)

    working = resample_to_spacing(image, spacing_mm=settings.spacing_mm, is_label=False)
    write_volume(working, options.output_training_image)
    fixed_body, moving_body = (
        read_volume(path, require_contrast=False) for path in (options.fixed_body, options.moving_body)
    )
    grid = VolumeHeader(working.shape, working.affine)
    write_volume(body_in_both(field, fixed_body, moving_body, grid=grid), options.output_training_mask)


if __name__ == "__main__":
    run_stage(main)
