"""Known warps: the points of a pair correspond, the field folds nothing, and lesions are where they should be."""

import numpy as np
import pytest
import yaml
from scipy.ndimage import map_coordinates

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.datasets.known_warp import (
    draw_pair,
    draw_warp,
    smallest_volume,
    warp_of_pair,
    warped_labels,
)
from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.split import assign_splits
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.settings.known_warps import KnownWarpsSettings
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from benchmarks.known_warps import chosen, overlap_of, yardstick

AFFINE = np.array([[-2.0, 0, 0, 60], [0, 2.0, 0, -50], [0, 0, 2.5, 10], [0, 0, 0, 1]])
SHAPE = (60, 50, 44)


def settings(**warp):
    """Return the delivered yardstick with one warp, and lesions that this small scan has room for."""
    content = yaml.safe_load((REPOSITORY / "configs" / "known_warps.yaml").read_text(encoding="utf-8"))
    asked = {"mean_mm": 3, "smooth_mm": 25, **warp}
    return KnownWarpsSettings(**content | {"warps": {"asked": asked}})


def coordinates():
    """Return a scan whose value at a place is 10 x + 3 y + 5 z in mm: interpolation of any kind is exact."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return Volume(value_at(grid @ AFFINE[:3, :3].T + AFFINE[:3, 3]).astype(np.float32), AFFINE)


def value_at(points_mm):
    return points_mm @ np.array([10.0, 3.0, 5.0])


def interpolated(volume, points_mm):
    return map_coordinates(volume.array.astype(float), volume.voxel_from_world(points_mm).T, order=1)


def everywhere(volume):
    return np.ones(volume.shape, dtype=bool)


@pytest.mark.slow
@pytest.mark.parametrize("warp", [{}, {"slice_mm": 5}, {"kept_share": 0.5}, {"mean_mm": 0}])
def test_the_target_shows_at_each_point_what_the_template_shows_at_its_partner(warp):
    pair = draw_pair(coordinates(), "body", warp_name="asked", body_of=everywhere, settings=settings(**warp))
    assert len(pair.target_mm) == 100
    shown = interpolated(pair.target, pair.target_mm)
    # Half a unit of rounding to whole HU, and the bend of the field within a voxel: 15 HU are a millimetre.
    np.testing.assert_allclose(shown, value_at(pair.template_mm), atol=4.0)
    assert np.abs(shown - value_at(pair.template_mm)).mean() < 1.0
    moved_mm = np.linalg.norm(pair.template_mm - pair.target_mm, axis=1)
    assert moved_mm.max() == 0 if warp.get("mean_mm") == 0 else 1.5 < moved_mm.mean() < 5


def test_slices_fields_of_view_and_margins():
    thick, cut = (
        draw_pair(coordinates(), "body", warp_name="asked", body_of=everywhere, settings=settings(**warp))
        for warp in ({"slice_mm": 5}, {"kept_share": 0.5})
    )
    np.testing.assert_allclose(thick.target.spacing_mm, [2, 2, 5])
    assert cut.target.shape[2] <= SHAPE[2] / 2
    for pair in (thick, cut):
        assert pair.target.depth_mm(pair.target_mm).min() >= 4
        assert pair.template.depth_mm(pair.template_mm).min() >= 4


def test_labels_are_seen_through_the_warp_of_the_pair():
    asked = settings(mean_mm=4, slide_mm=6)
    pair = draw_pair(coordinates(), "body", warp_name="asked", body_of=everywhere, settings=asked)
    warp = warp_of_pair(coordinates(), "body", warp_name="asked", settings=asked)
    np.testing.assert_array_equal(warp.to_template(pair.target_mm), pair.template_mm)
    array = np.zeros(SHAPE, np.uint8)
    array[20:30, 18:30, 10:30], array[30:41, 22:28, 15:33] = 1, 2
    labels = Volume(array, AFFINE)
    grid = VolumeHeader(pair.target.shape, pair.target.affine)
    found = warped_labels(labels, warp, grid=grid, reach_mm=asked.largest_mm + 6)
    everywhere_vox = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    places_vox = labels.voxel_from_world(warp.to_template(pair.target.world_from_voxel(everywhere_vox)))
    nearest = map_coordinates(array, np.moveaxis(places_vox, -1, 0), order=0, mode="constant", cval=0)
    assert {1, 2} <= set(np.unique(nearest))
    np.testing.assert_array_equal(found.array, nearest)


def test_overlap_of_a_field_that_is_off_by_two_voxels(tmp_path):
    array = np.zeros((30, 30, 30), np.uint8)
    array[10:20, 10:20, 10:20] = 1
    for name in ("template", "target"):
        write_volume(Volume(array, np.diag([1.5, 1.5, 1.5, 1])), tmp_path / f"{name}_labels.nii.gz")
    off = np.zeros((2, 2, 2, 3), np.float32)
    assert overlap_of(tmp_path, DisplacementField(off, np.eye(4)))["dice"] == 1.0
    off[..., 0] = 3.0
    found = overlap_of(tmp_path, DisplacementField(off, np.eye(4)))
    assert found["dice"] == 0.8
    # Of the 488 surface voxels of a cube, those of one face (100) are two voxels off, a ring behind it (36) one; those
    # inside the opposite face are as far off as the other cube's sides: 28 by one, 36 by two.
    assert found["surface_mm"] == pytest.approx(1.5 * (2 * 100 + 36 + 28 + 2 * 36) / 488)
    assert found["surface_p95_mm"] == 3.0
    assert np.isnan(overlap_of(tmp_path / "torso", DisplacementField(off, np.eye(4)))["dice"])


def test_sliding_moves_the_middle_along_its_axis_alone():
    asked = settings(mean_mm=0, slide_mm=12)
    pair = draw_pair(coordinates(), "body", warp_name="asked", body_of=everywhere, settings=asked)
    moved_mm = pair.template_mm - pair.target_mm
    offset = (pair.target_mm[:, :2] - coordinates().centre_mm[:2]) / (0.6 * np.array([59.0, 49.0]))
    np.testing.assert_allclose(moved_mm[:, :2], 0, atol=1e-9)
    np.testing.assert_allclose(moved_mm[:, 2], np.where(np.sum(offset**2, axis=1) < 1, 12, 0))
    assert 0 < np.mean(moved_mm[:, 2] > 0) < 1


@pytest.mark.slow
def test_a_field_is_the_same_on_a_slice_and_folds_nothing():
    asked = settings(mean_mm=20, smooth_mm=12)
    generator = np.random.default_rng(0)
    warp = draw_warp(coordinates(), asked.warps["asked"], generator=generator, settings=asked)
    x_mm, y_mm = np.linspace(-55, 55, 12), np.linspace(-45, 45, 9)
    points_mm = np.stack(np.meshgrid(x_mm, y_mm, [40.0], indexing="ij"), axis=-1)
    np.testing.assert_allclose(
        warp.displacement_on_slice_mm(x_mm, y_mm, 40.0), warp.displacement_mm(points_mm)[:, :, 0], atol=1e-9
    )
    grid_mm = np.stack(np.meshgrid(*[np.arange(-40.0, 41, 3)] * 3, indexing="ij"), axis=-1)
    grid_mm = grid_mm + np.array([0, 0, 60])
    assert smallest_volume(warp, grid_mm) > 0
    assert np.linalg.norm(warp.displacement_mm(grid_mm), axis=-1).max() <= 25


def test_lesions_grow_shrink_and_vanish_around_their_points():
    flat = Volume(np.zeros(SHAPE, np.float32), AFFINE)
    asked = settings(mean_mm=3, growth=[2, 0.5, 0])
    pair = draw_pair(flat, "body", warp_name="asked", body_of=everywhere, settings=asked)
    assert set(pair.growth) == {2, 0.5, 0}
    np.testing.assert_allclose(interpolated(pair.template, pair.template_mm), 110, atol=8)
    middle = interpolated(pair.target, pair.target_mm)
    np.testing.assert_allclose(middle[pair.growth == 2], 110, atol=1)
    np.testing.assert_array_equal(middle[pair.growth == 0], 0)
    shrunk_hu, grown_hu = (
        pair.target.array[
            np.linalg.norm(places(pair.target) - pair.target_mm[pair.growth == g][0], axis=-1) < 14
        ]
        for g in (0.5, 2)
    )
    assert grown_hu.sum() > 8 * shrunk_hu.sum()


def places(volume):
    return volume.world_from_voxel(
        np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    )


def test_names_and_seed_alone_decide():
    first, again, other = (
        draw_pair(coordinates(), name, warp_name="asked", body_of=everywhere, settings=settings(noise_hu=5))
        for name in ("a", "a", "b")
    )
    np.testing.assert_array_equal(first.target.array, again.target.array)
    np.testing.assert_array_equal(first.template_mm, again.template_mm)
    assert not np.array_equal(first.template_mm, other.template_mm)


def test_no_patient_is_in_both_halves():
    halves = settings().scans
    assert not set(halves["development"]) & set(halves["test"])


@pytest.mark.parametrize("name", ["headneck_ct", "torso_ct"])
def test_a_delivered_model_is_trained_on_no_scan_of_the_test_half(name):
    content = yaml.safe_load((REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    dataset = read_pipeline_settings(content).datasets[name]
    dataset = dataset.model_copy(update={"root": REPOSITORY / dataset.root})
    if not dataset.root.exists():
        pytest.skip(f"no scans in {dataset.root}")
    volumes = list_raw_volumes(dataset, made_folder=REPOSITORY)
    splits = assign_splits([volume.patient_id for volume in volumes], settings=dataset.split)
    tested = {volume.image_path for volume in volumes if splits[volume.patient_id] == "test"}
    asked = {REPOSITORY / yardstick().root / path for path in yardstick().scans["test"]}
    assert tested == {path for path in asked if path.is_relative_to(dataset.root)}


def test_scans_are_chosen_by_their_names():
    assert chosen(["pt_1", "CRLM_CT", "pt_2"], ["pt_*"]) == ["pt_1", "pt_2"]
    with pytest.raises(SystemExit, match=r"--scans pt_3: expected one of CRLM_CT, pt_1"):
        chosen(["pt_1", "CRLM_CT"], ["CRLM*", "pt_3"])
