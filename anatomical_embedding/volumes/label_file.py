"""Files of labels of any format: whole numbers, one a label, on any grid."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES, is_volume_name
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.label_names import names_in_nifti
from anatomical_embedding.volumes.mask_folder import FolderMap, map_of_masks, masks_in
from anatomical_embedding.volumes.segment_layers import SEGMENTATION_SUFFIXES, read_layers
from anatomical_embedding.volumes.segments import LARGEST_LABEL, LabelledScan, label_type
from anatomical_embedding.volumes.value_shares import sample_values, share_in_patches
from anatomical_embedding.volumes.volume import FoundVolume, Volume
from anatomical_embedding.volumes.volume_file import read_volume_file

LARGEST_FRACTION = 1e-3
"""Labels that a program scaled or interpolated come back this far off whole numbers; more is no label map."""
STRETCHED_STEPS, ROUNDING = 255, 1e-6
"""Steps of uint8, over which nibabel stretches labels; what rounding may add to half a step."""
FEWEST_VALUES_OF_A_SCAN, LARGEST_SHARE_OF_A_SCAN = 100, 0.3
"""Fewer numbers may be labels of any kind. The share is of voxels whose neighbour has the same number: 0.13 and
less in real scans, 0.90 and more in label maps."""
LARGEST_NUM_OF_A_MARK = 8
"""Labels of so few voxels may be landmarks, single voxels or crosses of seven."""


def read_label_file(
    path: Path | str, *, geometry: Geometry | None = None, scan: LabelledScan | None = None
) -> FoundVolume:
    """Return the label map in a file: whole numbers on any grid, in the smallest unsigned type that holds them.

    Numbers that are nearly whole are rounded. Each remark begins with the file.

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
        return FoundVolume(masks.volume, masks.remarks, masks.names)
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
    return map_of_masks(folder, partial(read_label_file, geometry=geometry, scan=scan), grid=grid)


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


def _said_of(path: Path, found: FoundVolume) -> FoundVolume:
    """Return a label map with the name of its file before each remark."""
    return replace(found, remarks=tuple(f"{path}: {remark}" for remark in found.remarks))


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
