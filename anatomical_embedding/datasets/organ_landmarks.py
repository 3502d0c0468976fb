"""Landmarks from organ masks: centroids and ends, in world mm of the stored scan."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.landmark_file import Landmark, LandmarkStatus
from anatomical_embedding.settings.organs import LandmarkKind
from anatomical_embedding.settings.recipe_values import recipe_largest_gap_mm
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.file_names import is_volume_name
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.label_names import misnamed_labels
from anatomical_embedding.volumes.organ_labels import read_mask
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from anatomical_embedding.volumes.volume_file import read_file_header

SIDES: Mapping[LandmarkKind, tuple[int, int]] = {
    "left": (0, -1),
    "right": (0, 1),
    "back": (1, -1),
    "front": (1, 1),
    "bottom": (2, -1),
    "top": (2, 1),
}
"""World axis (right, front, top) and the sign towards the side."""


def locate_landmarks(
    raw: RawVolume,
    *,
    landmarks: Mapping[str, Sequence[LandmarkKind]],
    organs: Sequence[str],
    geometry: Geometry | None = None,
    largest_gap_mm: float | None = None,
) -> tuple[list[Landmark], list[LandmarkStatus]]:
    """Return a volume's landmarks that its masks show, and what became of every one that was wanted.

    Parameters
    ----------
    raw : volume with its mask files, which are read at their stored resolution.
    landmarks : wanted points of each organ; they are named `<organ>_<kind>`.
    organs : all organs of the data set in the order of their labels, for volumes with one label map.
    geometry : form that places files whose header states two places.
    largest_gap_mm : between DICOM slices that are not equally far apart; None takes the number of the recipes.

    Raises
    ------
    InputFileError
        if a mask is unsound, not binary or on another grid than its image.
    """
    found, statuses = [], []
    grid = _grid_of(raw, geometry=geometry, largest_gap_mm=largest_gap_mm)
    numbers = read_label_file(raw.label_map_path, geometry=geometry) if raw.label_map_path else None
    misnamed = misnamed_labels(numbers.names, organs) if numbers is not None else {}
    for organ, kinds in landmarks.items():
        mask: Volume | None = None
        label = organs.index(organ) + 1 if numbers is not None else 0
        if numbers is not None and label not in misnamed:
            mask = Volume(numbers.volume.array == label, numbers.volume.affine)
        elif organ in raw.label_paths:
            mask = read_mask(raw.label_paths[organ], grid=grid, geometry=geometry)
        reason = ""
        if mask is None or not mask.array.any():
            lacking = f"label {label} {misnamed[label]}" if label in misnamed else "no mask file"
            reason = lacking if mask is None else "the mask is empty"
        for kind in kinds:
            name = f"{organ}_{kind}"
            statuses.append(LandmarkStatus(raw.volume_id, name, "missing" if reason else "found", reason))
        if mask is not None and not reason:
            points_mm = landmark_points(mask, kinds=kinds)
            found += [
                Landmark(raw.volume_id, f"{organ}_{kind}", *point_mm)
                for kind, point_mm in zip(kinds, points_mm.tolist(), strict=True)
            ]
    return found, statuses


def _grid_of(raw: RawVolume, *, geometry: Geometry | None, largest_gap_mm: float | None) -> VolumeHeader:
    """Return the grid of a volume's image; that of a DICOM series shows when all of it is read."""
    if is_volume_name(raw.image_path.name):
        return read_file_header(raw.image_path, geometry=geometry)
    # The readers of DICOM take longer to load than the stage computes for other files.
    from anatomical_embedding.volumes.dicom import read_dicom_series  # noqa: PLC0415

    gap_mm = recipe_largest_gap_mm() if largest_gap_mm is None else largest_gap_mm
    found = read_dicom_series(raw.image_path, series=raw.series, largest_gap_mm=gap_mm)
    return VolumeHeader(found.volume.shape, found.volume.affine)


def landmark_points(mask: Volume, *, kinds: Sequence[LandmarkKind]) -> NDArray[np.float64]:
    """Return (N, 3) mm RAS+, one point for each kind, of a mask that is not empty.

    An end is the centroid of the mask's outermost slice towards that side of the patient. In an oblique
    volume the slice is the layer of voxels whose centres lie within half a voxel of the outermost centre,
    along the world axis. So the points depend on no array order.
    """
    centres_mm = transform_points(mask.affine, np.argwhere(mask.array))
    return np.array([_point(centres_mm, affine=mask.affine, kind=kind) for kind in kinds])


def _point(
    centres_mm: NDArray[np.float64], *, affine: NDArray[np.float64], kind: LandmarkKind
) -> NDArray[np.float64]:
    if kind == "centroid":
        return centres_mm.mean(axis=0)
    axis, sign = SIDES[kind]
    towards = sign * centres_mm[:, axis]
    half_voxel_mm = np.abs(affine[axis, :3]).max() / 2.0
    return centres_mm[towards > towards.max() - half_voxel_mm].mean(axis=0)
