"""Organ masks in, one label map out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES, is_volume_name
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.label_names import misnamed_labels, names_in_nifti
from anatomical_embedding.volumes.mask_folder import FolderMap, map_of_masks, masks_in
from anatomical_embedding.volumes.nifti import VolumeHeader
from anatomical_embedding.volumes.segment_layers import SEGMENTATION_SUFFIXES, read_layers
from anatomical_embedding.volumes.segments import LARGEST_LABEL, SAME_GRID_FRACTION, LabelledScan
from anatomical_embedding.volumes.value_shares import sample_values, share_in_patches
from anatomical_embedding.volumes.volume import FoundVolume, Volume
from anatomical_embedding.volumes.volume_file import read_volume_file

BadLabels = Literal["refuse", "skip"]
"""What becomes of labels that do not fit: an error, or left out and named."""
LARGEST_FRACTION = 1e-3
"""Labels that a program scaled or interpolated come back this far off whole numbers; more is no label map."""
STRETCHED_STEPS, ROUNDING = 255, 1e-6
"""Steps of uint8, over which nibabel stretches labels; what rounding may add to half a step."""
FEWEST_VALUES_OF_A_SCAN, LARGEST_SHARE_OF_A_SCAN = 100, 0.3
"""Fewer numbers may be labels of any kind. The share is of voxels whose neighbour has the same number: 0.13 and
less in real scans, 0.90 and more in label maps."""
LARGEST_NUM_OF_A_MARK = 8
"""Labels of so few voxels may be landmarks, single voxels or crosses of seven."""


@dataclass(frozen=True)
class MergedLabels:
    """A label map with what happened while it was merged.

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


@dataclass(frozen=True)
class LabelFile:
    """The whole numbers in a file.

    Attributes
    ----------
    volume : label of every voxel, in the smallest unsigned type that holds them.
    remarks : what was corrected, a sentence each that begins with the file.
    names : of the labels, where the file names them.
    """

    volume: Volume
    remarks: tuple[str, ...]
    names: Mapping[int, str] = field(default_factory=dict)


def read_label_file(
    path: Path | str, *, geometry: Geometry | None = None, scan: LabelledScan | None = None
) -> LabelFile:
    """Return the label map in a file: whole numbers on any grid; numbers that are nearly whole are rounded.

    Segmentations of 3D Slicer (`.seg.nrrd`), DICOM SEG and RTSTRUCT give the numbers and names of their segments; a
    folder of masks, as TotalSegmentator writes them, gives its files a number each, by their names (`mask_folder`).

    Parameters
    ----------
    path : NIfTI, NRRD, MetaImage or DICOM file, or a folder of masks on one grid.
    geometry : form that places a NIfTI file whose header states two places.
    scan : that the labels belong to, on whose voxels those of a DICOM object are wanted.

    Raises
    ------
    InputFileError
        if the file is not sound, or holds fractions, negative numbers or numbers above 65535; if it is a DICOM object
        and no scan is given, or that of another world; if a folder holds no masks, several of one organ, or one of
        several labels or on another grid than the first.
    """
    path = Path(path)
    if path.is_dir():
        masks = read_mask_folder(path, geometry=geometry, scan=scan)
        return LabelFile(masks.volume, masks.remarks)
    if path.name.lower().endswith(SEGMENTATION_SUFFIXES):
        return _said_of(path, read_layers(path))
    if _is_dicom(path):
        if scan is None:
            raise InputFileError(
                path, "is a DICOM object, whose labels need the scan that they were drawn on; convert it"
            )
        from anatomical_embedding.volumes.dicom_labels import read_dicom_labels  # noqa: PLC0415

        return _said_of(path, read_dicom_labels(path, scan))
    stored = read_volume_file(path, geometry=geometry, require_contrast=False)
    array, fraction = _whole_numbers(stored.volume.array, path=path)
    _require_patches(array, path=path)
    rounded = [f"its labels are up to {fraction:.2g} off whole numbers and were rounded"] if fraction else []
    names = names_in_nifti(path) if path.name.lower().endswith(NIFTI_SUFFIXES) else {}
    return _said_of(
        path, FoundVolume(Volume(array, stored.volume.affine), (*stored.remarks, *rounded), names)
    )


def read_mask_folder(
    folder: Path,
    *,
    geometry: Geometry | None = None,
    scan: LabelledScan | None = None,
    grid: Grid | None = None,
) -> FolderMap:
    """Return the masks in a folder as one map: of organs as of lesions, by one rule (`mask_folder`).

    Parameters
    ----------
    folder : of one mask a file.
    geometry, scan : as in `read_label_file`.
    grid : whose voxels the map is wanted on; None takes those of the first mask.

    Raises
    ------
    InputFileError
        as `read_label_file`.
    """

    def read(path: Path) -> FoundVolume:
        found = read_label_file(path, geometry=geometry, scan=scan)
        return FoundVolume(found.volume, found.remarks)

    return map_of_masks(folder, read, grid=grid)


def require_labels(path: Path | str, *, geometry: Geometry | None = None) -> None:
    """Refuse a file of labels that shows none, as far as that can be told without the scan.

    Raises
    ------
    InputFileError
        as `read_label_file`, and if every voxel is 0.
    """
    path = Path(path)
    if path.is_dir():
        masks_in(path)
        return
    if _is_dicom(path):
        return
    if not read_label_file(path, geometry=geometry).volume.array.any():
        raise InputFileError(path, "the label map is empty: every voxel is 0")


def _is_dicom(path: Path) -> bool:
    """Say whether a file is a DICOM object of labels; the readers of DICOM load for files of no other format alone."""
    if is_volume_name(path.name):
        return False
    from anatomical_embedding.volumes.dicom_labels import is_dicom_labels  # noqa: PLC0415

    return is_dicom_labels(path)


def _said_of(path: Path, found: FoundVolume) -> LabelFile:
    """Return a label map with the name of its file before each remark."""
    return LabelFile(found.volume, tuple(f"{path}: {remark}" for remark in found.remarks), found.names)


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


def _read_mask(path: Path | str, *, grid: VolumeHeader | None, geometry: Geometry | None) -> LabelFile:
    found = read_label_file(path, geometry=geometry)
    if grid is not None:
        _require_same_grid(found.volume, grid=grid, path=path)
    if found.volume.array.max() > 1:
        others = np.setdiff1d(np.unique(found.volume.array), (0, 1))
        raise InputFileError(
            path, f"has the value {others[0]}, expected a mask of zeros and ones; give one file per organ"
        )
    return LabelFile(Volume(found.volume.array.astype(bool), found.volume.affine), found.remarks)


def merge_masks(
    label_paths: Mapping[str, Path],
    *,
    organs: Sequence[str],
    grid: VolumeHeader,
    bad_labels: BadLabels,
    geometry: Geometry | None = None,
) -> MergedLabels:
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
    return MergedLabels(
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
) -> MergedLabels:
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
    return MergedLabels(
        volume=Volume(labels, volume.affine),
        num_overlapping_vox=0,
        missing_organs=(),
        empty_organs=tuple(organ for label, organ in enumerate(organs, start=1) if label not in present),
        skipped={f"label {label}": "is beyond the organs" for label in unknown}
        | {f"label {label}": why for label, why in misnamed.items()},
        remarks=numbers.remarks,
    )


def _whole_numbers(array: NDArray, *, path: Path | str) -> tuple[NDArray, float]:
    """Return labels in the smallest type that holds them, and how far they were off whole numbers at most."""
    whole = np.rint(array) if array.dtype.kind == "f" else array
    fraction = float(np.abs(array - whole).max()) if array.dtype.kind == "f" else 0.0
    is_wrong = (whole < 0) | (whole > LARGEST_LABEL)
    if fraction > LARGEST_FRACTION and not _is_stretched(array, whole, fraction=fraction):
        is_wrong |= np.abs(array - whole) > LARGEST_FRACTION
    if is_wrong.any():
        wrong = str(array[is_wrong][0]).removesuffix(".0")
        raise InputFileError(
            path,
            f"has the value {wrong}, expected whole numbers from 0 to {LARGEST_LABEL}, one a label; give a label map, "
            "not a scan",
        )
    return whole.astype(label_type(int(whole.max()))), fraction


def _is_stretched(array: NDArray, whole: NDArray, *, fraction: float) -> bool:
    """Return whether labels were stretched over the 255 steps of uint8, with one value left of each label.

    nibabel does so with floats that it writes in an integer type (`findings/`); rounding to a step moves them by half a
    step at most.
    """
    if fraction > float(whole.max()) / STRETCHED_STEPS / 2 + ROUNDING:
        return False
    return len(np.unique(array)) == len(np.unique(whole))


def _require_patches(array: NDArray, *, path: Path | str) -> None:
    """Refuse a scan of whole numbers, or a map of probabilities, that is given as labels."""
    _, counts = np.unique(sample_values(array), return_counts=True)
    num_labels, num_shown = len(counts), counts.sum() - counts.max()
    is_like_scan = num_labels > FEWEST_VALUES_OF_A_SCAN and num_shown > LARGEST_NUM_OF_A_MARK * num_labels
    if is_like_scan and share_in_patches(array) < LARGEST_SHARE_OF_A_SCAN:
        raise InputFileError(
            path,
            f"looks like a scan or a map of probabilities and not like labels: {num_labels} different numbers or more "
            "that change from voxel to voxel",
        )


def label_type(num_labels: int) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds the labels 0 to `num_labels`."""
    return np.uint8 if num_labels <= np.iinfo(np.uint8).max else np.uint16


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
