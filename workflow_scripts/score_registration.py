"""Score a registered pair: how far off its landmarks are before and after, and whether the map folds."""

from pathlib import Path

import numpy as np

from anatomical_embedding.evaluation.registration.landmark_errors import (
    AFFINE,
    BODY_BOXES,
    START,
    measure_errors,
    write_registration_errors,
)
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.progress import log
from anatomical_embedding.registration.displacement_field import read_field
from anatomical_embedding.registration.guided_start import body_boxes_centred, read_start
from anatomical_embedding.registration.starting_position import starting_matrix
from anatomical_embedding.settings.registration import ScoreRegistrationSettings
from anatomical_embedding.volumes.affine import Points
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
    points = common_landmarks(options.landmarks, options.names, (registered, moving))
    errors = measure_errors(field, before=before, fixed_mm=points[0], moving_mm=points[1])
    write_registration_errors(errors, options.output)
    for name, of_map in errors.points.items():
        log(f"{name}: median error {of_map.median_mm:.1f} mm of {errors.num_landmarks} landmarks")


def common_landmarks(
    path: Path | None, names: tuple[str, str], volumes: tuple[Volume, Volume]
) -> tuple[Points, Points]:
    """Return the (N, 3) places of the landmarks that both volumes show, in the world of each."""
    known: tuple[dict[str, tuple[float, float, float]], dict[str, tuple[float, float, float]]] = ({}, {})
    for landmark in read_landmarks(path) if path else []:
        for places, name in zip(known, names, strict=True):
            if landmark.volume_id == name:
                places[landmark.landmark] = (landmark.x_mm, landmark.y_mm, landmark.z_mm)
    common = sorted(known[0].keys() & known[1].keys())
    fixed, moving = (np.array([places[landmark] for landmark in common]).reshape(-1, 3) for places in known)
    is_seen = volumes[0].contains(fixed) & volumes[1].contains(moving)
    return fixed[is_seen], moving[is_seen]


if __name__ == "__main__":
    run_stage(main)
