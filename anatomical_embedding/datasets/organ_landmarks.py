"""Landmarks from organ masks: centroids and ends, in world mm of the stored scan."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.landmark_file import Landmark, LandmarkStatus
from anatomical_embedding.settings.dataset import LandmarkKind
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.labels import read_label_file, read_mask
from anatomical_embedding.volumes.volume import Volume
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
) -> tuple[list[Landmark], list[LandmarkStatus]]:
    """Return a volume's landmarks that its masks show, and what became of every one that was wanted.

    Parameters
    ----------
    raw : volume with its mask files, which are read at their stored resolution.
    landmarks : wanted points of each organ; they are named `<organ>_<kind>`.
    organs : all organs of the data set in the order of their labels, for volumes with one label map.
    geometry : form that places files whose header states two places.

    Raises
    ------
    InputFileError
        if a mask is unsound, not binary or on another grid than its image.
    """
    found, statuses = [], []
    grid = read_file_header(raw.image_path, geometry=geometry)
    label_map = read_label_file(raw.label_map_path, geometry=geometry).volume if raw.label_map_path else None
    for organ, kinds in landmarks.items():
        mask: Volume | None = None
        if label_map is not None:
            mask = Volume(label_map.array == organs.index(organ) + 1, label_map.affine)
        elif organ in raw.label_paths:
            mask = read_mask(raw.label_paths[organ], grid=grid, geometry=geometry)
        reason = ""
        if mask is None or not mask.array.any():
            reason = "no mask file" if mask is None else "the mask is empty"
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
