"""Score a registered pair: how far off its landmarks are before and after, and whether the map folds."""

from pathlib import Path

import numpy as np

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.registration.landmark_errors import (
    AFFINE,
    BODY_BOXES,
    START,
    common_landmarks,
    measure_errors,
    write_registration_errors,
)
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.progress import log
from anatomical_embedding.registration.displacement_field import read_field
from anatomical_embedding.registration.guided_start import body_boxes_centred, read_start
from anatomical_embedding.registration.starting_position import starting_matrix
from anatomical_embedding.settings.registration import ScoreRegistrationSettings
from anatomical_embedding.volumes.nifti import map_volume
from anatomical_embedding.volumes.volume import Volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `score_registration`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--names", nargs=2, required=True, metavar=("FIXED", "MOVING"))
    parser.add_argument("--fixed-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--moving-body", type=existing_file, required=True, help="body mask")
    parser.add_argument("--field", type=existing_file, required=True, help="displacements of the whole map")
    parser.add_argument("--start", type=existing_file, help="start (JSON) of a guided pair")
    parser.add_argument("--landmarks", type=existing_file, help="landmarks of the data set (CSV)")
    parser.add_argument("--output", type=Path, required=True, help="errors (JSON) to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(ScoreRegistrationSettings, options.settings)
    fixed, moving = map_volume(options.fixed_body), map_volume(options.moving_body)
    field = read_field(options.field)
    if options.start:
        before = {BODY_BOXES: body_boxes_centred(fixed, moving), AFFINE: read_start(options.start).matrix}
    else:
        before = {START: starting_matrix(moving, fixed, start=settings.start)}
    registered = Volume(field.displacements_mm[..., 0], field.affine)
    landmarks = read_landmarks(options.landmarks) if options.landmarks else []
    unknown = sorted(set(settings.headline) - {landmark.landmark for landmark in landmarks})
    if unknown:
        raise UserError(
            f"headline: {unknown[0]!r} is a landmark of no volume of the data set; correct the run file"
        )
    names, fixed_mm, moving_mm = common_landmarks(landmarks, options.names, (registered, moving))
    is_headline = np.isin(names, settings.headline)
    errors = measure_errors(
        field, before=before, fixed_mm=fixed_mm, moving_mm=moving_mm, is_headline=is_headline
    )
    write_registration_errors(errors, options.output)
    number = errors.num_headline or errors.num_landmarks
    for name, of_map in errors.shown.items():
        log(f"{name}: median error {of_map.median_mm:.1f} mm of {number} landmarks")


if __name__ == "__main__":
    run_stage(main)
