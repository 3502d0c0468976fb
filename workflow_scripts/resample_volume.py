"""Prepare one raw volume: orient, resample, mask and crop it, and merge its organ masks."""

import os
from pathlib import Path

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.files import sha256_of_file, write_json
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.volumes import PrepareVolumeSettings
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.prepare import prepare_volume
from workflow_scripts.command_line import named_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the prepared image, its body mask, its labels if there are organs, and their description."""
    parser = stage_parser(__doc__)
    parser.add_argument("--image", type=Path, required=True, help="raw NIfTI volume; a CT in HU")
    parser.add_argument(
        "--label",
        type=named_file,
        action="append",
        default=[],
        metavar="ORGAN=PATH",
        help="an organ's mask",
    )
    parser.add_argument("--label-map", type=Path, help="all organs in one map, instead of masks")
    parser.add_argument(
        "--output-image", type=Path, required=True, help=".nii, so that it can be memory-mapped"
    )
    parser.add_argument("--output-body-mask", type=Path, required=True)
    parser.add_argument("--output-labels", type=Path, help="needed if the settings name organs")
    parser.add_argument(
        "--output-description", type=Path, required=True, help="JSON: what went in and came out"
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(PrepareVolumeSettings, options.settings)
    label_paths = dict(options.label)
    if bool(settings.organs) != bool(options.output_labels):
        raise SettingsError("--output-labels: expected just where the settings name organs")
    unknown = sorted(set(label_paths) - set(settings.organs))
    if unknown:
        raise SettingsError(f"--label {unknown[0]}: expected one of the organs {', '.join(settings.organs)}")

    prepared = prepare_volume(
        options.image, label_paths=label_paths, label_map_path=options.label_map, settings=settings
    )
    note_remarks(prepared.remarks)
    write_volume(prepared.image, options.output_image)
    write_volume(prepared.body_mask, options.output_body_mask)
    if prepared.labels is not None:
        write_volume(prepared.labels, options.output_labels)
    folder = options.output_description.parent
    files = {
        "image": os.path.relpath(options.output_image, folder),
        "image_sha256": sha256_of_file(options.output_image),
        "body_mask": os.path.relpath(options.output_body_mask, folder),
        "labels": os.path.relpath(options.output_labels, folder) if options.output_labels else "",
    }
    write_json(options.output_description, prepared.description | {"files": files})


if __name__ == "__main__":
    run_stage(main)
