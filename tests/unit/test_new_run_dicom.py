"""A run file from folders of DICOM series: a choice where one holds several, patients by their headers."""

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from anatomical_embedding.cli.new import new
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.scan_folder import look_at_folder
from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_slices import SERIES, Stack
from tests.packaged_model import write_dicom_series
from tests.unit.test_new_run import body, written


def dicom_folders(scans, count=4):
    """Write folders of one DICOM series each."""
    scan = Volume(body(air=-1000, fat=-100, muscle=50, noise=15), np.diag([-2.0, -2.0, 3.0, 1.0]))
    for number in range(count):
        write_dicom_series(scan, scans / f"series_{number}")


def test_folders_of_dicom_series(tmp_path):
    dicom_folders(tmp_path / "study")
    settings, text = written(tmp_path / "study")
    dataset = settings.datasets["study"]
    assert (dataset.kind, dataset.modality, dataset.series) == ("folder", "ct", None)
    assert "4 patients" in text
    assert [raw.volume_id for raw in list_raw_volumes(dataset, made_folder=tmp_path)] == [
        *("series_0", "series_1", "series_2", "series_3"),
    ]


def test_a_folder_of_several_series_needs_a_choice(tmp_path):
    """Every folder without one is named, with its series; nothing is guessed."""
    scans = tmp_path / "study"
    dicom_folders(scans)
    for number in (1, 3):
        Stack(name="B{:04d}".format).write(scans / f"series_{number}")
    with pytest.raises(UserError) as caught:
        look_at_folder(scans, modality=None)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{scans / 'series_1'}: holds 2 DICOM series, expected one:")
    assert second.startswith(f"{scans / 'series_3'}: holds 2 DICOM series")
    settings, _ = written(scans, "--series", f"series_1={SERIES}", "--series", "series_3=1")
    dataset = settings.datasets["study"]
    assert dataset.series == {"series_1": SERIES, "series_3": "1"}
    raws = list_raw_volumes(dataset, made_folder=tmp_path)
    assert [raw.series for raw in raws] == [None, SERIES, None, "1"]


def test_a_choice_of_series_that_cannot_be_read_is_a_usage_error(tmp_path):
    dicom_folders(tmp_path / "study", count=1)
    done = CliRunner().invoke(new, [str(tmp_path / "study"), "--series", "3", "--series", "4"])
    assert done.exit_code == 2
    assert "expected one for all folders, or FOLDER=SERIES for each, got 3 4" in done.output


@pytest.mark.parametrize(
    ("patients", "is_said"),
    [("abac", True), ("aaaa", False), (" bac", False)],
)
def test_scans_of_one_patient_by_their_headers_are_said(tmp_path, patients, is_said):
    """Not where all name one, as after careless anonymisation, nor where they name none."""
    dicom_folders(tmp_path / "study")
    for number, patient in enumerate(patients):
        for path in (tmp_path / "study" / f"series_{number}").iterdir():
            dataset = pydicom.dcmread(path)
            dataset.PatientID = patient.strip()
            dataset.save_as(path)
    options = [str(tmp_path / "study"), "--output", str(tmp_path / "run.yaml"), "--modality", "ct"]
    done = CliRunner().invoke(new, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert ("are of one patient by their DICOM headers" in done.stderr) == is_said


def test_cases_of_one_patient_are_not_told_of_a_pattern_that_they_do_not_have(tmp_path):
    scan = Volume(body(air=-1000, fat=-100, muscle=50, noise=15), np.diag([-2.0, -2.0, 3.0, 1.0]))
    for number, patient in enumerate("abac"):
        folder = write_dicom_series(scan, tmp_path / "cases" / f"c{number}" / "ct")
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.PatientID = patient
            dataset.save_as(path)
    options = [str(tmp_path / "cases"), "--output", str(tmp_path / "run.yaml")]
    done = CliRunner().invoke(new, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "c0 and c2 are of one patient" in done.stderr
    assert "move all but one of a patient elsewhere" in done.stderr
