"""Points of DICOM reports (SR), written by highdicom, and of structure sets."""

import numpy as np
import pytest
from highdicom import sr
from pydicom import dcmread
from pydicom.sr.codedict import codes

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.follow.lesion_input import read_given_lesions
from anatomical_embedding.points.dicom_points import require_frame
from anatomical_embedding.points.points_file import read_points
from anatomical_embedding.volumes.segments import LabelledScan
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_slices import Stack
from tests.label_objects import FRAME, write_structures

WORLD, OTHER_WORLD = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def space(kind, corners_lps, *, frame=WORLD):
    return sr.CoordinatesForMeasurement3D(kind, np.array(corners_lps, float), frame)


def group(name, *drawn, site=None):
    """Return a group of measurements whose long axis was read off what is drawn."""
    measured = sr.Measurement(
        codes.SCT.Length,
        12.0,
        codes.UCUM.Millimeter,
        referenced_coordinates=list(drawn),
        finding_sites=None if site is None else [sr.FindingSite(site)],
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid="2.25.1", identifier=name),
        finding_type=codes.SCT.Lesion,
        measurements=[measured],
    )


def write_report(folder, *groups, edit=None):
    """Write a report on a series of slices by highdicom."""
    series = folder / "series"
    Stack(np.zeros((3, 8, 8), np.int64)).write(series)
    slices = [dcmread(path) for path in sorted(series.iterdir())]
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ):
        for each in slices:
            if keyword not in each:
                setattr(each, keyword, "")
    for each in slices:
        each.AccessionNumber = each.ReferringPhysicianName = ""
    observer = sr.ObserverContext(
        codes.DCM.Device, sr.DeviceObserverIdentifyingAttributes(uid="2.25.2", name="a program")
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=list(groups),
        title=codes.DCM.ImagingMeasurementReport,
    )
    report = sr.Comprehensive3DSR(
        evidence=slices,
        content=content,
        series_instance_uid="2.25.3",
        series_number=1,
        sop_instance_uid="2.25.4",
        instance_number=1,
        manufacturer="a program",
    )
    if edit is not None:
        edit(report)
    report.save_as(folder / "report.dcm")
    return folder / "report.dcm"


def test_points_of_a_report(tmp_path):
    """LPS becomes RAS; a point has the name of its group, several of one group are numbered."""
    report = write_report(
        tmp_path,
        group("lesion 1", space("POINT", [[10.5, -20, 30]]), site=codes.SCT.Lung),
        group("lesion 2", space("POINT", [[1, 2, 3]]), space("POINT", [[4, 5, 6]])),
        group("", space("POINT", [[7, 8, 9]]), site=codes.SCT.Liver),
    )
    found = read_points(report, coordinates="ras")
    assert found.names == ("lesion 1", "lesion 2 1", "lesion 2 2", "Liver")
    np.testing.assert_allclose(found.points_mm, [[-10.5, 20, 30], [-1, -2, 3], [-4, -5, 6], [-7, -8, 9]])
    assert (found.remarks, found.frame_of_reference, found.form) == ((), WORLD, None)


def test_lines_of_a_report_are_left_out_and_named(tmp_path):
    report = write_report(
        tmp_path,
        group("axis", space("POLYLINE", [[0, 0, 0], [1, 1, 1]])),
        group("place", space("POINT", [[1, 2, 3]])),
    )
    found = read_points(report, coordinates="lps")
    assert found.names == ("place",)
    assert "'axis' is left out, which is no point but of the kind POLYLINE" in found.remarks[0]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [group("axis", space("POLYLINE", [[0, 0, 0], [1, 1, 1]]))],
            "holds no point in mm of the patient; 'axis'",
        ),
        (
            [
                group("a", space("POINT", [[1, 2, 3]])),
                group("b", space("POINT", [[1, 2, 3]], frame=OTHER_WORLD)),
            ],
            "holds points of 2 frames of reference",
        ),
    ],
)
def test_reports_that_are_refused(tmp_path, groups, message):
    with pytest.raises(InputFileError, match=message):
        read_points(write_report(tmp_path, *groups), coordinates="ras")


def drawn_items(item):
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "SCOORD3D":
            yield child
        yield from drawn_items(child)


def in_pixels(report):
    for item in drawn_items(report):
        item.ValueType, item.GraphicData = "SCOORD", [3.0, 4.0]


def without_frame(report):
    for item in drawn_items(report):
        del item.ReferencedFrameOfReferenceUID


def with_two_numbers(report):
    for item in drawn_items(report):
        item.GraphicData = [1.0, 2.0]


def with_a_nan(report):
    for item in drawn_items(report):
        item.GraphicData = [1.0, 2.0, np.nan]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (in_pixels, "in pixels of an image, not in mm of the patient"),
        (without_frame, "is not a sound DICOM object of points"),
        (with_two_numbers, "expected three numbers in mm, got '1, 2'"),
        (with_a_nan, "expected three numbers in mm, got '1, 2, nan'"),
    ],
)
def test_points_that_are_refused(tmp_path, edit, message):
    report = write_report(tmp_path, group("lesion", space("POINT", [[1, 2, 3]])), edit=edit)
    with pytest.raises(InputFileError, match=message):
        read_points(report, coordinates="ras")


POINTS = {"ISO": [[1, -2, 3.5]], "PTV": [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]], "Marker": [[4, 5, 6]]}
KINDS = {"ISO": "POINT", "Marker": "POINT"}


def test_points_of_a_structure_set(tmp_path):
    found = read_points(write_structures(tmp_path / "a.dcm", POINTS, kinds=KINDS), coordinates="ras")
    assert (found.names, found.frame_of_reference) == (("ISO", "Marker"), FRAME)
    np.testing.assert_allclose(found.points_mm, [[-1, 2, 3.5], [-4, -5, 6]])
    assert "'PTV' is left out, which is no point but outlines or lines" in found.remarks[0]


def test_structure_sets_that_are_refused(tmp_path):
    outlines = write_structures(tmp_path / "a.dcm", {"PTV": POINTS["PTV"]})
    with pytest.raises(InputFileError, match="holds no point in mm of the patient; 'PTV' which is no point"):
        read_points(outlines, coordinates="ras")
    structures = dcmread(write_structures(tmp_path / "b.dcm", POINTS, kinds=KINDS))
    structures.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = OTHER_WORLD
    structures.save_as(tmp_path / "b.dcm")
    with pytest.raises(InputFileError, match="2 frames of reference"):
        read_points(tmp_path / "b.dcm", coordinates="ras")


def test_points_of_another_world_than_the_scan(tmp_path):
    points = read_points(write_structures(tmp_path / "a.dcm", POINTS, kinds=KINDS), coordinates="ras")
    assert require_frame(points, FRAME, scan="a") == []
    assert "cannot be compared with that of a.nii" in require_frame(points, "", scan="a.nii")[0]
    with pytest.raises(UserError, match="placed on another scan"):
        require_frame(points, OTHER_WORLD, scan="a")


def test_followed_lesions_of_a_report(tmp_path):
    report = write_report(tmp_path, group("lesion 4", space("POINT", [[-2, -3, 4]])))
    grid = Volume(np.zeros((10, 10, 10), np.uint8), np.eye(4))
    given = read_given_lesions(report, LabelledScan(grid, WORLD), coordinates="ras")
    assert [(lesion.label, tuple(lesion.point_mm)) for lesion in given.lesions] == [("lesion 4", (2, 3, 4))]
    with pytest.raises(UserError, match="placed on another scan"):
        read_given_lesions(report, LabelledScan(grid, OTHER_WORLD), coordinates="ras")
