"""Locate the landmarks of a data set's volumes: from their organ masks, or as a phantom knows them."""

from pathlib import Path

from anatomical_embedding.datasets.listing import list_raw_volumes, phantom_landmarks_path
from anatomical_embedding.datasets.organ_landmarks import locate_landmarks
from anatomical_embedding.landmark_file import (
    Landmark,
    LandmarkStatus,
    read_landmarks,
    write_landmark_status,
    write_landmarks,
)
from anatomical_embedding.progress import track
from anatomical_embedding.settings.dataset import DatasetSectionSettings
from anatomical_embedding.settings.phantom import PhantomSettings
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the landmarks that were found, and the status of all that were wanted."""
    parser = stage_parser(__doc__)
    parser.add_argument("--phantom-folder", type=Path, required=True, help="bodies of a data set of phantoms")
    parser.add_argument("--output-landmarks", type=Path, required=True, help="CSV of points in world mm RAS+")
    parser.add_argument(
        "--output-status",
        type=Path,
        required=True,
        help="CSV: every wanted landmark, found or missing and why",
    )
    options = parser.parse_args(arguments)
    dataset = parse_settings(DatasetSectionSettings, options.settings).dataset

    raw_volumes = list_raw_volumes(dataset, phantom_folder=options.phantom_folder)
    landmarks: list[Landmark] = []
    statuses: list[LandmarkStatus] = []
    for raw in track(raw_volumes, description="locating landmarks", total=len(raw_volumes)):
        if isinstance(dataset, PhantomSettings):
            scans = read_landmarks(phantom_landmarks_path(raw))
            found = [point for point in scans if point.volume_id == raw.volume_id]
            accounted = [LandmarkStatus(raw.volume_id, point.landmark, "found", "") for point in found]
        else:
            found, accounted = locate_landmarks(raw, landmarks=dataset.landmarks, organs=dataset.organs)
        landmarks += found
        statuses += accounted
    write_landmarks(landmarks, options.output_landmarks)
    write_landmark_status(statuses, options.output_status)


if __name__ == "__main__":
    run_stage(main)
