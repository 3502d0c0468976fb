"""What is known of visits before they are followed: names, order, and the patient, study and date in their headers."""

import datetime

import numpy as np
import pydicom
import pytest

from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.visits import (
    AskedVisit,
    date_of_scan,
    name_visits,
    remarks_on_dates,
    remarks_on_patients,
    remarks_on_studies,
    require_order,
)
from tests.dicom_slices import (
    CT_CLASS,
    DOSE_CLASS,
    REPORT_CLASS,
    SECONDARY_CAPTURE_CLASS,
    SEGMENTATION_CLASS,
    Layout,
    Stack,
    plain_object,
    save,
)
from tests.packaged_model import body_scan, scan_affine, write_dicom_series


def test_visits_are_called_after_their_scans_or_counted(tmp_path):
    days = [None, datetime.date(2026, 1, 2)]
    named = name_visits([tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"], days)
    assert named == [
        AskedVisit("first", tmp_path / "first.nii.gz", None),
        AskedVisit("second", tmp_path / "second.nii.gz", days[1]),
    ]
    odd = name_visits([tmp_path / "first visit.nii.gz", tmp_path / "second.nii.gz"], days)
    assert [visit.name for visit in odd] == ["visit0", "visit1"]


def test_dates_may_be_unknown_between_known_ones(tmp_path):
    visits = []
    for number, day in enumerate([3, None, 1]):
        path = tmp_path / f"{number}.nii.gz"
        path.write_bytes(bytes([number]))
        visits.append(AskedVisit(f"v{number}", path, day and datetime.date(2026, 1, day)))
    with pytest.raises(UserError, match="visit v2 is of 2026-01-01, before visit v0 of 2026-01-03"):
        require_order(visits)


def test_scans_that_name_several_patients_are_said(tmp_path):
    visits = []
    for number, patient in enumerate(("A", "", "A", "B")):
        Stack(edit=lambda dataset, k, patient=patient: setattr(dataset, "PatientID", patient)).write(
            tmp_path / str(number)
        )
        visits.append(AskedVisit(f"v{number}", tmp_path / str(number), None))
    assert remarks_on_patients(visits[:3]) == []
    assert remarks_on_patients([AskedVisit("n", tmp_path / "ct.nii.gz", None), *visits]) == [
        f"{tmp_path / '3'}: is of the patient 'B' by its header, visit v0 of 'A'; they are followed as of one"
    ]


def test_series_of_one_study_are_said(tmp_path):
    """Two phases of one examination, given as two visits."""
    visits = [AskedVisit("n", tmp_path / "ct.nii.gz", None)]
    for number, study in enumerate(("1.2", "1.3", "1.2", "", "")):
        edit = lambda dataset, k, study=study: setattr(dataset, "StudyInstanceUID", study)  # noqa: E731
        visits.append(AskedVisit(f"v{number}", Stack(edit=edit).write(tmp_path / str(number)), None))
    assert remarks_on_studies(visits) == [
        f"{tmp_path / '2'}: is of the same study as visit v0 by its header; it is followed as another visit"
    ]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((5, 20), []),
        ((15, 30), []),
        ((None, 20), []),
        ((5, 25), ["visit v1 is of 2024-01-25, as given, but of 2024-01-20 by its header"]),
        ((None, 25), ["visit v1 is of 2024-01-25, as given, but of 2024-01-20 by its header"]),
    ],
)
def test_told_dates_that_contradict_those_of_headers_are_said(tmp_path, told, said):
    """Scans of two days that were given in the wrong order; not where an anonymiser moved all dates alike."""
    visits = []
    for number, (day, told_day) in enumerate(zip((5, 20), told, strict=True)):
        folder = Stack(edit=lambda dataset, k, day=day: setattr(dataset, "StudyDate", f"202401{day:02d}"))
        date = told_day and datetime.date(2024, 1, told_day)
        visits.append(AskedVisit(f"v{number}", folder.write(tmp_path / str(number)), date))
    assert [remark.split(": ", 1)[1] for remark in remarks_on_dates(visits)] == said


def test_the_first_image_of_an_anonymised_series_is_enough(tmp_path, monkeypatch):
    """Neither its patient nor its date is in any of the others; what is no image says nothing of the scan."""
    folder = Stack(edit=lambda dataset, k: setattr(dataset, "PatientID", "")).write(tmp_path / "series")
    (folder / "A_notes.txt").write_text("no DICOM", encoding="utf-8")
    save(plain_object(REPORT_CLASS, modality="SR"), folder / "A_report.dcm")
    read = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(
        pydicom, "dcmread", lambda path, **more: read.append(path.name) or dcmread(path, **more)
    )
    assert remarks_on_patients([AskedVisit("v", folder, None)]) == []
    assert date_of_scan(folder) is None
    assert set(read) == {"A_report.dcm", "IM0000.dcm"}


@pytest.mark.parametrize("kind", [SEGMENTATION_CLASS, DOSE_CLASS, SECONDARY_CAPTURE_CLASS, CT_CLASS])
def test_what_was_made_of_a_scan_later_does_not_date_it(tmp_path, kind):
    """A segmentation, a dose, a screenshot and a localizer have rows as slices have, and lie first in the folder."""

    def tags(dataset, k=0):
        dataset.AcquisitionDate, dataset.PatientID = "20240105", "P1"

    folder = Stack(edit=tags).write(tmp_path / "series")
    other = plain_object(kind)
    Layout().set(other, np.ones((4, 4), dtype=np.int64))
    other.SeriesDate, other.PatientID = "20251224", "OTHER"
    if kind == CT_CLASS:
        other.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(other, folder / "AAA.dcm")
    assert date_of_scan(folder) == datetime.date(2024, 1, 5)
    visits = [AskedVisit("a", folder, None), AskedVisit("b", Stack(edit=tags).write(tmp_path / "b"), None)]
    assert remarks_on_patients(visits) == []


def test_a_scan_of_many_frames_is_dated_by_its_time_of_acquisition(tmp_path):
    def tags(dataset, k):
        dataset.AcquisitionDateTime, dataset.SeriesDate = "20240105093000.5+0100", "20240601"

    assert date_of_scan(Stack(edit=tags).write(tmp_path / "series")) == datetime.date(2024, 1, 5)


def test_a_broken_file_names_no_patient(tmp_path):
    """What its tags say of themselves is no kind of value; that it cannot be read as a scan is said elsewhere."""
    path = Stack().write(tmp_path / "series") / "IM0000.dcm"
    content = path.read_bytes()
    kind_of_syntax = content.index(b"\x02\x00\x10\x00UI") + 4
    path.write_bytes(content[:kind_of_syntax] + b"\x55\xd2" + content[kind_of_syntax + 2 :])
    assert remarks_on_patients([AskedVisit("v", path, None)]) == []


def test_the_date_of_a_dicom_scan_is_read_from_its_header(tmp_path):
    scan = body_scan(offset_vox=(2, 2, 2), affine=scan_affine(origin_mm=(0.0, 0.0, 0.0)))
    folder = write_dicom_series(scan, tmp_path / "series")
    for told, expected in (("", None), ("20260331", datetime.date(2026, 3, 31))):
        for path in folder.iterdir():
            header = pydicom.dcmread(path)
            header.AcquisitionDate = header.SeriesDate = ""
            header.StudyDate = told
            header.save_as(path)
        assert date_of_scan(folder) == expected
