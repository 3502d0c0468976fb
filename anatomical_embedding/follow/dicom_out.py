"""Followed lesions as DICOM objects: a SEG of the masks and an SR of the measurements a visit, where the scan is DICOM.

Both are made by highdicom, which the extra `dicom-out` installs. A lesion keeps its Tracking Identifier and Tracking
Unique Identifier over all visits, and over reruns as long as patient and first scan stay what they are.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anatomical_embedding.errors import UserError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.history import History, options_of
from anatomical_embedding.follow.measure_folder import masks_in_use
from anatomical_embedding.follow.records import Visit
from anatomical_embedding.volumes.file_names import is_volume_name

if TYPE_CHECKING:
    from pydicom import Dataset

    from anatomical_embedding.volumes.dicom_header import DicomFile

EXTRA = "dicom-out"
NUM_DIGITS = 4
REQUIRED_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that an object must have, empty where they are not known; anonymised slices may lack them."""


def require_dicom_writer() -> None:
    """Refuse to write DICOM where its library is not installed.

    Raises
    ------
    UserError
        naming the extra that installs it.
    """
    try:
        import highdicom  # noqa: F401, PLC0415
    except ImportError:
        raise UserError(
            "DICOM objects are written by highdicom, which is not installed; "
            f"pip install 'anatomical-embedding[{EXTRA}]'"
        ) from None


def write_dicom_objects(history: History) -> tuple[list[Path], list[str]]:
    """Write the objects of every visit whose scan is a DICOM series, and return their paths and what was left out.

    `dicom/VISIT.seg.dcm` where the visit has masks, and `dicom/VISIT.sr.dcm`.

    Raises
    ------
    UserError
        if highdicom is not installed, or a scan or a mask cannot be read any more.
    """
    require_dicom_writer()
    from anatomical_embedding.follow.dicom_measurements import measurement_report  # noqa: PLC0415
    from anatomical_embedding.follow.dicom_segmentation import segmentation_of  # noqa: PLC0415
    from anatomical_embedding.volumes.dicom_header import without_warnings  # noqa: PLC0415

    written, remarks = [], []
    for visit in history.record.visits:
        slices = slices_of(visit)
        if slices is None:
            remarks.append(
                f"{visit.scan}: is not a series of DICOM slices, so no DICOM object is written for {visit.name}"
            )
            continue
        masks = masks_in_use(history.folder, visit)
        has_masks = masks is not None and bool(masks.array.any())
        with without_warnings():  # of names and codes that the scanner wrote
            shown = masks if has_masks else None
            segmentation = None if shown is None else segmentation_of(history, visit, slices, shown)
            report = measurement_report(history, visit, slices, segmentation)
        for path, dataset in zip(
            history.folder.dicom_objects(visit.name), (segmentation, report), strict=True
        ):
            if dataset is None:
                path.unlink(missing_ok=True)  # of masks that are no longer there
                continue
            if _uid_in(path) != dataset.SOPInstanceUID:  # else it is that very object, with its own time
                with written_atomically(path) as temporary:
                    dataset.save_as(temporary)
            path.touch()  # as new as what it tells of, for `remarks_on_old_objects`
            written.append(path)
    return written, remarks


def remarks_on_old_objects(folder: FollowFolder, visits: Iterable[str]) -> list[str]:
    """Return what to say where DICOM objects are older than the masks and decisions that they tell of."""
    old = []
    for visit in visits:
        made_of = [folder.mask_in_use(visit), folder.rows(visit), folder.rows_back(visit), folder.decisions]
        times = [path.stat().st_mtime_ns for path in made_of if path is not None and path.exists()]
        old += [
            path
            for path in folder.dicom_objects(visit)
            if path.exists() and times and path.stat().st_mtime_ns < max(times)
        ]
    if not old:
        return []
    names = ", ".join(path.name for path in old)
    return [
        f"{old[0].parent}: {names} tell of earlier masks or decisions; `follow-report --dicom` writes them again"
    ]


def _uid_in(path: Path) -> str:
    """Return the UID of the object in a file; empty where there is none that can be read."""
    import pydicom  # noqa: PLC0415

    try:
        return str(pydicom.dcmread(path, stop_before_pixels=True).get("SOPInstanceUID", ""))
    except (OSError, pydicom.errors.InvalidDicomError):
        return ""


def slices_of(visit: Visit) -> "list[Dataset] | None":
    """Return the headers of the slices of a visit's scan; None where it is no series of single slices.

    Raises
    ------
    InputFileError
        if the series cannot be read any more.
    """
    if not visit.scan.is_dir() and is_volume_name(visit.scan.name):
        return None
    import pydicom  # noqa: PLC0415

    from anatomical_embedding.volumes.dicom_files import find_series_files  # noqa: PLC0415

    files = find_series_files(visit.scan, series=options_of(visit).series).slices
    if files[0].has_frames:
        return None
    slices: list[Dataset] = [
        pydicom.dcmread(file.path, stop_before_pixels=True, force=True) for file in files
    ]
    for dataset in slices:
        for keyword in REQUIRED_EMPTY:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        if not dataset.get("SliceThickness"):  # the writer asks for it; a scanner may leave it open
            dataset.SliceThickness = round(_between_slices_mm(files), NUM_DIGITS)
    return slices


def _between_slices_mm(files: "Sequence[DicomFile]") -> float:
    """Return the smallest distance between two slices along their normal."""
    along_row, along_column = files[0].numbers("ImageOrientationPatient", 6).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    heights = np.sort([file.numbers("ImagePositionPatient", 3) @ normal for file in files])
    return float(np.diff(heights).min())
