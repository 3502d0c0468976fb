"""Followed lesions as DICOM SEG and SR: read back by other readers, and sound by dciodvfy and dsrdump."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest

from anatomical_embedding.cli.main import main
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.dicom_out import (
    remarks_on_old_objects,
    require_dicom_writer,
    write_dicom_objects,
)
from anatomical_embedding.follow.history import read_history
from anatomical_embedding.follow.record_json import read_record, write_record
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.segments import LabelledScan
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_slices import Stack
from tests.followed_patient import SPACING_MM, THREE_VISITS, write_followed

WORLD = "1.2.826.0.1.3680043.2.1125.9"


def write_series(volume, folder, *, number):
    """Write a CT in LPS order as a series in a world of its own, slices in falling order of their names."""
    x, y, z = np.diag([-1.0, -1.0, 1.0]) @ volume.affine[:3, 3]

    def edit(dataset, k):
        dataset.FrameOfReferenceUID = f"{WORLD}.{number}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{WORLD}.{number}.1", f"{WORLD}.{number}.2"
        dataset.SOPInstanceUID = f"{WORLD}.{number}.3.{k + 1}"

    stack = Stack(
        stored=volume.array.transpose(2, 1, 0).astype(np.int64) + 1024,
        origin_mm=(x, y, z),
        step_mm=(0.0, 0.0, SPACING_MM[2]),
        between_rows_mm=SPACING_MM[1],
        between_columns_mm=SPACING_MM[0],
        name=lambda k: f"IM{100 - k:04d}.dcm",
        edit=edit,
    )
    return stack.write(folder)


def write_dicom_patient(folder):
    """Write a followed patient whose scans are DICOM series."""
    place = write_followed(folder)
    record = read_record(place.record)
    visits = []
    for number, visit in enumerate(record.visits, start=1):
        series = write_series(read_volume(visit.scan), folder / "series" / visit.name, number=number)
        scan = read_raw_scan(series, ReadingOptions())
        np.testing.assert_allclose(scan.volume.affine, visit.affine)
        visits.append(dataclasses.replace(visit, scan=series, sha256=scan.sha256))
    write_record(dataclasses.replace(record, visits=tuple(visits)), place.record)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom") / "one"
    write_dicom_patient(folder)
    return folder


@pytest.fixture(scope="module")
def written(followed):
    pytest.importorskip("highdicom", reason="needs the extra dicom-out")
    paths, remarks = write_dicom_objects(read_history(followed))
    assert remarks == []
    return {path.name: path for path in paths}


@pytest.mark.slow
def test_a_segmentation_lies_on_the_slices_pixel_by_pixel(followed, written):
    """By the reader of this project, which has no line in common with the writer."""
    for number, visit in enumerate(("baseline", "week8", "week16"), start=1):
        masks = read_volume(followed / "masks" / f"{visit}.nii.gz")
        scan = LabelledScan(Volume(np.zeros(masks.shape, np.uint8), masks.affine), f"{WORLD}.{number}")
        found = read_label_file(written[f"{visit}.seg.dcm"], scan=scan).volume
        numbers = np.unique(masks.array[masks.array > 0])
        for segment, lesion in enumerate(numbers, start=1):
            np.testing.assert_array_equal(found.array == segment, masks.array == lesion)


def test_a_lesion_keeps_its_tracking_identifiers_over_visits_in_both_objects(written):
    seen = {}
    for name, path in written.items():
        dataset = pydicom.dcmread(path)
        if ".seg." in name:
            pairs = [(item.TrackingID, item.TrackingUID) for item in dataset.SegmentSequence]
        else:
            pairs = [
                (values["Tracking Identifier"], values["Tracking Unique Identifier"])
                for values in map(values_of, groups_of(dataset))
            ]
        for identifier, uid in pairs:
            seen.setdefault(identifier, set()).add(uid)
    assert sorted(seen) == ["lesion 1", "lesion 2", "lesion 3", "lesion 4"]
    assert all(len(uids) == 1 for uids in seen.values())
    assert len(set.union(*seen.values())) == 4


def groups_of(dataset):
    """Return the measurement groups of a report, by walking its tree with pydicom alone."""
    (measurements,) = [item for item in dataset.ContentSequence if name_of(item) == "Imaging Measurements"]
    return list(measurements.ContentSequence)


def name_of(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def values_of(group):
    """Return the values of a group by name; of measurements with how they were derived behind the name."""
    values = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            inner = [part for part in item.get("ContentSequence", []) if name_of(part) == "Derivation"]
            name = " ".join([name_of(item), *[part.ConceptCodeSequence[0].CodeMeaning for part in inner]])
            values[name] = (float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue)
        elif item.ValueType == "CODE":
            values[name_of(item)] = item.ConceptCodeSequence[0].CodeMeaning
        elif item.ValueType in {"TEXT", "UIDREF"}:
            values[name_of(item)] = item.get("TextValue") or item.get("UID")
    return values


def test_a_report_has_a_group_a_lesion_with_its_sizes(followed, written):
    history = read_history(followed)
    for visit in history.visits:
        dataset = pydicom.dcmread(written[f"{visit}.sr.dcm"])
        assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "1500"
        groups = {values["Tracking Identifier"]: values for values in map(values_of, groups_of(dataset))}
        rows = [row for row in history.lesions if row.visit == visit]
        assert sorted(groups) == [f"lesion {row.lesion}" for row in sorted(rows, key=lambda row: row.lesion)]
        for row in rows:
            values, measured = groups[f"lesion {row.lesion}"], history.measurement(row.lesion, visit)
            expected_state = {"review": "to review", "out_of_view": "out of view"}.get(row.state, row.state)
            assert values["State of the lesion"] == expected_state
            told = {"carried": "carried, size not told by the scan"}.get(row.mask, row.mask)
            assert values["Mask that is measured"] == told
            assert values["Time Point"] == visit
            if measured is None:
                assert "Volume" not in values
                continue
            assert values["Volume"] == (pytest.approx(1000 * measured.volume_ml), "mm3")
            assert values["Long Axis"] == (pytest.approx(measured.long_axis_mm), "mm")
            assert values["Short Axis"] == (pytest.approx(measured.short_axis_mm), "mm")
            assert values["Attenuation Coefficient Mean"] == (pytest.approx(measured.mean), "[hnsf'U]")
            assert values["Attenuation Coefficient Standard Deviation"][0] == pytest.approx(measured.sd)


def test_highdicom_reads_both_back_and_the_report_names_the_segments(written):
    highdicom = pytest.importorskip("highdicom")
    segmentation = highdicom.seg.segread(written["week8.seg.dcm"])
    report = highdicom.sr.srread(written["week8.sr.dcm"])
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 2
    for group in groups:
        (referenced,) = [item for item in group.referenced_segment if item.ValueType == "IMAGE"]
        image = referenced.ReferencedSOPSequence[0]
        assert image.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert segmentation.get_segment_numbers(tracking_uid=group.tracking_uid) == [
            image.ReferencedSegmentNumber
        ]


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed"
)
def test_dciodvfy_finds_no_error(written):
    for path in written.values():
        done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "Error" not in said, said


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (Debian's dcmtk) is not installed")
def test_dsrdump_reads_the_reports(written):
    for name, path in written.items():
        if ".sr." in name:
            done = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and "Tracking Unique Identifier" in done.stdout, done.stderr
            assert not done.stderr.strip()


def test_objects_older_than_what_they_tell_of_are_said(tmp_path):
    """A report without --dicom leaves them as they are, and a viewer would show the masks of before."""
    place = write_followed(tmp_path / "one")
    objects = [tmp_path / "one" / "dicom" / f"week8.{kind}.dcm" for kind in ("seg", "sr")]
    objects[0].parent.mkdir()
    for path in objects:
        path.touch()
    assert remarks_on_old_objects(place, THREE_VISITS) == []
    for path in objects:
        os.utime(path, (0, 0))
    (remark,) = remarks_on_old_objects(place, THREE_VISITS)
    assert remark.endswith(
        "dicom: week8.seg.dcm, week8.sr.dcm tell of earlier masks or decisions; `follow-report --dicom` writes them "
        "again"
    )


@pytest.mark.slow
def test_an_object_whose_content_did_not_change_stays_and_another_is_another(followed, written, tmp_path):
    shutil.copytree(followed, tmp_path / "one")
    history = read_history(tmp_path / "one")
    before = {path.name: path.read_bytes() for path in write_dicom_objects(history)[0]}
    assert {path.name: path.read_bytes() for path in write_dicom_objects(history)[0]} == before
    masks = read_volume(tmp_path / "one" / "masks" / "week8.nii.gz")
    array = np.zeros_like(masks.array)
    array[30:36, 35:41, 14:17] = 1
    (tmp_path / "one" / "corrected").mkdir()
    write_volume(Volume(array, masks.affine), tmp_path / "one" / "corrected" / "week8.nii.gz")
    after = {path.name: path.read_bytes() for path in write_dicom_objects(history)[0]}
    assert {name for name in after if after[name] != before[name]} == {"week8.seg.dcm", "week8.sr.dcm"}
    uids = [
        pydicom.dcmread(folder / "dicom" / "week8.seg.dcm").SOPInstanceUID
        for folder in (followed, tmp_path / "one")
    ]
    assert uids[0] != uids[1]


def test_other_scans_are_left_out_and_named(tmp_path):
    pytest.importorskip("highdicom")
    place = write_followed(tmp_path / "one")
    paths, remarks = write_dicom_objects(read_history(place.folder))
    assert paths == [] and len(remarks) == 3
    assert "baseline.nii.gz: is not a series of DICOM slices" in remarks[0]


def test_without_its_library_the_extra_is_named(monkeypatch, followed, capsys):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(
        UserError, match=r"highdicom, which is not installed; pip install 'anatomical-embedding\[dicom-out\]'"
    ):
        require_dicom_writer()
    with pytest.raises(SystemExit) as stop:
        main(["follow-report", str(followed), "--dicom"])
    assert stop.value.code == 2
    assert "dicom-out" in capsys.readouterr().err
