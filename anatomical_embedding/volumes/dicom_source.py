"""What a DICOM object that is made of a scan says of it: its patient and study, its world, and its images."""

from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_files import find_series_files
from anatomical_embedding.volumes.dicom_header import without_warnings

PATIENT_TAGS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY_TAGS = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
WANTED_TAGS = (
    *PATIENT_TAGS,
    *STUDY_TAGS,
    *("SpecificCharacterSet", "SeriesInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator"),
    *("SOPClassUID", "SOPInstanceUID"),
)


@dataclass(frozen=True)
class DicomSource:
    """A DICOM series as other objects refer to it.

    Attributes
    ----------
    path : its folder or file.
    header : tags of its patient, study, series and world, those of its first image.
    images : class and instance UID of each file.
    """

    path: Path
    header: Dataset
    images: tuple[tuple[str, str], ...]

    @property
    def frame_of_reference(self) -> str:
        """UID of its world."""
        return str(self.header.FrameOfReferenceUID)


def read_dicom_source(path: Path, *, series: str | None) -> DicomSource:
    """Return what objects made of a DICOM series refer to.

    Parameters
    ----------
    path : folder, or file of many frames.
    series : number or UID of the series where the folder holds several.

    Raises
    ------
    InputFileError
        as `find_series_files`; if an image has no UID; if its images name no frame of reference, or several.
    """
    files = dict.fromkeys(file.path for file in find_series_files(path, series=series).slices)
    headers = [_header(file) for file in files]
    worlds = {str(header.get("FrameOfReferenceUID", "")) for header in headers}
    if len(worlds) > 1 or not all(worlds):
        has = "has several frames of reference" if len(worlds) > 1 else "names no frame of reference"
        raise InputFileError(path, f"{has}, so no DICOM registration can refer to it")
    return DicomSource(
        path, headers[0], tuple((str(header.SOPClassUID), str(header.SOPInstanceUID)) for header in headers)
    )


def _header(path: Path) -> Dataset:
    with without_warnings():
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(WANTED_TAGS), force=True)
    missing = [tag for tag in UIDS if not header.get(tag)]
    if missing:
        raise InputFileError(
            path, f"has no {missing[0]}, by which DICOM objects refer to it; export the series again"
        )
    return header
