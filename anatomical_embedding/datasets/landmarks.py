"""The landmarks of a volume: from its organ masks, as a phantom knows them, or round the region of a moved pair."""

from collections.abc import Sequence
from pathlib import Path

from anatomical_embedding.datasets.known_move import box_points, read_move
from anatomical_embedding.datasets.listing import phantom_landmarks_path
from anatomical_embedding.datasets.organ_landmarks import locate_landmarks
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import UserError
from anatomical_embedding.landmark_file import Landmark, LandmarkStatus, read_landmarks
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.settings.dataset import CtMrPairsSettings, DatasetSectionSettings
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.label_file import read_label_file


def landmarks_of_volume(
    raw: RawVolume, raw_volumes: Sequence[RawVolume], *, settings: DatasetSectionSettings, made_folder: Path
) -> tuple[list[Landmark], list[LandmarkStatus]]:
    """Return a volume's landmarks in world mm RAS+, and what became of every one that was wanted.

    Parameters
    ----------
    raw : the volume.
    raw_volumes : all of its data set, of which one may know the landmarks of another.
    settings : of the data set.
    made_folder : of its phantoms or moved scans.

    Raises
    ------
    UserError
        if a data set of pairs has no known move.
    InputFileError
        if a mask, a move or a table of landmarks cannot be used.
    """
    dataset = settings.dataset
    if isinstance(dataset, CtMrPairsSettings):
        found = _moved_landmarks(raw, raw_volumes, dataset=dataset, made_folder=made_folder)
    elif isinstance(dataset, PhantomSettings):
        known = read_landmarks(phantom_landmarks_path(raw))
        found = [point for point in known if point.volume_id == raw.volume_id]
    else:
        return locate_landmarks(
            raw,
            landmarks=dataset.landmarks,
            organs=dataset.organs,
            geometry=dataset.geometry,
            largest_gap_mm=settings.largest_gap_mm,
        )
    return found, [LandmarkStatus(raw.volume_id, point.landmark, "found", "") for point in found]


def _moved_landmarks(
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
