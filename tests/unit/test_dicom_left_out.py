"""Files of a DICOM folder that are no slices: left out and said, or refused where nothing else is there."""

import numpy as np
import pytest
from pydicom.uid import UID

from tests.dicom_edits import refusal
from tests.dicom_slices import (
    DOSE_CLASS,
    ENHANCED_CT_CLASS,
    OTHER_SERIES,
    REPORT_CLASS,
    SECONDARY_CAPTURE_CLASS,
    SEGMENTATION_CLASS,
    SERIES,
    Stack,
    grey_ramp,
    plain_object,
    read_series,
    save,
)

DICOMDIR_CLASS = UID("1.2.840.10008.1.3.10")


def single(**tags):
    dataset = Stack(series=OTHER_SERIES).dataset(2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def capture(**tags):
    """Return a secondary capture without a place, as a dose screen is."""
    dataset = single(SOPClassUID=SECONDARY_CAPTURE_CLASS, **tags)
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    return dataset


LEFT_OUT = {
    "dose": (single(SOPClassUID=DOSE_CLASS, Modality="RTDOSE"), "an object of the kind RT Dose Storage"),
    "frames of dose": (
        single(SOPClassUID=DOSE_CLASS, Modality="RTDOSE", NumberOfFrames=3),
        "an object of the kind RT Dose Storage",
    ),
    "report": (plain_object(REPORT_CLASS, modality="SR"), "an object of the kind Basic Text SR Storage"),
    "report in the series": (
        plain_object(REPORT_CLASS, modality="SR", series=SERIES),
        "an object of the kind Basic Text SR Storage",
    ),
    "segmentation": (
        single(SOPClassUID=SEGMENTATION_CLASS, Modality="SEG"),
        "an object of the kind Segmentation Storage",
    ),
    "dicomdir": (plain_object(DICOMDIR_CLASS), "a table of contents (DICOMDIR)"),
    "localizer": (single(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "a localizer"),
    "localizer in the series": (
        single(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID=SERIES),
        "a localizer",
    ),
    "dose screen": (
        capture(),
        "an image of the kind Secondary Capture Image Storage that does not state its position",
    ),
    "dose screen in the series": (
        capture(SeriesInstanceUID=SERIES),
        "an image of the kind Secondary Capture Image Storage that does not state its position",
    ),
    "colour": (single(PhotometricInterpretation="PALETTE COLOR"), "a colour picture (PALETTE COLOR)"),
    "film": (
        single(SOPClassUID=ENHANCED_CT_CLASS, NumberOfFrames=12),
        "a multi-frame file (12 frames, Enhanced CT Image Storage)",
    ),
    "one image": (single(), 'the one image of series 2 "Test 2" (1 image, CT)'),
    "raw data": (
        plain_object(UID("1.2.840.10008.5.1.4.1.1.66")),
        "an object of the kind Raw Data Storage",
    ),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_is_no_slice_is_left_out_and_said(tmp_path, kind):
    folder = Stack().write(tmp_path)
    other, reason = LEFT_OUT[kind]
    save(other, folder / "IM0006.dcm")
    series = read_series(folder)
    (remark,) = series.remarks
    assert remark.startswith(f"Left out IM0006.dcm: {reason}")
    np.testing.assert_array_equal(series.volume.array, grey_ramp().transpose(2, 1, 0) - 1024)


def test_files_of_other_kinds_are_left_out_in_one_sentence_a_kind(tmp_path):
    folder = Stack(name="slice{:d}".format).write(tmp_path)
    for name in ("a.txt", "b.jpg", "._slice3"):
        (folder / name).write_bytes(b"anything")
    (folder / "reports").mkdir()
    (folder / "lock.tmp").touch()
    assert read_series(folder).remarks == (
        "Left out ._slice3, a.txt, b.jpg: not a DICOM file.",
        "Left out lock.tmp: an empty file.",
        "Left out reports: a folder.",
    )


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        (single(SOPClassUID=ENHANCED_CT_CLASS, NumberOfFrames=12), "is a multi-frame file (12 frames"),
        (single(NumberOfFrames=4), "is a multi-frame file (4 frames, CT Image Storage)"),
        (single(PhotometricInterpretation="RGB", SamplesPerPixel=3), "is a colour picture (RGB)"),
    ],
)
def test_a_single_file_of_another_kind_is_called_that(tmp_path, dataset, problem):
    save(dataset, tmp_path / "only.dcm")
    assert str(refusal(tmp_path)).startswith(f"{tmp_path}/only.dcm: {problem}")


def test_a_folder_without_slices_says_what_it_holds(tmp_path):
    told = str(refusal(tmp_path))
    assert (
        told.startswith(f"{tmp_path}: holds no DICOM series that can be read")
        and "The folder is empty" in told
    )
    save(plain_object(DICOMDIR_CLASS), tmp_path / "DICOMDIR")
    (tmp_path / "series1").mkdir()
    told = str(refusal(tmp_path))
    assert "Left out DICOMDIR: a table of contents (DICOMDIR). Left out series1: a folder." in told


def test_a_folder_of_other_volumes_names_one(tmp_path):
    for name in ("ct.nii.gz", "notes.txt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert "name a file with a volume, such as ct.nii.gz, or such a folder" in str(refusal(tmp_path))
