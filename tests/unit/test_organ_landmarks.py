"""Landmarks of masks whose centroids and ends are known."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings, strategies

from anatomical_embedding.datasets.organ_landmarks import landmark_points, locate_landmarks
from anatomical_embedding.datasets.raw_volume import RawVolume
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.landmark_file import (
    Landmark,
    LandmarkStatus,
    read_landmarks,
    write_landmark_status,
    write_landmarks,
)
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import affines, body_array, real_data, save_nifti

KINDS = ("centroid", "top", "bottom", "left", "right", "front", "back")


def test_centroid_and_ends_of_a_small_shape():
    """Four voxels in a RAS volume of 2 x 3 x 4 mm at the origin, each end by hand."""
    mask = np.zeros((6, 6, 6), bool)
    for voxel in ((1, 1, 1), (2, 1, 1), (1, 4, 1), (1, 1, 5)):
        mask[voxel] = True
    points = landmark_points(Volume(mask, np.diag([2.0, 3.0, 4.0, 1.0])), kinds=KINDS)
    expected_vox = {
        "centroid": (5 / 4, 7 / 4, 2),
        "top": (1, 1, 5),
        "bottom": (4 / 3, 2, 1),
        "left": (1, 2, 7 / 3),
        "right": (2, 1, 1),
        "front": (1, 4, 1),
        "back": (4 / 3, 1, 7 / 3),
    }
    for kind, point_mm in zip(KINDS, points, strict=True):
        assert np.allclose(point_mm, np.multiply(expected_vox[kind], (2, 3, 4))), kind


@settings(max_examples=30)
@given(affine=affines(largest_angle_deg=30.0), order=strategies.permutations((0, 1, 2)))
def test_points_do_not_depend_on_the_array_order(affine, order):
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.6
    volume = Volume(mask, affine[:, [*order, 3]])
    assert np.allclose(landmark_points(volume, kinds=KINDS), landmark_points(to_lps(volume), kinds=KINDS))


def _raw(folder, masks):
    image_path = save_nifti(folder / "ct.nii.gz", body_array())
    paths = {organ: save_nifti(folder / f"{organ}.nii.gz", mask) for organ, mask in masks.items()}
    return RawVolume("case_1", "case_1", "ct", image_path, paths)


def test_every_wanted_landmark_is_accounted_for(tmp_path):
    liver = np.zeros((30, 28, 12), np.uint8)
    liver[3, 4, 5] = 1
    raw = _raw(tmp_path, {"liver": liver, "spleen": np.zeros_like(liver)})
    wanted = {"liver": ["centroid", "top"], "spleen": ["centroid"], "aorta": ["top"]}
    found, statuses = locate_landmarks(raw, landmarks=wanted, organs=tuple(wanted))
    assert found == [
        Landmark("case_1", "liver_centroid", -6.0, -8.0, 10.0),
        Landmark("case_1", "liver_top", -6.0, -8.0, 10.0),
    ]
    assert statuses == [
        LandmarkStatus("case_1", "liver_centroid", "found", ""),
        LandmarkStatus("case_1", "liver_top", "found", ""),
        LandmarkStatus("case_1", "spleen_centroid", "missing", "the mask is empty"),
        LandmarkStatus("case_1", "aorta_top", "missing", "no mask file"),
    ]


def test_a_mask_on_another_grid_is_an_error(tmp_path):
    raw = _raw(tmp_path, {"liver": np.ones((30, 28, 11), np.uint8)})
    with pytest.raises(InputFileError, match=r"liver\.nii\.gz: has shape"):
        locate_landmarks(raw, landmarks={"liver": ["centroid"]}, organs=("liver",))


def test_files_are_sorted_and_read_back(tmp_path):
    landmarks = [Landmark("b", "liver_top", 1.0, -2.5, 3.25), Landmark("a", "liver_top", 0.0, 0.0, 0.0)]
    write_landmarks(landmarks, tmp_path / "landmarks.csv")
    assert (tmp_path / "landmarks.csv").read_text(encoding="utf-8").splitlines()[
        0
    ] == "volume_id,landmark,x_mm,y_mm,z_mm"
    assert read_landmarks(tmp_path / "landmarks.csv") == landmarks[::-1]
    write_landmark_status(
        [LandmarkStatus("a", "liver_top", "missing", "no mask file")], tmp_path / "status.csv"
    )
    assert (tmp_path / "status.csv").read_text(encoding="utf-8") == (
        "volume_id,landmark,status,reason\na,liver_top,missing,no mask file\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("volume,x\n", "line 1: expected the columns"),
        ("volume_id,landmark,x_mm,y_mm,z_mm\na,top,1,2\n", "line 2: has 4 cells, expected 5"),
        (
            "volume_id,landmark,x_mm,y_mm,z_mm\na,top,1,2,far\n",
            "line 2, z_mm: expected a finite number, got 'far'",
        ),
        (
            "volume_id,landmark,x_mm,y_mm,z_mm\na,top,1,2,nan\n",
            "line 2, z_mm: expected a finite number, got 'nan'",
        ),
        (
            "volume_id,landmark,x_mm,y_mm,z_mm\na,top,1,2,3\na,top,1,2,3\n",
            "line 3: volume_id 'a', landmark 'top' repeats line 2",
        ),
        (None, "cannot be read as a CSV table"),
    ],
)
def test_a_bad_landmark_file_is_refused(tmp_path, content, message):
    path = tmp_path / "landmarks.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_landmarks(path)


@pytest.mark.real_data
def test_landmarks_of_a_real_case_agree_with_itk():
    case = real_data("headneck_ct/pt_201")
    path = case / "segmentations/mandible.nii.gz"
    raw = RawVolume("pt_201", "pt_201", "ct", case / "ct.nii.gz", {"mandible": path})
    found, _ = locate_landmarks(raw, landmarks={"mandible": ["centroid", "bottom"]}, organs=("mandible",))
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    image = SimpleITK.ReadImage(str(path), SimpleITK.sitkUInt8)
    shape.Execute(image)
    centroid, bottom = (np.array([point.x_mm, point.y_mm, point.z_mm]) for point in found)
    assert np.allclose(centroid * (-1, -1, 1), shape.GetCentroid(1), atol=1e-3)
    lowest_index = shape.GetBoundingBox(1)[2]
    assert image.GetDirection()[8] > 0
    lowest_mm = image.TransformIndexToPhysicalPoint((0, 0, lowest_index))[2]
    assert bottom[2] == pytest.approx(lowest_mm, abs=1e-3)
