"""A raw scan looked at once, when it is read: what it is, where it lies, and what had to be corrected or chosen.

The only door through which a user's scan comes in. Header and place are judged in `nifti_geometry` and `dicom`, values
in `scan_checks`; everything that was not taken as it stands is a remark of the scan, and what is not certain is refused
with the option that decides it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.arguments import require_choice
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.settings.volumes import Geometry, Modality
from anatomical_embedding.volumes.file_names import even_copies, is_volume_name
from anatomical_embedding.volumes.scan import scan_name, sha256_of_scan
from anatomical_embedding.volumes.scan_checks import (
    MODALITIES,
    Kind,
    Offset,
    add_offset,
    find_kind,
    find_offset,
    remark_on_stated_mr,
    told_offset,
)
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from anatomical_embedding.volumes.volume_file import read_volume_file


@dataclass(frozen=True)
class RawScan:
    """A scan as a user has it, sound and in known units.

    Attributes
    ----------
    path : file, or folder of one DICOM series.
    volume : mm; a CT in HU.
    modality : kind of scan.
    remarks : what was corrected, chosen or told, a sentence each; empty for most scans.
    options : what its user said about it.
    frame_of_reference : UID of the world of a DICOM series; empty for other files.
    """

    path: Path
    volume: Volume
    modality: Modality
    remarks: tuple[str, ...]
    options: "ReadingOptions"
    frame_of_reference: str = ""

    @property
    def name(self) -> str:
        """What the scan is called."""
        return scan_name(self.path)

    @cached_property
    def sha256(self) -> str:
        """Checksum of its files, taken once."""
        return sha256_of_scan(self.path, series=self.options.series)

    @property
    def grid(self) -> VolumeHeader:
        """The voxels of the scan without their values."""
        return VolumeHeader(self.volume.shape, self.volume.affine)

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks with the name of the scan before each."""
        return self.named(self.remarks)

    def named(self, remarks: Iterable[str]) -> tuple[str, ...]:
        """Return remarks with the name of the scan before each."""
        return tuple(f"{self.path}: {remark}" for remark in remarks)


@dataclass(frozen=True)
class ScanGrid:
    """The voxels of an image, which may be a scan, a label map or any other: where they lie, and whose they are.

    Attributes
    ----------
    path : file, or folder of one DICOM series.
    grid : the voxels.
    notes : what was corrected or chosen, a sentence each that begins with the path.
    series : of its folder, as it was told.
    """

    path: Path
    grid: VolumeHeader
    notes: tuple[str, ...]
    series: str | None

    @cached_property
    def sha256(self) -> str:
        """Checksum of its files, taken once."""
        return sha256_of_scan(self.path, series=self.series)


@dataclass(frozen=True)
class ReadingOptions:
    """What a user says about scans that do not say it themselves.

    Attributes
    ----------
    modality : kind of the scans; None takes what DICOM headers say and else looks at the values.
    geometry : form of a NIfTI header that is taken where it states two places; None refuses such a file.
    hu_offset : number that makes HU of the values of a CT; None looks at the values.
    series : number or UID of the DICOM series to take where a folder holds several; None refuses such a folder.
    largest_gap_mm : between DICOM slices that are not equally far apart; larger gaps are refused. None takes the
        number of the recipes, for scans that belong to no model and no run.

    Raises
    ------
    UserError
        for a modality or a geometry that there is not.
    """

    modality: Modality | None = None
    geometry: Geometry | None = None
    hu_offset: float | None = None
    series: str | None = None
    largest_gap_mm: float | None = None

    def __post_init__(self) -> None:
        """Refuse words that mean nothing: another spelling of sform would be taken as qform."""
        require_choice("modality", self.modality, Modality)
        require_choice("geometry", self.geometry, Geometry)


class Reading(TypedDict, total=False):
    """The fields of `ReadingOptions` as keywords, for functions that pass them on."""

    modality: Modality | None
    geometry: Geometry | None
    hu_offset: float | None
    series: str | None
    largest_gap_mm: float | None


def read_raw_scan(path: Path | str, options: ReadingOptions) -> RawScan:
    """Return the scan in a file (NIfTI, NRRD, MetaImage, DICOM of many frames), or in a folder of one DICOM series.

    Raises
    ------
    InputFileError
        for everything that `read_volume_file` and `read_dicom_series` refuse; if the scan may be a CT or an MR; if a CT
        is not in HU and no certain rule makes it so; if the options do not fit the scan.
    """
    path = Path(path)
    stored = _read(path, options)
    array = stored.volume.array
    try:
        kind = _kind_of(array, stored, options=options)
        offset = _offset_of(array, kind=kind, options=options)
    except UserError as error:
        raise InputFileError(path, str(error)) from error
    if offset.hu:
        array = add_offset(array, offset.hu)
    scale_remark = offset.remark
    if kind.modality == "ct" and not stored.has_scale and not offset.remark:
        scale_remark = "it gives no rescale; its values look like HU and were taken as they are"
    remarks = (*stored.remarks, *filter(None, (kind.remark, scale_remark)))
    place = Volume(array, stored.volume.affine)
    return RawScan(path, place, kind.modality, remarks, options, stored.frame_of_reference)


def read_scan_grid(path: Path | str, options: ReadingOptions) -> ScanGrid:
    """Return the voxels of any image, whose values are not judged.

    Raises
    ------
    InputFileError
        if it cannot be read, or its place is not sure.
    """
    path = Path(path)
    stored = _read(path, options, require_contrast=False)
    grid = VolumeHeader(stored.volume.shape, stored.volume.affine)
    return ScanGrid(path, grid, tuple(f"{path}: {remark}" for remark in stored.remarks), options.series)


@dataclass(frozen=True)
class _Stored:
    """What a file or a folder holds, before its values are looked at; no modality word where nothing is said."""

    volume: Volume
    remarks: tuple[str, ...]
    modality_word: str = ""
    object_kind: str = ""
    has_scale: bool = True
    frame_of_reference: str = ""


def _read(path: Path, options: ReadingOptions, *, require_contrast: bool = True) -> _Stored:
    if path.is_dir() or not is_volume_name(path.name):
        # The readers of DICOM take longer to load than a stage that prepares a NIfTI file computes.
        from anatomical_embedding.settings.recipe_values import recipe_largest_gap_mm  # noqa: PLC0415
        from anatomical_embedding.volumes.dicom import read_dicom_series  # noqa: PLC0415
        from anatomical_embedding.volumes.dicom_files import is_dicom_file  # noqa: PLC0415

        if path.is_dir() or is_dicom_file(path):
            gap_mm = recipe_largest_gap_mm() if options.largest_gap_mm is None else options.largest_gap_mm
            found = read_dicom_series(path, series=options.series, largest_gap_mm=gap_mm)
            return _Stored(
                found.volume,
                found.remarks,
                found.modality_word,
                found.object_kind,
                found.has_rescale,
                found.frame_of_reference,
            )
    stored = read_volume_file(path, geometry=options.geometry, require_contrast=require_contrast)
    return _Stored(
        stored.volume,
        (*stored.remarks, *_remark_on_lost_place(stored.volume.affine), *_remark_on_even_copy(path)),
    )


def _remark_on_lost_place(affine: NDArray[np.float64]) -> list[str]:
    """Return a sentence where a place is what programs write of an array that has none: nothing but ones and zeros."""
    if not np.array_equal(np.abs(affine), np.eye(4)):
        return []
    return [
        "its voxels of 1 mm begin at 0, 0, 0 along the axes of the world, as where a program wrote an array without "
        "its place; check sizes and sides"
    ]


def _remark_on_even_copy(path: Path) -> list[str]:
    """Return a sentence where dcm2niix has said by a second file that the slices of this one are not where it says."""
    copy = next((name for name in even_copies(path.name) if path.with_name(name).exists()), None)
    if copy is None:
        return []
    return [
        f"beside it lies {copy}, which dcm2niix writes where slices are tilted or not equally far apart; places in "
        "this file may be wrong, take the other"
    ]


def _kind_of(array: NDArray, stored: _Stored, *, options: ReadingOptions) -> Kind:
    """Return what a scan is: as its user says, else as its header words it, else by its values."""
    chosen, stated = options.modality, stored.modality_word
    if chosen is None and not stated and options.hu_offset is not None:
        chosen = "ct"  # no other scan has HU
    if chosen is None:
        if stated and stated not in MODALITIES:
            kind = f" ({stored.object_kind})" if stored.object_kind else ""
            raise UserError(
                f"is of modality {stated}{kind}, expected CT or MR; --modality takes it as one of them"
            )
        return Kind(MODALITIES[stated], "") if stated else find_kind(array)
    if stated and chosen != MODALITIES.get(stated):
        return Kind(chosen, f"taken as {chosen.upper()} (--modality), though its header says {stated}")
    return Kind(chosen, remark_on_stated_mr(array) if chosen == "mr" else "")


def _offset_of(array: NDArray, *, kind: Kind, options: ReadingOptions) -> Offset:
    """Return what makes HU of the values of a CT."""
    if options.hu_offset is None:
        return find_offset(array) if kind.modality == "ct" else Offset(0.0, "")
    if kind.modality == "mr":
        raise UserError("is an MR, by its header or --modality, which has no HU; leave out --hu-offset")
    return told_offset(array, offset_hu=options.hu_offset)
