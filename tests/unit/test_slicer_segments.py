"""Segmentations of 3D Slicer (`.seg.nrrd`), voxel by voxel as they were drawn."""

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.segments import Segment, label_map_of
from anatomical_embedding.volumes.volume import Volume
from tests.label_objects import AFFINE, SHAPE, drawn, expected_map, write_seg_nrrd


@pytest.mark.parametrize(("number", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_a_label_map_is_as_wide_as_its_largest_label(number, dtype):
    grid = Volume(np.zeros(SHAPE, np.uint8), AFFINE)
    labels, _ = label_map_of([Segment(1, "", np.array([0])), Segment(number, "", np.array([7]))], grid=grid)
    assert labels.array.dtype == dtype
    assert {index: labels.array.flat[index] for index in (0, 6, 7)} == {0: 1, 6: 0, 7: number}


def test_overlapping_layers_of_slicer(tmp_path):
    keys = {"Segment0_ID": "s1", "Segment0_Name": "liver", "Segment0_LabelValue": 1, "Segment0_Layer": 0}
    keys |= {"Segment1_ID": "s2", "Segment1_Name": "tumour", "Segment1_LabelValue": 2, "Segment1_Layer": 1}
    layers = drawn() * np.array([1, 2]).reshape(2, 1, 1, 1)
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", layers, keys)
    found = read_label_file(path)
    np.testing.assert_array_equal(found.volume.array, expected_map())
    np.testing.assert_allclose(found.volume.affine, AFFINE)
    overlap = int((drawn()[0] & drawn()[1]).sum())
    assert found.remarks == (
        f"{path}: its labels are 1 liver, 2 tumour",
        f"{path}: its labels overlap in {overlap} voxels; the smaller label has them, a voxel holds one",
    )


def test_segments_of_one_layer_and_their_values(tmp_path):
    keys = {"Segment0_Name": "a", "Segment0_ID": "s", "Segment0_LabelValue": 7, "Segment0_Layer": 0}
    keys |= {"Segment1_Name": "b", "Segment1_ID": "t", "Segment1_LabelValue": 3, "Segment1_Layer": 0}
    values = np.where(drawn()[1], 3, np.where(drawn()[0], 7, 0))
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", values[np.newaxis], keys, axis_of_layers=False)
    found = read_label_file(path)
    np.testing.assert_array_equal(found.volume.array, values)
    assert found.remarks == (f"{path}: its labels are 7 a, 3 b",)
    assert found.names == {7: "a", 3: "b"}


def test_voxels_that_no_segment_names_are_said_and_two_of_one_value_refused(tmp_path):
    keys = {"Segment0_Name": "a", "Segment0_ID": "s", "Segment0_LabelValue": 7, "Segment0_Layer": 0}
    values = np.where(drawn()[1], 3, np.where(drawn()[0], 7, 0))
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", values[np.newaxis], keys, axis_of_layers=False)
    found = read_label_file(path)
    np.testing.assert_array_equal(found.volume.array, 7 * (values == 7))
    num = int(drawn()[1].sum())
    assert f"{path}: {num} voxels of layer 0 were left out: no segment has their value (3)" in found.remarks
    keys |= {"Segment1_Name": "b", "Segment1_ID": "t", "Segment1_LabelValue": 7, "Segment1_Layer": 0}
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", values[np.newaxis], keys, axis_of_layers=False)
    with pytest.raises(InputFileError, match="has the value 7 in layer 0 for two segments"):
        read_label_file(path)


def test_files_of_old_slicer_have_a_layer_of_ones_a_segment(tmp_path):
    keys = {"Segment0_ID": "Segment_1", "Segment1_ID": "Segment_2"}
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", drawn().astype(int), keys)
    np.testing.assert_array_equal(read_label_file(path).volume.array, expected_map())


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "names no segment"),
        ({"Segment0_ID": "s", "Segment0_Layer": 5}, "has 2 layers and a segment in layer 5"),
        ({"Segment0_ID": "s", "Segment0_LabelValue": "one"}, "whose layer or value is not a number"),
    ],
)
def test_faulty_segmentations_are_refused(tmp_path, keys, problem):
    path = write_seg_nrrd(tmp_path / "x.seg.nrrd", drawn(), keys)
    with pytest.raises(InputFileError, match=problem):
        read_label_file(path)
