"""Which slices of a DICOM folder are one volume, and which are of two."""

import numpy as np
import pydicom
import pytest

from anatomical_embedding.errors import InputFileError
from tests.dicom_edits import edited, refusal
from tests.dicom_slices import OTHER_SERIES, Stack, grey_ramp, read_series, save


@pytest.mark.parametrize(
    ("keyword", "values", "what"),
    [
        ("StudyInstanceUID", ("1.2.3", "1.2.4"), "study"),
        ("StudyDate", ("20240101", "20240301"), "study date"),
        ("AcquisitionDate", ("20240101", "20240301"), "acquisition date"),
    ],
)
def test_slices_of_one_series_and_of_two_scans_are_said(tmp_path, keyword, values, what):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, keyword, values[k // 5]))
    (remark,) = read_series(stack.write(tmp_path)).remarks
    assert remark.startswith(f"IM0005.dcm: another {what} than IM0000.dcm")


def test_another_frame_of_reference_is_said(tmp_path):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, "FrameOfReferenceUID", f"1.2.{k // 5}"))
    (remark,) = read_series(stack.write(tmp_path)).remarks
    assert remark.startswith("IM0005.dcm: another frame of reference than IM0000.dcm")


def test_a_copy_of_a_slice_is_left_out_and_said(tmp_path):
    folder = Stack().write(tmp_path)
    dataset = pydicom.dcmread(folder / "IM0002.dcm")
    dataset.SOPInstanceUID = "1.2.3.4"
    save(dataset, folder / "IM0099.dcm")
    series = read_series(folder)
    assert series.remarks == ("Left out IM0099.dcm: the same as IM0002.dcm.",)
    assert series.volume.shape == (8, 7, 6)


def test_two_phases_in_one_series_are_refused_and_told_apart(tmp_path):
    for phase in (1, 2):
        stack = Stack(stored=grey_ramp() + phase, name=lambda k, phase=phase: f"{phase}_{k}.dcm")
        stack.edit = edited(TemporalPositionIdentifier=phase)
        stack.write(tmp_path)
    told = str(refusal(tmp_path))
    assert told.startswith(f"{tmp_path}/2_0.dcm: lies at the same place as 1_0.dcm, with other values")
    assert "(TemporalPositionIdentifier 1 and 2): 12 images at 6 places" in told


def test_a_tag_that_one_of_two_images_lacks_is_said(tmp_path):
    """As of Dixon MRs, whose computed images of fat and water have no echo time."""
    for name, tags in (("fat", {}), ("in", {"EchoTime": "2.3"})):
        stack = Stack(stored=grey_ramp() + len(tags), name=lambda k, name=name: f"{name}_{k}.dcm")
        stack.edit = edited(**tags)
        stack.write(tmp_path)
    assert "(EchoTime none and 2.3): 12 images at 6 places" in str(refusal(tmp_path))


def test_several_series_are_listed(tmp_path):
    Stack().write(tmp_path)
    Stack(stored=grey_ramp(3), series=OTHER_SERIES, name="other{:d}.dcm".format, modality="PT").write(
        tmp_path
    )
    assert str(refusal(tmp_path)) == (
        f'{tmp_path}: holds 2 DICOM series, expected one: series 1 "Test 1" (6 images, CT), series 2 "Test 2" '
        "(3 images, PT); --series takes one, such as --series 1"
    )
    assert read_series(tmp_path, series="1").modality_word == "CT"
    other = read_series(tmp_path, series=OTHER_SERIES)
    assert (other.modality_word, other.volume.shape[2]) == ("PT", 3)
    assert other.remarks == (
        "Left out IM0000.dcm, IM0001.dcm, IM0002.dcm, IM0003.dcm, IM0004.dcm, IM0005.dcm: "
        'images of series 1 "Test 1" (6 images, CT).',
    )
    with pytest.raises(InputFileError, match='holds no series 7, but series 1 "Test 1"'):
        read_series(tmp_path, series="7")


def odd_slices(keyword, usual, odd, places):
    """Return an edit that gives slices at some places another value of a tag."""
    return lambda dataset, k: setattr(dataset, keyword, odd if k in places else usual)


@pytest.mark.parametrize(
    ("keyword", "usual", "odd", "places"),
    [
        ("ImageType", ["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY"], {4}),
        ("SliceThickness", "2.5", "5", {3, 4, 5}),
        ("KVP", "120", "120.0", {1, 3, 5}),
        ("SliceThickness", "2.5", "5", {2, 5}),
    ],
)
def test_slices_that_say_something_else_are_of_the_volume_that_their_images_continue(
    tmp_path, keyword, usual, odd, places
):
    """Of a body that begins and ends within the scan: neighbours differ more in its middle than at the ends."""
    body = 1000 * np.sin(np.linspace(0, np.pi, 9)) ** 8
    rows = np.linspace(0, 1, 7)[:, np.newaxis] + np.linspace(0, 2, 8)
    stored = np.rint(rows * body[:, np.newaxis, np.newaxis]).astype(int)
    folder = Stack(stored=stored, edit=odd_slices(keyword, usual, odd, places)).write(tmp_path)
    assert read_series(folder).volume.shape == (8, 7, 9)


def test_three_parts_of_slices_at_unequal_distances_are_one_volume(tmp_path):
    """A neck in slices of half the distance."""
    heights_mm = [0, 5, 10, 15, 17.5, 20, 22.5, 25, 30, 35, 40]

    def edit(dataset, k):
        dataset.ImagePositionPatient = [-10, -20, heights_mm[k]]
        dataset.SliceThickness = "2.5" if 15 < heights_mm[k] < 25 else "5"

    read_series(Stack(stored=grey_ramp(len(heights_mm)), edit=edit).write(tmp_path), largest_gap_mm=5)


def test_one_slice_is_no_volume(tmp_path):
    assert "holds 1 slice, expected 2 or more" in str(refusal(Stack(stored=grey_ramp(1)).write(tmp_path)))
