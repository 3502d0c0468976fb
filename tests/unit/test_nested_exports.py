"""Exports of archives: slices in folders below the one that is named, as XNAT, TCIA and CDs have them."""

import datetime
import os

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset

from anatomical_embedding.cli.new import new
from anatomical_embedding.datasets.listing import left_out, list_raw_volumes
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.visits import date_of_scan, name_visits, remarks_on_patients
from anatomical_embedding.settings.dataset import FolderSettings
from anatomical_embedding.volumes.dicom_mark import MOST_FOLDERS_DEEP, holds_dicom_below
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.scan import sha256_of_scan
from tests.dicom_slices import DOSE_CLASS, OTHER_SERIES, SERIES, plain_object, save
from tests.scan_inputs.dicom_series import stack
from tests.scan_inputs.marked_scan import HU

XNAT = "scans/{}-CT/resources/DICOM/files"
FIRST = XNAT.format(1)
MIRRORED = HU[::-1].T.astype(np.int64) + 1024
SEGMENTATION = "scans/9-SEG/resources/DICOM/files"


def dated(day, patient="p"):
    """Return an edit that gives all slices a date and a patient."""

    def edit(dataset: Dataset, k: int) -> None:
        dataset.AcquisitionDate, dataset.PatientID = day, patient

    return edit


def one_series(folder, *, place=FIRST):
    """Write a scan and, in a folder of its own, an object that is none."""
    stack(edit=dated("20260331")).write(folder / place)
    (folder / SEGMENTATION).mkdir(parents=True)
    save(plain_object(DOSE_CLASS, modality="RTDOSE", series="1.2.3.9"), folder / SEGMENTATION / "1.dcm")
    (folder / "notes.txt").write_text("none", encoding="utf-8")
    return folder


def two_series(folder):
    stack(edit=dated("20260331")).write(folder / XNAT.format(1))
    stack(series=OTHER_SERIES, stored=MIRRORED, edit=dated("20260401", "q")).write(folder / XNAT.format(2))
    return folder


@pytest.mark.parametrize(
    "place", [XNAT.format(1), "1.2.826.0.1/1.2.826.0.2", "DICOM/PA000000/ST000000/SE000000"]
)
def test_the_one_series_below_is_read_and_its_folder_said(tmp_path, place):
    """The same volume as from the folder itself; a table of contents above it changes nothing."""
    folder = one_series(tmp_path / "export", place=place)
    save(plain_object("1.2.840.10008.1.3.10"), folder / "DICOMDIR")
    found = read_raw_scan(folder, ReadingOptions())
    alone = read_raw_scan(folder / place, ReadingOptions())
    assert (found.volume.array == alone.volume.array).all() and (
        found.volume.affine == alone.volume.affine
    ).all()
    assert found.remarks[0] == f"Its slices lie in {place} of this folder."
    assert "Left out 1.dcm: an object of the kind RT Dose Storage, not a slice." in found.remarks


def test_several_series_are_listed_with_how_to_name_one(tmp_path):
    folder = two_series(tmp_path / "export")
    with pytest.raises(InputFileError) as caught:
        read_raw_scan(folder, ReadingOptions())
    assert str(caught.value) == (
        f"{folder}: holds 2 DICOM series of 2 patients, expected one: "
        'series 1 "Test 1" (20 images, CT), series 2 "Test 2" (20 images, CT); --series takes one, such as --series 1, '
        "or name its folder, such as scans/1-CT/resources/DICOM/files in it"
    )
    for series, place in (("2", XNAT.format(2)), (SERIES, XNAT.format(1))):
        found = read_raw_scan(folder, ReadingOptions(series=series))
        alone = read_raw_scan(folder / place, ReadingOptions())
        assert (found.volume.array == alone.volume.array).all()
        assert found.remarks[0] == f"Its slices lie in {place} of this folder."


def test_a_folder_that_holds_slices_itself_is_not_looked_into(tmp_path):
    stack().write(tmp_path)
    stack(series=OTHER_SERIES).write(tmp_path / "other")
    assert "Left out other: a folder." in read_raw_scan(tmp_path, ReadingOptions()).remarks


def test_a_slice_below_that_is_replaced_is_another_scan(tmp_path):
    folder = one_series(tmp_path / "export")
    before = sha256_of_scan(folder)
    path = folder / XNAT.format(1) / "IM0003.dcm"
    path.rename(path.with_name("IM9993.dcm"))
    assert sha256_of_scan(folder) != before


def test_a_slice_that_is_cut_short_is_missed_in_its_own_folder_alone(tmp_path):
    folder = two_series(tmp_path / "export")
    (folder / XNAT.format(2) / "IM0003.dcm").write_bytes(b"")
    assert read_raw_scan(folder, ReadingOptions(series="1")).volume.shape == HU.shape
    with pytest.raises(InputFileError, match=r"2-CT.*IM0003\.dcm: looks like a slice of the series"):
        read_raw_scan(folder, ReadingOptions(series="2"))


def test_links_that_lead_round_are_followed_once(tmp_path):
    folder = one_series(tmp_path / "export")
    (folder / "scans" / "again").symlink_to(folder)
    assert read_raw_scan(folder, ReadingOptions()).volume.shape == HU.shape


def test_of_folders_without_dicom_nothing_is_read(tmp_path):
    """An export somewhere in a home folder; a pipe there would be waited for."""
    folder = one_series(tmp_path / "home")
    alone, before = read_raw_scan(folder, ReadingOptions()), sha256_of_scan(folder)
    (folder / "mail").mkdir()
    for number in range(20):
        (folder / "mail" / f"{number}.txt").write_text("none", encoding="utf-8")
    os.mkfifo(folder / "mail" / "0")
    os.mkfifo(folder / XNAT.format(1) / "0")
    assert read_raw_scan(folder, ReadingOptions()).remarks == alone.remarks
    assert sha256_of_scan(folder) == before


def test_of_many_folders_of_slices_some_are_said(tmp_path):
    stack().write(tmp_path / "flat")
    for number, path in enumerate(sorted((tmp_path / "flat").iterdir())):
        (tmp_path / "each" / f"{number:02d}").mkdir(parents=True)
        path.rename(tmp_path / "each" / f"{number:02d}" / "image")
    said = read_raw_scan(tmp_path / "each", ReadingOptions()).remarks[0]
    assert said.startswith("Its slices lie in 00, 01, ") and said.endswith(" and 8 more of this folder.")


def test_a_lone_slice_below_is_refused_with_its_folder(tmp_path):
    stack().write(tmp_path / "flat")
    (tmp_path / "home" / "a").mkdir(parents=True)
    next((tmp_path / "flat").iterdir()).rename(tmp_path / "home" / "a" / "1")
    with pytest.raises(InputFileError, match=r"holds 1 slice, .*\. Its slices lie in a of this folder\."):
        read_raw_scan(tmp_path / "home", ReadingOptions())


def test_patients_of_an_export_are_the_volumes_of_a_data_set(tmp_path):
    """All files below a patient decide about a rerun."""
    for patient in ("p1", "p2"):
        one_series(tmp_path / patient)
    settings = FolderSettings(
        kind="folder", root=tmp_path, modality="ct", split={"num_test": 0, "num_validation": 1, "seed": 1}
    )
    volumes = list_raw_volumes(settings, made_folder=tmp_path)
    assert [raw.volume_id for raw in volumes] == ["p1", "p2"] and left_out(settings) == []
    assert len(volumes[0].image_files) == HU.shape[2] + 1, "the object counts, the notes above do not"
    (tmp_path / "p3.nii.gz").touch()
    assert [raw.volume_id for raw in list_raw_volumes(settings, made_folder=tmp_path)] == ["p3"]
    assert "left out 'p1', 'p2'" in left_out(settings)[0]


def test_new_takes_an_export_or_lists_its_series(tmp_path):
    root = tmp_path / "collection"
    for number in range(4):
        one_series(root / f"p{number}")
    two_series(root / "p4")
    asked = [str(root), "--output", str(tmp_path / "new.yaml")]
    refused = CliRunner().invoke(new, asked)
    assert f"{root / 'p4'}: holds 2 DICOM series of 2 patients" in str(refused.exception)
    assert "--series takes one, such as --series 1" in str(refused.exception)
    done = CliRunner().invoke(new, [*asked, "--series", "p4=2"], catch_exceptions=False)
    assert done.exit_code == 0 and "folder, 5 patients, ct" in done.output
    assert 'series: {p4: "2"}' in (tmp_path / "new.yaml").read_text(encoding="utf-8")


def test_the_date_and_the_patient_of_a_visit_are_those_of_the_series_taken(tmp_path):
    folder = two_series(tmp_path / "export")
    assert date_of_scan(folder, series="2") == datetime.date(2026, 4, 1)
    assert date_of_scan(folder, series=SERIES) == datetime.date(2026, 3, 31)
    flat = tmp_path / "flat"
    stack(edit=dated("20260101")).write(flat)
    stack(series=OTHER_SERIES, name="b{:d}.dcm".format, edit=dated("20260901", "r")).write(flat)
    visits = name_visits([flat, folder], [None, None], series="2")
    assert [visit.date for visit in visits] == [datetime.date(2026, 9, 1), datetime.date(2026, 4, 1)]
    assert remarks_on_patients(visits, series="1") == []
    (said,) = remarks_on_patients(visits, series="2")
    assert said.startswith(f"{folder}: is of the patient 'q' by its header, visit flat of 'r'")


@pytest.mark.parametrize(("depth", "is_found"), [(MOST_FOLDERS_DEEP, True), (MOST_FOLDERS_DEEP + 1, False)])
def test_folders_are_looked_into_nine_deep(tmp_path, depth, is_found):
    folder = tmp_path.joinpath(*("d" * depth))
    folder.mkdir(parents=True)
    save(plain_object(DOSE_CLASS, modality="RTDOSE", series="1.2.3.9"), folder / "1.dcm")
    assert depth in (9, 10)
    assert holds_dicom_below(tmp_path) is is_found
