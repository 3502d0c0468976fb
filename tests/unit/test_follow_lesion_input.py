"""Lesions of a visit in every form that users have them in, and one line for what does not fit the scan."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom.data
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.follow.lesion_input import read_given_lesions
from anatomical_embedding.points.slicer_fcsv import write_fcsv
from anatomical_embedding.points.slicer_markups import write_markups
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.segments import LabelledScan
from anatomical_embedding.volumes.volume import Volume

PYDICOM = Path(pydicom.data.__file__).parent / "test_files"
SHAPE = (30, 26, 12)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.25, 0, 31], [0, 0, 3, -50], [0, 0, 0, 1.0]])
FRAME = "1.2.826.0.1.3680043.2.1125.9.1"
FIRST, SECOND = (slice(5, 9), slice(6, 9), slice(2, 5)), (slice(20, 23), slice(10, 13), slice(7, 10))


def grid(shape=SHAPE, affine=AFFINE):
    return Volume(np.zeros(shape, np.uint8), affine)


def scan(volume=None, frame=FRAME):
    return LabelledScan(grid() if volume is None else volume, frame)


def labels(*numbers):
    """Return a label map with one or two boxes of these numbers."""
    array = np.zeros(SHAPE, np.uint8)
    for number, box in zip(numbers, (FIRST, SECOND), strict=False):
        array[box] = number
    return array


def saved(array, path, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(array, affine), path)
    return path


def read(path, on=None, coordinates="ras"):
    return read_given_lesions(path, scan() if on is None else on, coordinates=coordinates)


def numbered(found):
    return {lesion.number: lesion.label for lesion in found.lesions}


# Masks


def test_a_label_map_keeps_its_numbers(tmp_path):
    found = read(saved(labels(7, 3), tmp_path / "x.nii.gz"))
    np.testing.assert_array_equal(found.masks.array, labels(7, 3))
    assert [(lesion.number, lesion.has_mask) for lesion in found.lesions] == [(3, True), (7, True)]
    # Lesion 3 is the box from 20, 10, 7 to 22, 12, 9: its middle is 21, 11, 8.
    np.testing.assert_allclose(found.lesions[0].point_mm, AFFINE[:3] @ [21, 11, 8, 1])
    assert found.remarks == ()


def test_one_mask_of_all_lesions_is_taken_apart_and_that_is_said(tmp_path):
    path = saved(labels(1, 1), tmp_path / "x.nii.gz")
    found = read(path)
    np.testing.assert_array_equal(found.masks.array, labels(1, 2))
    (remark,) = found.remarks
    assert remark.startswith(
        f"{path}: holds one label in 2 parts that do not touch; each is taken as a lesion"
    )


def test_a_place_lies_in_its_mask(tmp_path):
    """The middle of a ring is no lesion."""
    array = np.zeros(SHAPE, np.uint8)
    array[5:16, 5:16, 4] = 1
    array[7:14, 7:14, 4] = 0
    (lesion,) = read(saved(array, tmp_path / "x.nii.gz")).lesions
    voxel = np.rint(np.linalg.inv(AFFINE) @ [*lesion.point_mm, 1.0])[:3].astype(int)
    assert array[tuple(voxel)] == 1


def test_a_folder_of_one_mask_a_lesion(tmp_path):
    saved(labels(1), tmp_path / "lesions" / "lesion_2.nii.gz")
    saved(labels(0, 1), tmp_path / "lesions" / "lesion_10.nii.gz")
    found = read(tmp_path / "lesions")
    np.testing.assert_array_equal(found.masks.array, labels(2, 10))
    assert numbered(found) == {2: "lesion_2", 10: "lesion_10"}


def test_an_empty_mask_and_notes_are_left_out_and_said(tmp_path):
    """As `propagate` takes such a folder."""
    saved(labels(1), tmp_path / "lesions" / "lesion_2.nii.gz")
    saved(labels(0), tmp_path / "lesions" / "lesion_3.nii.gz")
    (tmp_path / "lesions" / "notes.txt").write_text("none", encoding="utf-8")
    found = read(tmp_path / "lesions")
    assert numbered(found) == {2: "lesion_2"}
    assert [remark.removeprefix(f"{tmp_path / 'lesions'}: ") for remark in found.remarks] == [
        "no voxel of the scan lies in lesion_3",
        "left out 'notes.txt': no volumes by their names",
    ]


def test_names_without_numbers_are_numbered_in_their_order(tmp_path):
    saved(labels(1), tmp_path / "lesions" / "lung.nii.gz")
    saved(labels(0, 1), tmp_path / "lesions" / "liver.nii.gz")
    assert numbered(read(tmp_path / "lesions")) == {1: "liver", 2: "lung"}


@pytest.mark.parametrize(
    ("turn", "array"),
    [
        (np.array([[1, 0, 0, 3], [0, 1, 0, 4], [0, 0, 1, 1], [0, 0, 0, 1.0]]), labels(7, 3)[3:, 4:, 1:]),
        (np.array([[-1, 0, 0, 29], [0, -1, 0, 25], [0, 0, 1, 0], [0, 0, 0, 1.0]]), labels(7, 3)[::-1, ::-1]),
        (np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), labels(7, 3).swapaxes(0, 1)),
    ],
    ids=["a part of it", "flipped", "axes swapped"],
)
def test_the_same_voxels_in_another_order_or_a_part_of_them(tmp_path, turn, array):
    found = read(saved(array, tmp_path / "x.nii.gz", AFFINE @ turn))
    np.testing.assert_array_equal(found.masks.array, labels(7, 3))


# Points


def points_mm():
    return np.array([AFFINE[:3] @ [21, 11, 8, 1], AFFINE[:3] @ [6, 7, 3, 1]])


def write_csv(path):
    rows = "\n".join(f"{x},{y},{z},{name}" for (x, y, z), name in zip(points_mm(), ("b", "a"), strict=True))
    path.write_text(f"x_mm,y_mm,z_mm,name\n{rows}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.csv", write_csv),
        ("x.mrk.json", lambda path: write_markups(points_mm(), ["b", "a"], path)),
        ("x.fcsv", lambda path: write_fcsv(points_mm(), ["b", "a"], path)),
    ],
)
def test_points_of_tables_and_of_slicer(tmp_path, name, write):
    write(tmp_path / name)
    found = read(tmp_path / name)
    assert found.masks is None and numbered(found) == {1: "b", 2: "a"}
    np.testing.assert_allclose([lesion.point_mm for lesion in found.lesions], points_mm(), atol=1e-3)
    assert not any(lesion.has_mask for lesion in found.lesions)


def test_clicks_of_the_longitudinal_task_of_autopet(tmp_path):
    """Voxels x, y, z, in the form of the challenge's own example files."""
    content = {
        "name": "Points of interest",
        "points": [{"name": "2", "point": [21.0, 11.0, 8.0]}, {"name": "1", "point": [6.5, 7.0, 3.0]}],
        "type": "Multiple points",
        "version": {"major": 1, "minor": 0},
    }
    path = tmp_path / "primary-baseline-lesion-clicks.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read(path)
    assert numbered(found) == {1: "1", 2: "2"}
    np.testing.assert_allclose(found.lesions[0].point_mm, AFFINE[:3] @ [6.5, 7.0, 3.0, 1])
    np.testing.assert_allclose(found.lesions[1].point_mm, AFFINE[:3] @ [21, 11, 8, 1])
    assert "taken as voxels x, y, z" in found.remarks[0]
    inside_lps = AFFINE[:3] @ [6.5, 7.0, 3.0, 1] * [-1, -1, 1]
    path.write_text(json.dumps(content | {"points": [{"name": "1", "point": inside_lps.tolist()}]}), "utf-8")
    np.testing.assert_allclose(
        read(path, coordinates="lps").lesions[0].point_mm, AFFINE[:3] @ [6.5, 7.0, 3.0, 1]
    )


def test_points_and_boxes_of_lesionlocator(tmp_path):
    """Voxels z, y, x as texts; the box holds the voxels 7 to 9, 10 to 12 and 20 to 22."""
    content = {"1": {"point": ["3.0", "7.0", "6.5"]}, "4": {"box": ["7", "10", "10", "13", "20", "23"]}}
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read(path)
    assert numbered(found) == {1: "1", 4: "4"}
    np.testing.assert_allclose(found.lesions[0].point_mm, AFFINE[:3] @ [6.5, 7.0, 3.0, 1])
    np.testing.assert_allclose(found.lesions[1].point_mm, AFFINE[:3] @ [21, 11, 8, 1])
    assert any("took the middle of 1 boxes" in remark for remark in found.remarks)


# DICOM objects of a public package


def test_a_real_segmentation(tmp_path):
    """The liver of pydicom's test file, of which one slice of 512 x 512 is left, on the voxels of its own scan."""
    dataset = pydicom.dcmread(PYDICOM / "liver_1frame.dcm")
    dataset.NumberOfFrames = 1
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:1]
    path = tmp_path / "liver.dcm"
    dataset.save_as(path)
    place = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    x, y, z = map(float, place)
    affine = np.diag([-0.810547, -0.810547, 1.0, 1.0])
    affine[:3, 3] = (-x, -y, z - 2.0)
    its_scan = scan(grid((512, 512, 5), affine), dataset.FrameOfReferenceUID)
    found = read(path, its_scan)
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")[: 512 * 512]
    expected = bits.reshape(512, 512).T > 0
    assert expected.sum() > 1000
    np.testing.assert_array_equal(found.masks.array[:, :, 2] > 0, expected)
    assert not found.masks.array[:, :, [0, 1, 3, 4]].any()
    with pytest.raises(
        InputFileError, match=r"lies in the frame of reference .* these labels were drawn on another"
    ):
        read(path, scan(grid((512, 512, 5), affine), FRAME))
    with pytest.raises(InputFileError, match="holds 1 frames and says of 3 where they lie"):
        read(PYDICOM / "liver_1frame.dcm", its_scan)


def test_a_real_structure_set():
    """The outline of the patient in pydicom's test file, 400 x 300 mm; its isocentres are no lesions."""
    dataset = pydicom.dcmread(PYDICOM / "rtstruct.dcm", force=True)
    frame = dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID
    contours = dataset.ROIContourSequence[0].ContourSequence
    heights = sorted(float(contour.ContourData[2]) for contour in contours)
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = (-295.0, -295.0, heights[0] - 95.0)
    size_z = int((heights[-1] - heights[0]) / 10.0) + 20
    found = read(PYDICOM / "rtstruct.dcm", scan(grid((60, 60, size_z), affine), frame))
    assert len(found.lesions) == 1
    first = np.reshape([float(value) for value in contours[0].ContourData], (-1, 3))
    across, down = np.ptp(first[:, 0]), np.ptp(first[:, 1])
    plane = round((first[0, 2] - affine[2, 3]) / 10.0)
    assert found.masks.array[:, :, plane].sum() * 100.0 == pytest.approx(across * down, rel=0.02)
    assert any("Isocenter" in remark for remark in found.remarks)
    with pytest.raises(InputFileError, match="these labels were drawn on another scan"):
        read(PYDICOM / "rtstruct.dcm", scan(grid((60, 60, size_z), affine), FRAME))


# What does not fit


def prompts(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


CLICKS = [{"name": "tumor", "point": [21, 11, 8]}, {"name": "background", "point": [1, 1, 1]}]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"version": {"major": 1, "minor": 0}, "type": "Multiple points", "points": CLICKS}, "tumor"),
        ({"tumor": [[21, 11, 8]], "background": [[1, 1, 1]]}, "tumor 1"),
    ],
)
def test_clicks_on_the_background_are_no_lesions(tmp_path, content, name):
    """As the interactive task of autoPET IV gives them, and as its training files list them."""
    found = read(prompts(tmp_path / "x.json", content))
    assert numbered(found) == {1: name}
    np.testing.assert_allclose(found.lesions[0].point_mm, AFFINE[:3] @ [21, 11, 8, 1])
    assert found.remarks[1] == f"{tmp_path / 'x.json'}: left out the clicks called 'background': 1"


OTHER_GRID = AFFINE @ np.diag([1.02, 1.0, 1.0, 1.0])
SHIFTED_GRID = AFFINE + 0.5 * np.eye(4, k=3)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda f: saved(labels(1, 2), f / "x.nii.gz", OTHER_GRID), "lies on another grid than the scan"),
        (
            lambda f: saved(labels(1, 2), f / "x.nii.gz", SHIFTED_GRID),
            r"another grid than the scan \(of its shape, up to 0\.5 mm away from it\)",
        ),
        (lambda f: saved(labels(1, 2), f / "x.nii.gz", AFFINE @ np.array(
            [[1, 0, 0, 12], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])), "has voxels outside the scan"),
        (lambda f: saved(labels(), f / "x.nii.gz"), "shows no lesion: every voxel is 0"),
        (lambda f: saved(labels(1, 2), f / "m" / "both.nii.gz").parent, "holds 2 labels, expected one mask per file"),
        (lambda f: shutil.copytree(saved(labels(1), f / "m" / "a.nii.gz").parent, f / "n") and
            (saved(labels(1), f / "n" / "b.nii.gz").parent), "the mask 'a' lies wholly in others"),
        (lambda f: (f / "empty").mkdir() or f / "empty", "holds no masks"),
        (lambda f: f / "nothing.nii.gz", "is not there; expected a label map, a folder"),
        (lambda f: prompts(f / "x.json", {"1": {"point": [3, 7, 200]}}), r"the point '1' at .* lies outside the scan"),
        (lambda f: prompts(f / "x.json", {"1": {"point": [3, 7]}}), "prompt '1': expected 3 numbers"),
        (lambda f: prompts(f / "x.json", {"1": {"box": [3, 3, 1, 2, 1, 2]}}), "box '1': .* holds no voxel"),
        (lambda f: prompts(f / "x.json", {"points": [{"name": "1"}]}), "click 1: expected an object with a point"),
        (lambda f: prompts(f / "x.json", {"points": []}), "holds no prompt"),
        (lambda f: prompts(f / "x.json", {"points": CLICKS[1:]}), "holds no prompt"),
        (lambda f: prompts(f / "x.json", {"tumor": [1, 2, 3]}), "click 'tumor 1': expected 3 numbers, got 1"),
        (lambda f: prompts(f / "x.json", [1, 2]), "markups|control points"),
    ],
)  # fmt: skip
def test_one_line_says_what_does_not_fit(tmp_path, make, problem):
    path = make(tmp_path)
    with pytest.raises(UserError, match=problem) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
