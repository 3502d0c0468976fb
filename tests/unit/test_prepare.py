"""Prepared volumes: what comes out, and that it lies where the scan lies."""

import json
import time
import tracemalloc

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.orientation import axis_codes
from anatomical_embedding.volumes.prepare import crop_volume, prepare_volume
from anatomical_embedding.volumes.volume import Volume
from tests.ct_like import ct_like
from tests.unit.samples import (
    body_array,
    oblique_affine,
    prepare_settings,
    real_data,
    save_nifti,
)


def test_a_volume_on_the_working_grid_is_only_cropped(tmp_path):
    array = body_array()
    path = save_nifti(tmp_path / "ct.nii.gz", array)
    prepared = prepare_volume(path, label_paths={}, settings=prepare_settings())
    assert np.array_equal(
        prepared.image.array, array[4:-4, 4:-4, :]
    )  # the box is at 6, the margin two voxels
    assert prepared.image.array.dtype == np.int16
    assert np.allclose(prepared.image.affine[:3, 3], (-8, -8, 0))
    assert prepared.body_mask.array.dtype == np.uint8
    assert prepared.body_mask.shape == prepared.image.shape
    assert prepared.labels is None
    json.dumps(prepared.description, allow_nan=False)
    assert prepared.description["raw"]["sha256"] == sha256_of_file(path)
    assert prepared.description["prepared"]["crop_start_vox"] == [4, 4, 0]
    assert prepared.description["prepared"]["shape"] == [22, 20, 12]
    assert prepared.description["body_fraction"] == pytest.approx((18 * 16 - 4) / (22 * 20))


def test_a_scan_too_large_for_the_working_grid_takes_no_memory(tmp_path):
    """4.8 m along every axis, in voxels of 1.2 m: 1.4e10 voxels of 2 mm."""
    array = np.random.default_rng(0).choice(np.array([-1000, 40], np.int16), (4, 4, 4))
    path = save_nifti(tmp_path / "ct.nii", array, np.diag([-1200.0, -1200.0, 1200.0, 1.0]))
    tracemalloc.start()
    with pytest.raises(
        InputFileError, match=r"is 4800 x 4800 x 4800 mm large, 1\.4e\+10 voxels at the working"
    ):
        prepare_volume(path, label_paths={}, settings=prepare_settings())
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_body_that_fills_the_scan_is_said(tmp_path):
    path = save_nifti(tmp_path / "ct.nii", ct_like()[12:24, 10:30])
    prepared = prepare_volume(path, label_paths={}, settings=prepare_settings())
    no_air, full = prepared.remarks
    assert no_air.startswith(f"{path}: it shows no air")
    assert full.startswith(f"{path}: its body mask fills 100 % of it")
    assert prepared.description["remarks"] == [no_air, full]


def test_image_mask_and_labels_share_a_grid_and_labels_stay_on_their_tissue(tmp_path):
    """The bright block is labelled, in a scan that is oblique, flipped, axis-swapped and anisotropic."""
    array = np.transpose(body_array((40, 38, 16))[::-1], (2, 0, 1))
    affine = oblique_affine((8, -12, 5), (1.5, 1.6, 3.5), (30, -20, 100))[:, [2, 0, 1, 3]]
    image_path = save_nifti(tmp_path / "ct.nii.gz", array, affine)
    organ_path = save_nifti(tmp_path / "organ.nii.gz", (array > 500).astype(np.uint8), affine)
    settings = prepare_settings(organs=["absent", "organ"])
    prepared = prepare_volume(image_path, label_paths={"organ": organ_path}, settings=settings)
    assert axis_codes(prepared.image) == ("L", "P", "S")
    assert prepared.image.shape == prepared.labels.shape == prepared.body_mask.shape
    assert np.array_equal(prepared.image.affine, prepared.labels.affine)
    assert np.allclose(prepared.image.spacing_mm, 2.0)
    before = affine @ [*np.argwhere(array > 500).mean(axis=0), 1.0]
    after = prepared.labels.world_from_voxel(np.argwhere(prepared.labels.array == 2).mean(axis=0))
    assert np.linalg.norm(after - before[:3]) < 0.75  # labels are rounded to voxels of 2 mm
    bright = np.clip(prepared.image.array - 40.0, 0, None) ** 1
    weighted = np.tensordot(bright.ravel(), np.argwhere(np.ones(bright.shape, bool)), axes=1) / bright.sum()
    assert np.linalg.norm(prepared.image.world_from_voxel(weighted) - before[:3]) < 0.3
    assert prepared.description["labels"]["missing_organs"] == ["absent"]
    assert prepared.description["labels"]["num_prepared_vox"]["organ"] == (prepared.labels.array == 2).sum()


def test_ct_is_whole_hu_within_int16(tmp_path):
    array = body_array().astype(np.float32) + 0.4
    array[10, 10, 5] = 1e6
    path = save_nifti(tmp_path / "ct.nii.gz", array)
    image = prepare_volume(path, label_paths={}, settings=prepare_settings()).image.array
    assert image.max() == 32767
    assert image[4, 4, 0] == 40


def test_mr_keeps_its_small_units(tmp_path):
    array = (body_array().astype(np.float32) + 1000) / 2000
    path = save_nifti(tmp_path / "mr.nii.gz", array)
    image = prepare_volume(path, label_paths={}, settings=prepare_settings(modality="mr")).image.array
    assert image.dtype == np.float32
    assert np.allclose(image, array[4:-4, 4:-4], atol=1e-6)


def test_a_scan_without_a_body_names_its_file(tmp_path):
    array = body_array()
    array[array > -900] = -950
    path = save_nifti(tmp_path / "air.nii.gz", array)
    with pytest.raises(InputFileError, match=r"air\.nii\.gz: the body mask is empty"):
        prepare_volume(path, label_paths={}, settings=prepare_settings())


def test_cropped_voxels_stay_where_they_were():
    volume = Volume(np.arange(60).reshape(3, 4, 5), oblique_affine((10, 20, 30), (1, 2, 3), (4, 5, 6)))
    cropped = crop_volume(volume, box=(slice(1, 3), slice(2, 4), slice(0, 4)))
    assert cropped.array[1, 0, 3] == volume.array[2, 2, 3]
    assert np.allclose(cropped.world_from_voxel([1, 0, 3]), volume.world_from_voxel([2, 2, 3]))


@pytest.mark.slow
@pytest.mark.real_data
def test_organs_of_a_real_case_lie_where_itk_puts_them(tmp_path):
    """ITK samples each raw mask at the prepared grid's world positions; 2.1 mm, so that none is a tie."""
    case = real_data("headneck_ct/pt_100")
    label_paths = {path.name.removesuffix(".nii.gz"): path for path in (case / "segmentations").iterdir()}
    volumes = prepare_settings().volumes.model_dump() | {"spacing_mm": [2.1, 2.1, 2.1]}
    settings = prepare_settings(volumes=volumes, organs=sorted(label_paths))
    prepared = prepare_volume(case / "ct.nii.gz", label_paths=label_paths, settings=settings)
    write_volume(prepared.labels, tmp_path / "labels.nii")
    ours = SimpleITK.ReadImage(str(tmp_path / "labels.nii"))
    for label, organ in enumerate(settings.organs, start=1):
        raw = SimpleITK.ReadImage(str(label_paths[organ]))
        by_itk = SimpleITK.Resample(raw, ours, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
        expected = SimpleITK.GetArrayFromImage(by_itk).T == 1
        assert expected.any()
        assert np.array_equal(prepared.labels.array == label, expected), organ
    assert prepared.description["labels"]["num_overlapping_vox"] == 0


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "modality", "bytes_per_raw_voxel"),
    [
        (
            "headneck_ct/pt_100/ct.nii.gz",
            "ct",
            105,
        ),  # grows eightfold on the way from 5.1 x 5.1 x 2.5 mm to 2 mm
        ("torso_ct/CRLM-CT-1006_CT.nii.gz", "ct", 12),
        ("mr/abdomen_T2.nii.gz", "mr", 12),
    ],
)
def test_a_real_scan_keeps_its_place_and_stays_in_bounded_time_and_memory(
    tmp_path, name, modality, bytes_per_raw_voxel
):
    path = real_data(name)
    started = time.process_time()
    tracemalloc.start()
    prepared = prepare_volume(path, label_paths={}, settings=prepare_settings(modality=modality))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 8
    assert peak_bytes < bytes_per_raw_voxel * np.prod(prepared.description["raw"]["shape"])

    write_volume(
        Volume(prepared.image.array.astype(np.float32), prepared.image.affine), tmp_path / "prepared.nii"
    )
    ours = _middle(SimpleITK.ReadImage(str(tmp_path / "prepared.nii")))
    raw = SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat32)
    assert _mismatch(raw, ours, move_mm=(0, 0, 0)) < 0.25
    for axis in range(3):
        for distance_mm in (-1.0, 1.0):  # half a voxel either way fits worse
            move_mm = [0.0, 0.0, 0.0]
            move_mm[axis] = distance_mm
            assert _mismatch(raw, ours, move_mm=(0, 0, 0)) < _mismatch(raw, ours, move_mm=move_mm), (
                axis,
                distance_mm,
            )


def _middle(image):
    """Return the middle half along each axis, with its place in the world."""
    size = np.array(image.GetSize())
    return SimpleITK.RegionOfInterest(image, (size // 2).tolist(), (size // 4).tolist())


def _mismatch(raw, prepared, *, move_mm):
    """Difference of the prepared image and ITK's own resampling of the raw one, over the image's contrast."""
    move = SimpleITK.TranslationTransform(3, [float(distance) for distance in move_mm])
    by_itk = SimpleITK.Resample(raw, prepared, move, SimpleITK.sitkLinear, 0.0, SimpleITK.sitkFloat32)
    ours, theirs = (SimpleITK.GetArrayViewFromImage(image) for image in (prepared, by_itk))
    is_plain = (ours > -1000) & (theirs > -1000)  # not the padding beyond the scanner's field of view
    return (ours - theirs)[is_plain].std() / ours[is_plain].std()
