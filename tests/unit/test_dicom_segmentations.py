"""DICOM segmentations (SEG), voxel by voxel as they were drawn."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import read_label_file, require_labels
from anatomical_embedding.volumes.segments import LabelledScan
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_slices import plain_object, save
from tests.label_objects import (
    AFFINE,
    FRAME,
    OBLIQUE,
    OTHER_FRAME,
    SHAPE,
    disc_contours,
    drawn,
    expected_map,
    scan,
    write_seg,
    write_structures,
)


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["axial", "oblique"])
def test_a_binary_segmentation_lies_voxel_by_voxel_on_its_scan(tmp_path, affine):
    path = write_seg(tmp_path / "seg.dcm", drawn(), affine)
    require_labels(path)
    found = read_label_file(path, scan=scan(affine))
    np.testing.assert_array_equal(found.volume.array, expected_map())
    assert found.volume.array.dtype == np.uint8
    assert found.remarks[0] == f"{path}: its labels are 1 part 1, 2 part 2"


def test_a_segmentation_on_the_grid_of_a_scan_that_is_cut_and_turned(tmp_path):
    """The scan is stored the other way round and begins later, as after a crop; the labels stay where they were."""
    path = write_seg(tmp_path / "seg.dcm", drawn())
    flipped = AFFINE @ np.array([[-1, 0, 0, 37], [0, 1, 0, 3], [0, 0, -1, 11], [0, 0, 0, 1.0]])
    grid = Volume(np.zeros((36, 30, 11), np.uint8), flipped)
    found = read_label_file(path, scan=LabelledScan(grid, FRAME)).volume.array
    np.testing.assert_array_equal(found, expected_map()[37 - 35 : 38, 3:33, 1:12][::-1, :, ::-1])


@pytest.mark.parametrize(
    ("slices", "gap"), [((2, 9), 3.0), ((2, 9), None), ((4, 7), 3.0), ((4, 7), 0.5)], ids=str
)
def test_frames_far_from_each_other_count_for_their_own_slices(tmp_path, slices, gap):
    """Empty frames are left out by those who write segmentations: two lesions of one slice each stay that thin."""
    masks = np.zeros((1, *SHAPE), dtype=bool)
    masks[0, 5:12, 6:10, slices[0]] = masks[0, 20:25, 9:13, slices[1]] = True
    path = write_seg(tmp_path / "seg.dcm", masks, gap=gap)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, masks[0])


def test_frames_of_one_slice_that_lie_a_little_off_each_other_reach_as_far_as_others(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            group.PlanePositionSequence[0].ImagePositionPatient[2] += 0.05
    dataset.save_as(path)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected_map())


@pytest.mark.parametrize("gap", [6.0, None], ids=str)
def test_frames_of_thicker_slices_than_those_of_the_scan_leave_no_hole(tmp_path, gap):
    masks = np.zeros((1, *SHAPE), dtype=bool)
    masks[0, 5:12, 6:10, [3, 5, 7]] = True
    expected = np.zeros(SHAPE, dtype=bool)
    expected[5:12, 6:10, 2:9] = True
    path = write_seg(tmp_path / "seg.dcm", masks, gap=gap)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected)


def test_single_bits_that_are_compressed_are_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([dataset.PixelData + bytes(len(dataset.PixelData) % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.save_as(path)
    with pytest.raises(InputFileError, match="holds single bits that are packed as RLE Lossless"):
        read_label_file(path, scan=scan())


def test_fractions_that_are_all_below_half_are_told(tmp_path):
    """As of masks of ones that are called fractions of 200."""
    path = write_seg(tmp_path / "seg.dcm", drawn(), kind="FRACTIONAL", fractions=drawn().astype(int))
    with pytest.raises(InputFileError, match="holds fractions of 1 of 200 at most, and half and more counts"):
        read_label_file(path, scan=scan())


def test_half_and_more_of_a_fraction_counts(tmp_path):
    fractions = np.where(drawn(), 100, 0)
    fractions[0, 5:8] = np.where(drawn()[0, 5:8], 99, 0)
    path = write_seg(tmp_path / "seg.dcm", drawn(), kind="FRACTIONAL", fractions=fractions)
    expected = expected_map()
    expected[5:8] = 0
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, expected)
    assert f"{path}: holds fractions (probability); half and more counts as the label" in found.remarks


def test_a_label_map_object(tmp_path):
    values = expected_map()[np.newaxis]
    path = write_seg(tmp_path / "seg.dcm", values > 0, kind="LABELMAP", fractions=values)
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, expected_map())
    assert found.remarks == (f"{path}: its labels are 1 part 1, 2 part 2",)  # part 0 is the background


def test_frames_may_be_in_any_order(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    groups, shape = dataset.PerFrameFunctionalGroupsSequence, (dataset.Rows, dataset.Columns)
    order = np.random.default_rng(0).permutation(len(groups))
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = bits[: len(groups) * np.prod(shape)].reshape(len(groups), -1)[order]
    dataset.PerFrameFunctionalGroupsSequence = [groups[int(place)] for place in order]
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected_map())


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_that_are_not_named_are_refused(tmp_path, kind):
    values = expected_map()[np.newaxis]
    if kind == "BINARY":
        path = write_seg(tmp_path / "seg.dcm", drawn())
    else:
        path = write_seg(tmp_path / "seg.dcm", values > 0, kind=kind, fractions=values)
    dataset = pydicom.dcmread(path)
    del dataset.SegmentSequence[-1]
    dataset.save_as(path)
    with pytest.raises(InputFileError, match="draws a segment of the number 2 that it does not name"):
        read_label_file(path, scan=scan())
    dataset.SegmentSequence.append(dataset.SegmentSequence[-1])
    dataset.save_as(path)
    with pytest.raises(InputFileError, match="the number 1 for two labels, 'part 1' and 'part 1'"):
        read_label_file(path, scan=scan())


def test_padding_of_a_label_map_is_no_segment(tmp_path):
    values = expected_map()[np.newaxis].copy()
    values[:, 0, 0, 4] = 255
    path = write_seg(tmp_path / "seg.dcm", values > 0, kind="LABELMAP", fractions=values)
    dataset = pydicom.dcmread(path)
    dataset.PixelPaddingValue = 255
    dataset["PixelPaddingValue"].VR = "US"
    dataset.save_as(path)
    np.testing.assert_array_equal(read_label_file(path, scan=scan()).volume.array, expected_map())


def test_segments_counted_from_0_are_counted_from_1(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    dataset = pydicom.dcmread(path)
    for segment in dataset.SegmentSequence:
        segment.SegmentNumber -= 1
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber -= 1
    dataset.save_as(path)
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array, expected_map())
    assert found.remarks[0] == f"{path}: its labels are 1 part 1, 2 part 2"


def test_an_empty_segment_does_not_hide_that_all_others_lie_outside(tmp_path):
    masks = np.concatenate([drawn(), np.zeros((1, *SHAPE), dtype=bool)])
    path = write_seg(tmp_path / "seg.dcm", masks)
    beside = AFFINE + np.array([[0, 0, 0, 300.0]] + [[0] * 4] * 3)
    with pytest.raises(InputFileError, match="100% of the label 'part 1' lies outside the scan"):
        read_label_file(path, scan=scan(beside))


@pytest.mark.parametrize("kind", ["seg", "structures"])
def test_labels_of_another_world_are_refused_and_an_unknown_one_is_said(tmp_path, kind):
    path = tmp_path / "labels.dcm"
    if kind == "seg":
        write_seg(path, drawn(), frame=OTHER_FRAME)
    else:
        write_structures(path, {"disc": disc_contours()}, frame=OTHER_FRAME)
    with pytest.raises(InputFileError, match=f"frame of reference {OTHER_FRAME}, the scan in {FRAME}"):
        read_label_file(path, scan=scan())
    said = read_label_file(path, scan=scan(frame="")).remarks
    assert said[0] == f"{path}: its frame of reference cannot be compared with that of the scan"


def test_labels_beside_the_scan_are_refused_and_a_part_is_said(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    beside = AFFINE + np.array([[0, 0, 0, 300.0]] + [[0] * 4] * 3)
    with pytest.raises(InputFileError, match="100% of the label 'part 1' lies outside the scan"):
        read_label_file(path, scan=scan(beside))
    lower = AFFINE - np.array([[0] * 4, [0] * 4, [0, 0, 0, 18.0], [0] * 4])
    assert any(
        "of the label 'part 1' lies outside" in each
        for each in read_label_file(path, scan=scan(lower)).remarks
    )


def test_other_dicom_objects_are_named(tmp_path):
    path = save(plain_object(UID("1.2.840.10008.5.1.4.1.1.481.2"), modality="RTDOSE"), tmp_path / "dose.dcm")
    with pytest.raises(InputFileError, match=r"is a DICOM object \(RT Dose Storage\)"):
        read_label_file(path, scan=scan())
    with pytest.raises(InputFileError, match="need the scan that they were drawn on"):
        read_label_file(write_seg(tmp_path / "seg.dcm", drawn()))


def test_a_segmentation_that_is_cut_short_is_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", drawn())
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputFileError, match="cut short"):
        read_label_file(path, scan=scan())
