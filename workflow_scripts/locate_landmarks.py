"""Locate the landmarks of a data set's volumes: from their organ masks, or as a phantom knows them."""

from pathlib import Path

from anatomical_embedding.datasets.landmarks import landmarks_of_volume
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.landmark_file import (
    Landmark,
    LandmarkStatus,
    write_landmark_status,
    write_landmarks,
)
from anatomical_embedding.progress import track
from anatomical_embedding.settings.dataset import DatasetSectionSettings
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the landmarks that were found, and the status of all that were wanted."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--made-folder", type=Path, required=True, help="phantoms or moved scans of the data set"
    )
    parser.add_argument("--output-landmarks", type=Path, required=True, help="CSV of points in world mm RAS+")
    parser.add_argument(
        "--output-status",
        type=Path,
        required=True,
        help="CSV: every wanted landmark, found or missing and why",
    )
    options = parser.parse_args(arguments)
    settings = parse_settings(DatasetSectionSettings, options.settings)

    raw_volumes = list_raw_volumes(settings.dataset, made_folder=options.made_folder)
    landmarks: list[Landmark] = []
    statuses: list[LandmarkStatus] = []
    for raw in track(raw_volumes, description="locating landmarks", total=len(raw_volumes)):
        found, accounted = landmarks_of_volume(
            raw, raw_volumes, settings=settings, made_folder=options.made_folder
        )
        landmarks += found
        statuses += accounted
    write_landmarks(landmarks, options.output_landmarks)
    write_landmark_status(statuses, options.output_status)


if __name__ == "__main__":
    run_stage(main)
