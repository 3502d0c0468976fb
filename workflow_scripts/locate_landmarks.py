"""Locate the landmarks of a data set's volumes: from their organ masks, or as a phantom knows them."""

from collections.abc import Sequence
from pathlib import Path

from anatomical_embedding.datasets.known_move import box_points, read_move
from anatomical_embedding.datasets.listing import list_raw_volumes, phantom_landmarks_path
from anatomical_embedding.datasets.organ_landmarks import locate_landmarks
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import UserError
from anatomical_embedding.landmark_file import (
    Landmark,
    LandmarkStatus,
    read_landmarks,
    write_landmark_status,
    write_landmarks,
)
from anatomical_embedding.progress import track
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.dataset import CtMrPairsSettings, DatasetSectionSettings
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.labels import read_label_file
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
    dataset = settings.dataset

    raw_volumes = list_raw_volumes(dataset, made_folder=options.made_folder)
    landmarks: list[Landmark] = []
    statuses: list[LandmarkStatus] = []
    for raw in track(raw_volumes, description="locating landmarks", total=len(raw_volumes)):
        if isinstance(dataset, CtMrPairsSettings):
            found = moved_landmarks(raw, raw_volumes, dataset=dataset, made_folder=options.made_folder)
            accounted = [LandmarkStatus(raw.volume_id, point.landmark, "found", "") for point in found]
        elif isinstance(dataset, PhantomSettings):
            scans = read_landmarks(phantom_landmarks_path(raw))
            found = [point for point in scans if point.volume_id == raw.volume_id]
            accounted = [LandmarkStatus(raw.volume_id, point.landmark, "found", "") for point in found]
        else:
            found, accounted = locate_landmarks(
                raw,
                landmarks=dataset.landmarks,
                organs=dataset.organs,
                geometry=getattr(dataset, "geometry", None),
                largest_gap_mm=settings.largest_gap_mm,
            )
        landmarks += found
        statuses += accounted
    write_landmarks(landmarks, options.output_landmarks)
    write_landmark_status(statuses, options.output_status)


def moved_landmarks(
    raw: RawVolume, raw_volumes: Sequence[RawVolume], *, dataset: CtMrPairsSettings, made_folder: Path
) -> list[Landmark]:
    """Return the points of the box round the region of a patient's CT, where the move of the volume takes them."""
    if dataset.known_move is None:
        raise UserError(
            "the data set has no known_move and so no landmarks; name the folder of its regions there"
        )
    (ct_id,) = (
        other.volume_id
        for other in raw_volumes
        if other.patient_id == raw.patient_id and other.modality == "ct"
    )
    regions = read_label_file(dataset.known_move.regions / f"{ct_id}.nii.gz", geometry=dataset.geometry)
    note_remarks(regions.remarks)
    points = box_points(regions.volume)
    if raw.modality == "mr":
        points = transform_points(read_move(made_folder / f"{raw.volume_id}.json"), points)
    return [
        Landmark(raw.volume_id, f"box_{number:02d}", *(float(value) for value in point))
        for number, point in enumerate(points)
    ]


if __name__ == "__main__":
    run_stage(main)
