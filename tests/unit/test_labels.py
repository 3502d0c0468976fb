"""Merging of organ masks."""

import nibabel
import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import (
    read_label_file,
    read_mask_folder,
    require_labels,
)
from anatomical_embedding.volumes.organ_labels import merge_masks, read_mask
from anatomical_embedding.volumes.segments import label_type
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from tests.ct_like import mr_like
from tests.unit.samples import LPS_AFFINE, real_data, save_nifti

SHAPE = (4, 3, 2)
GRID = VolumeHeader(SHAPE, LPS_AFFINE)


def _mask(path, *voxels, value=1, data_type=np.uint8, affine=None, shape=SHAPE):
    array = np.zeros(shape, data_type)
    for voxel in voxels:
        array[voxel] = value
    return save_nifti(path, array, affine)


def test_labels_follow_the_order_of_the_organs_and_the_later_one_wins(tmp_path):
    paths = {
        "liver": _mask(tmp_path / "liver.nii.gz", (0, 0, 0), (1, 0, 0)),
        "aorta": _mask(tmp_path / "aorta.nii.gz", (1, 0, 0), (2, 2, 1), data_type=np.float32),
        "spleen": _mask(tmp_path / "spleen.nii.gz"),
    }
    merged = merge_masks(paths, organs=("liver", "kidney", "spleen", "aorta"), grid=GRID, bad_labels="refuse")
    expected = np.zeros(SHAPE, np.uint8)
    expected[0, 0, 0], expected[1, 0, 0], expected[2, 2, 1] = 1, 4, 4
    assert np.array_equal(merged.volume.array, expected)
    assert merged.volume.array.dtype == np.uint8
    assert merged.num_overlapping_vox == 1
    assert merged.missing_organs == ("kidney",)
    assert merged.empty_organs == ("spleen",)


def test_a_folder_of_masks_is_a_map_whose_numbers_go_by_the_names(tmp_path):
    """As TotalSegmentator writes it: a mask of each organ, empty ones too, and statistics beside them."""
    _mask(tmp_path / "spleen.nii.gz", (0, 0, 0), (1, 0, 0), (2, 0, 0))
    _mask(tmp_path / "aorta.nii.gz", (1, 0, 0), value=255)
    _mask(tmp_path / "liver.nii.gz")
    (tmp_path / "statistics.json").write_text("{}", encoding="utf-8")
    (tmp_path / "._aorta.nii.gz").write_bytes(b"\0")
    found = read_label_file(tmp_path)
    expected = np.zeros(SHAPE, np.uint8)
    expected[0, 0, 0], expected[2, 0, 0], expected[1, 0, 0] = 3, 3, 1
    assert np.array_equal(found.volume.array, expected)
    assert np.allclose(found.volume.affine, LPS_AFFINE)
    assert [remark.removeprefix(f"{tmp_path}: ") for remark in found.remarks] == [
        "its labels are 1 aorta, 2 liver, 3 spleen",
        "no voxel of the scan lies in liver",
        "its labels overlap in 1 voxel; the smaller label has them, a voxel holds one",
        "left out 'statistics.json': no volumes by their names",
    ]


def test_what_masks_were_made_of_beside_them_is_no_mask(tmp_path):
    """A slice of the scan, or the object that holds all of them."""
    _mask(tmp_path / "liver.nii.gz", (1, 0, 0))
    (tmp_path / "slice.dcm").write_bytes(bytes(128) + b"DICM")
    assert read_label_file(tmp_path).remarks == (
        f"{tmp_path}: its labels are 1 liver",
        f"{tmp_path}: left out 'slice.dcm': no volumes by their names",
    )
    (tmp_path / "liver.nii.gz").unlink()
    with pytest.raises(InputFileError, match=r"slice\.dcm: "):
        read_label_file(tmp_path)


def test_masks_whose_names_end_in_numbers_have_these(tmp_path):
    """In the order of their names the tenth would come first; `follow` numbers its lesions by the same rule."""
    _mask(tmp_path / "lesion_2.nii.gz", (2, 0, 0))
    _mask(tmp_path / "lesion_10.nii.gz", (1, 0, 0))
    expected = np.zeros(SHAPE, np.uint8)
    expected[2, 0, 0], expected[1, 0, 0] = 2, 10
    np.testing.assert_array_equal(read_label_file(tmp_path).volume.array, expected)


def test_a_folder_of_other_things_is_refused_by_the_file(tmp_path):
    (tmp_path / "notes.txt").write_text("none", encoding="utf-8")
    with pytest.raises(InputFileError, match="holds no masks, expected one file per organ"):
        read_label_file(tmp_path)
    with pytest.raises(InputFileError, match="holds no masks"):
        require_labels(tmp_path)
    _mask(tmp_path / "a.nii.gz", (0, 0, 0))
    require_labels(tmp_path)
    _mask(tmp_path / "b.nii.gz", (4, 0, 0), shape=(5, 3, 2))
    with pytest.raises(InputFileError, match=r"b\.nii\.gz: has voxels outside a\.nii\.gz; give the masks"):
        read_label_file(tmp_path)
    save_nifti(tmp_path / "b.nii.gz", np.arange(24, dtype=np.uint8).reshape(SHAPE))
    with pytest.raises(InputFileError, match=r"b\.nii\.gz: holds 23 labels, expected one mask per file"):
        read_label_file(tmp_path)
    _mask(tmp_path / "a.nii", (0, 0, 0))
    with pytest.raises(InputFileError, match=r"a\.nii: is one of several masks of a in its folder"):
        read_label_file(tmp_path)


@pytest.mark.parametrize("num_labels", [2, 10, 117])
def test_labels_that_nibabel_stretched_over_uint8_are_rounded(tmp_path, num_labels):
    """It writes floats in an integer type so that their largest value is the largest number of the type."""
    array = np.arange(num_labels + 1.0).repeat(30).reshape(num_labels + 1, 6, 5).T
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, LPS_AFFINE, header), tmp_path / "a.nii")
    found = read_label_file(tmp_path / "a.nii")
    np.testing.assert_array_equal(found.volume.array, array)
    assert "off whole numbers and were rounded" in found.remarks[0]


def test_probabilities_stretched_over_uint8_are_no_labels(tmp_path):
    array = np.linspace(0.0, 1.0, 120).reshape(4, 6, 5)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, LPS_AFFINE, header), tmp_path / "a.nii")
    with pytest.raises(InputFileError, match="expected whole numbers from 0 to 65535"):
        read_label_file(tmp_path / "a.nii")


def test_landmarks_of_a_voxel_each_are_labels(tmp_path):
    array = np.zeros((30, 30, 30), np.uint16)
    array[::5, ::5, ::5] = np.arange(1, 217).reshape(6, 6, 6)
    path = save_nifti(tmp_path / "a.nii.gz", array)
    np.testing.assert_array_equal(read_label_file(path).volume.array, array)


@pytest.mark.parametrize("kind", ["scan", "probabilities"])
def test_a_scan_and_a_map_of_probabilities_are_no_labels(tmp_path, kind):
    array = mr_like()
    if kind == "probabilities":
        array = (255.0 * np.clip(array / 1000.0, 0, 1)).astype(np.uint8)
    path = save_nifti(tmp_path / "a.nii.gz", array)
    with pytest.raises(
        InputFileError, match="looks like a scan or a map of probabilities and not like labels"
    ):
        read_label_file(path)


def test_many_labels_of_a_few_voxels_are_labels(tmp_path):
    array = np.kron(np.arange(1, 201).reshape(10, 10, 2), np.ones((2, 2, 2), int)).astype(np.uint8)
    found = read_label_file(save_nifti(tmp_path / "a.nii.gz", array))
    np.testing.assert_array_equal(found.volume.array, array)


def test_a_voxel_of_three_organs_is_counted_once(tmp_path):
    paths = {organ: _mask(tmp_path / f"{organ}.nii.gz", (0, 0, 0)) for organ in "abc"}
    merged = merge_masks(paths, organs=tuple("abc"), grid=GRID, bad_labels="refuse")
    assert merged.num_overlapping_vox == 1
    assert merged.volume.array[0, 0, 0] == 3


def test_more_than_255_organs_need_two_bytes(tmp_path):
    assert label_type(255) is np.uint8
    organs = tuple(f"organ_{number}" for number in range(300))
    paths = {"organ_299": _mask(tmp_path / "last.nii.gz", (0, 0, 0))}
    merged = merge_masks(paths, organs=organs, grid=GRID, bad_labels="refuse")
    assert merged.volume.array[0, 0, 0] == 300


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"value": 2}, "has the value 2, expected a mask of zeros and ones"),
        (
            {"value": 0.5, "data_type": np.float32},
            "has the value 0.5, expected whole numbers from 0 to 65535",
        ),
        ({"shape": (4, 3, 3)}, r"has shape \(4, 3, 3\), expected \(4, 3, 2\) as its image"),
        ({"affine": np.diag([-2.0, -2.0, 2.2, 1.0])}, "lies up to 0.2 mm away from its image"),
    ],
)
def test_a_bad_mask_is_refused_by_name(tmp_path, mask, message):
    path = _mask(tmp_path / "liver.nii.gz", (0, 0, 0), **mask)
    with pytest.raises(InputFileError, match=message) as caught:
        merge_masks({"liver": path}, organs=("liver",), grid=GRID, bad_labels="refuse")
    assert str(caught.value).startswith(str(path))


def test_masks_of_a_part_of_the_scan_make_a_map_of_all_of_it(tmp_path):
    part = LPS_AFFINE.copy()
    part[:3, 3] = LPS_AFFINE[:3] @ [1, 1, 0, 1]
    _mask(tmp_path / "1.nii.gz", (0, 1, 1), shape=(2, 2, 2), affine=part)
    _mask(tmp_path / "2.nii.gz", (1, 0, 0), shape=(2, 2, 2), affine=part)
    found = read_mask_folder(tmp_path, grid=Volume(np.zeros(SHAPE, np.uint8), LPS_AFFINE)).volume
    expected = np.zeros(SHAPE, np.uint8)
    expected[1, 2, 1], expected[2, 1, 0] = 1, 2
    np.testing.assert_array_equal(found.array, expected)


def test_a_value_beside_zero_and_one_is_named(tmp_path):
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, 0], array[1, 0, 0] = 1, 3
    with pytest.raises(InputFileError, match="has the value 3, expected a mask"):
        read_mask(save_nifti(tmp_path / "a.nii.gz", array), grid=GRID)


def test_rounding_of_headers_is_no_other_grid(tmp_path):
    affine = LPS_AFFINE.copy()
    affine[:3, 3] += 1e-4
    assert read_mask(_mask(tmp_path / "a.nii.gz", (0, 0, 0), affine=affine), grid=GRID).array.sum() == 1


@pytest.mark.real_data
def test_a_published_label_map_survives_being_split_and_merged(tmp_path):
    path = real_data("totalsegmentator_labels/segmentation.nii.gz")
    image = nibabel.load(path)
    labels = np.asanyarray(image.dataobj)
    organs = tuple(f"class_{number:03d}" for number in range(1, int(labels.max()) + 1))
    paths = {
        organs[number - 1]: save_nifti(
            tmp_path / f"{number}.nii.gz", (labels == number).astype(np.uint8), image.affine
        )
        for number in np.unique(labels)[1:]
    }
    merged = merge_masks(
        paths, organs=organs, grid=VolumeHeader(labels.shape, image.affine), bad_labels="refuse"
    )
    assert np.array_equal(merged.volume.array, labels)
    assert merged.num_overlapping_vox == 0
    assert len(merged.missing_organs) == len(organs) - len(paths)
