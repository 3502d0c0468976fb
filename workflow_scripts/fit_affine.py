"""Fit the map between two volumes to their correspondences; an implausible map marks the pair as failed."""

from pathlib import Path

from anatomical_embedding.progress import log
from anatomical_embedding.registration.correspondences import read_correspondences
from anatomical_embedding.registration.guided_start import find_start, write_start
from anatomical_embedding.registration.itk_transform import affine_transform, write_transform
from anatomical_embedding.settings.registration import AffineFitSettings
from anatomical_embedding.volumes.nifti import read_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `fit_affine`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--correspondences", type=existing_file, required=True)
    for side in ("fixed", "moving"):
        parser.add_argument(f"--{side}-body", type=existing_file, required=True, help="body mask")
        parser.add_argument(f"--{side}", type=existing_file, required=True, help="volume, prepared")
    parser.add_argument("--output", type=Path, required=True, help="start (JSON) to write")
    parser.add_argument(
        "--output-transform", type=Path, required=True, help="the same for ITK programs (.tfm)"
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(AffineFitSettings, options.settings)
    start = find_start(
        read_correspondences(options.correspondences),
        fixed_body=read_volume(options.fixed_body, require_contrast=False),
        moving_body=read_volume(options.moving_body, require_contrast=False),
        settings=settings,
        images=None if settings.images is None else (read_volume(options.fixed), read_volume(options.moving)),
    )
    write_transform(affine_transform(start.matrix), options.output_transform)
    write_start(start, options.output)
    log(start.reason or f"{start.num_inliers} of {start.num_kept} correspondences agree")


if __name__ == "__main__":
    run_stage(main)
