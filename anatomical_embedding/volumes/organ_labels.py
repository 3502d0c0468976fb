"""The organs of an image as one label map: from a mask of each, or from a map that counts them alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.grid import largest_distance_mm
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.label_names import misnamed_labels
from anatomical_embedding.volumes.segments import SAME_GRID_FRACTION, label_type
from anatomical_embedding.volumes.volume import FoundVolume, Volume, VolumeHeader

BadLabels = Literal["refuse", "skip"]
"""What becomes of labels that do not fit: an error, or left out and named."""


@dataclass(frozen=True)
class OrganLabels:
    """A label map of organs, and what did not fit.

    Attributes
    ----------
    volume : label of every voxel, 0 where there is no organ; uint8, or uint16 for more than 255 organs.
    num_overlapping_vox : voxels that more than one organ claims; the later organ has them.
    missing_organs : organs without a file, in the order of the labels.
    empty_organs : organs whose mask has no voxel.
    skipped : what did not fit and was left out: organ, or `label <id>`, to the reason.
    remarks : what was corrected, a sentence each that begins with the file.
    """

    volume: Volume
    num_overlapping_vox: int
    missing_organs: tuple[str, ...]
    empty_organs: tuple[str, ...]
    skipped: Mapping[str, str]
    remarks: tuple[str, ...]


def read_mask(path: Path | str, *, grid: VolumeHeader | None, geometry: Geometry | None = None) -> Volume:
    """Return the binary mask in a file as a boolean volume.

    Parameters
    ----------
    path : file of zeros and ones.
    grid : grid that the mask must have; None accepts any.
    geometry : form that places a file whose header states two places.

    Raises
    ------
    InputFileError
        as `read_label_file`, and if the file lies on another grid or has other values.
    """
    return _read_mask(path, grid=grid, geometry=geometry).volume


def _read_mask(path: Path | str, *, grid: VolumeHeader | None, geometry: Geometry | None) -> FoundVolume:
    found = read_label_file(path, geometry=geometry)
    if grid is not None:
        _require_same_grid(found.volume, grid=grid, path=path)
    if found.volume.array.max() > 1:
        others = np.setdiff1d(np.unique(found.volume.array), (0, 1))
        raise InputFileError(
            path, f"has the value {others[0]}, expected a mask of zeros and ones; give one file per organ"
        )
    return FoundVolume(Volume(found.volume.array.astype(bool), found.volume.affine), found.remarks)


def merge_masks(
    label_paths: Mapping[str, Path],
    *,
    organs: Sequence[str],
    grid: VolumeHeader,
    bad_labels: BadLabels,
    geometry: Geometry | None = None,
) -> OrganLabels:
    """Return one label map of the organs' masks.

    The label of an organ is its position in `organs`, counted from 1. Where two organs overlap the
    later one wins. An organ without a file keeps its label, so that a label means the same in every volume.
    (The published label ids follow the order in which the disk lists the files, which differs between
    machines.)

    Parameters
    ----------
    label_paths : file of each organ that has one.
    organs : all organs of the data set, in the order of their labels.
    grid : grid of the image.
    bad_labels : whether a mask that does not fit is an error, or left out as if it were not there.
    geometry : form that places a file whose header states two places.

    Raises
    ------
    InputFileError
        if a mask is unsound, not binary or on another grid than the image, and is not to be left out.
    """
    labels = np.zeros(grid.shape, dtype=label_type(len(organs)), order="F")
    is_overlapping = np.zeros(grid.shape, dtype=bool, order="F")
    empty_organs, skipped = [], {}
    remarks: list[str] = []
    for label, organ in enumerate(organs, start=1):
        if organ not in label_paths:
            continue
        try:
            found = _read_mask(label_paths[organ], grid=grid, geometry=geometry)
        except InputFileError as error:
            if bad_labels == "refuse":
                raise
            skipped[organ] = error.problem
            continue
        remarks += found.remarks
        mask = found.volume.array
        is_overlapping |= mask & (labels > 0)
        labels[mask] = label
        if not mask.any():
            empty_organs.append(organ)
    return OrganLabels(
        volume=Volume(labels, grid.affine),
        num_overlapping_vox=int(is_overlapping.sum()),
        missing_organs=tuple(organ for organ in organs if organ not in label_paths),
        empty_organs=tuple(empty_organs),
        skipped=skipped,
        remarks=tuple(remarks),
    )


def read_label_map(
    path: Path | str,
    *,
    organs: Sequence[str],
    grid: VolumeHeader,
    bad_labels: BadLabels,
    geometry: Geometry | None = None,
) -> OrganLabels:
    """Return the label map in a file, whose ids are the places of the organs counted from 1.

    An organ without a voxel counts as empty; in one map none is missing and none overlaps.

    Parameters
    ----------
    path : file of whole numbers.
    organs : all organs of the data set, in the order of their labels.
    grid : grid of the image.
    bad_labels : whether an id beyond the organs, or of another organ by the file's own table, is an error, or becomes
        background.
    geometry : form that places a file whose header states two places.

    Raises
    ------
    InputFileError
        if the file is unsound, on another grid, holds fractions or negative values, or, where these are not to be left
        out, an unknown id or one that the file calls by the name of another organ.
    """
    numbers = read_label_file(path, geometry=geometry)
    volume = numbers.volume
    _require_same_grid(volume, grid=grid, path=path)
    found = np.unique(volume.array)
    unknown = [int(label) for label in found if label > len(organs)]
    if unknown and bad_labels == "refuse":
        raise InputFileError(
            path,
            f"has the label {unknown[0]}, expected 0 to {len(organs)}; name the organs by the table that the map was "
            "made with, or set bad_labels: skip",
        )
    misnamed = {label: why for label, why in misnamed_labels(numbers.names, organs).items() if label in found}
    for label, why in misnamed.items() if bad_labels == "refuse" else ():
        raise InputFileError(
            path, f"label {label} {why}; name the organs by the table that the map was made with"
        )
    is_known = (volume.array <= len(organs)) & ~np.isin(volume.array, list(misnamed))
    known = np.where(is_known, volume.array, 0)
    labels = np.asfortranarray(known.astype(label_type(len(organs))))
    present = set(found.astype(int).tolist()) - set(misnamed)
    return OrganLabels(
        volume=Volume(labels, volume.affine),
        num_overlapping_vox=0,
        missing_organs=(),
        empty_organs=tuple(organ for label, organ in enumerate(organs, start=1) if label not in present),
        skipped={f"label {label}": "is beyond the organs" for label in unknown}
        | {f"label {label}": why for label, why in misnamed.items()},
        remarks=numbers.remarks,
    )


def _require_same_grid(volume: Volume, *, grid: VolumeHeader, path: Path | str) -> None:
    if volume.shape != grid.shape:
        raise InputFileError(path, f"has shape {volume.shape}, expected {grid.shape} as its image")
    distance_mm = largest_distance_mm(volume.affine, grid.affine, shape=grid.shape)
    if distance_mm > SAME_GRID_FRACTION * spacing_from_affine(grid.affine).min():
        raise InputFileError(
            path,
            f"lies up to {distance_mm:.3g} mm away from its image, expected the same grid; "
            "resample the mask onto that of its image first",
        )
