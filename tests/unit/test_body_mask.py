"""Body mask and body box."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies
from scipy import ndimage

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files
from anatomical_embedding.settings.volumes import BodyMaskSettings, MaskCleaningSettings
from anatomical_embedding.volumes.body_mask import body_box, body_mask, clean_mask
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import LPS_AFFINE, body_array, prepare_settings, real_data

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT_MM = np.ones(3)


def _cleaning(radius_mm, smallest_share, hole_mm2):
    return MaskCleaningSettings(
        closing_radius_mm=radius_mm, smallest_part_share=smallest_share, largest_hole_mm2=hole_mm2
    )


def _disk_by_distance(radius):
    """Return the disk of the published rule: all pixels within the radius, by distance."""
    reach = np.arange(-radius, radius + 1)
    return np.hypot(*np.meshgrid(reach, reach, indexing="ij")) <= radius


def _published_rule(mask, *, radius_px, smallest_share, hole_px):
    """Clean a mask as published but for parts of the volume, on a canvas so wide that no border matters."""
    disk = _disk_by_distance(radius_px)
    wide = np.pad(mask, ((10, 10), (10, 10), (0, 0)))
    for z in range(mask.shape[2]):
        wide[:, :, z] = ndimage.binary_opening(ndimage.binary_closing(wide[:, :, z], disk), disk)
    parts, num_parts = ndimage.label(wide)
    sizes = [(parts == part).sum() for part in range(1, num_parts + 1)]
    for part, size in enumerate(sizes, start=1):
        if size < smallest_share * max(sizes):
            wide[parts == part] = False
    cleaned = np.zeros_like(mask)
    for z in range(mask.shape[2]):
        one = wide[:, :, z]
        holes, num_holes = ndimage.label(~one)
        for hole in range(1, num_holes + 1):
            if holes[0, 0] != hole and (holes == hole).sum() < hole_px:
                one[holes == hole] = True
        cleaned[:, :, z] = one[10:-10, 10:-10]
    return cleaned


@pytest.mark.slow
@given(seed=strategies.integers(0, 10_000))
def test_cleaning_equals_the_published_rule_away_from_borders(seed):
    blobs = (
        ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(60, 50, 3)), (2.5, 2.5, 0)) > 0.03
    )
    blobs[:10], blobs[-10:], blobs[:, :10], blobs[:, -10:] = False, False, False, False
    ours = clean_mask(blobs, spacing_mm=UNIT_MM, settings=_cleaning(3, 0.2, 40))
    assert np.array_equal(ours, _published_rule(blobs, radius_px=3, smallest_share=0.2, hole_px=40))


def test_sizes_are_millimetres():
    """A hole of 4 x 6 pixels of 0.5 x 2 mm has 24 mm2; of 1 mm it has the same area and fate."""
    mask = np.ones((20, 20, 1), bool)
    mask[5:9, 5:11] = False
    for spacing_mm in ((0.5, 2.0, 9.0), (1.0, 1.0, 9.0)):
        spacing = np.array(spacing_mm)
        assert (~clean_mask(mask, spacing_mm=spacing, settings=_cleaning(0, 0, 24))).sum() == 24
        assert clean_mask(mask, spacing_mm=spacing, settings=_cleaning(0, 0, 24.1)).all()


def test_a_body_that_leaves_the_field_of_view_is_not_eroded_there():
    mask = np.zeros((30, 30, 2), bool)
    mask[:, 8:22] = True
    assert np.array_equal(clean_mask(mask, spacing_mm=UNIT_MM, settings=_cleaning(3, 0.05, 10)), mask)


def test_only_enclosed_air_is_a_hole():
    mask = np.zeros((30, 30, 1), bool)
    mask[:, 10:20] = True
    mask[12:18, 13:17] = False
    filled = clean_mask(mask, spacing_mm=UNIT_MM, settings=_cleaning(0, 0.05, 1000))
    assert filled[12:18, 13:17].all()
    assert not filled[:, :10].any()
    assert not filled[:, 20:].any()


def test_a_part_is_judged_in_the_volume():
    """A thin end of the body stays, a couch of few voxels goes, a second leg of half the size stays."""
    mask = np.zeros((20, 20, 4), bool)
    mask[2:12, 2:12, 0] = True
    mask[2:4, 2:4, 1:] = True  # 4 voxels a slice, but one piece with the 100 below
    mask[2:12, 16, 2] = True  # 10 of 112 voxels
    mask[14:20, 2:12, 0] = True  # 60 of 112
    kept = mask.copy()
    kept[2:12, 16, 2] = False
    assert np.array_equal(clean_mask(mask, spacing_mm=UNIT_MM, settings=_cleaning(0, 0.1, 0)), kept)


def test_ct_mask_is_the_soft_tissue_box():
    rules = prepare_settings().volumes.body_mask
    mask = body_mask(Volume(body_array(), LPS_AFFINE), modality="ct", settings=rules)
    assert np.array_equal(mask, _rounded_box())


def _rounded_box():
    """Return the box of `body_array` without the corners of each slice, which an opening by a cross takes."""
    box = np.zeros((30, 28, 12), bool)
    box[6:-6, 6:-6] = True
    for x in (6, 23):
        for y in (6, 21):
            box[x, y] = False
    return box


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-3, 0.0), (40.0, -300.0)])
def test_mr_mask_does_not_depend_on_the_units(scale, shift):
    rng = np.random.default_rng(0)
    array = rng.uniform(0, 10, (30, 28, 12))
    array[6:-6, 6:-6] = rng.uniform(300, 900, (18, 16, 12))
    rules = prepare_settings().volumes.body_mask
    mask = body_mask(Volume(array * scale + shift, LPS_AFFINE), modality="mr", settings=rules)
    assert np.array_equal(mask, _rounded_box())


def test_an_empty_mask_says_what_to_check():
    rules = prepare_settings().volumes.body_mask
    with pytest.raises(
        UserError, match=r"body mask is empty: no slice has a part above -900 .*modality \(ct\)"
    ):
        body_mask(Volume(np.full((9, 9, 4), -1000), LPS_AFFINE), modality="ct", settings=rules)


@given(margin=strategies.tuples(*[strategies.integers(0, 9)] * 3), seed=strategies.integers(0, 1000))
def test_the_box_holds_the_mask_and_its_margin(margin, seed):
    mask = np.zeros((9, 8, 7), bool)
    points = np.random.default_rng(seed).integers(0, (9, 8, 7), (3, 3))
    mask[tuple(points.T)] = True
    box = body_box(mask, margin_vox=np.array(margin))
    for axis, side in enumerate(box):
        assert side.start == max(0, points[:, axis].min() - margin[axis])
        assert side.stop == min(mask.shape[axis], points[:, axis].max() + 1 + margin[axis])


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["CRLM-CT-1006_CT", "aorta_contrast_CT"])
def test_the_mask_of_the_working_grid_agrees_with_the_mask_of_the_stored_grid(name):
    volume = to_lps(read_volume(real_data(f"torso_ct/{name}.nii.gz")))
    rules = prepare_settings().volumes.body_mask
    spacing_mm = (2.0, 2.0, 2.0)
    working = body_mask(
        resample_to_spacing(volume, spacing_mm=spacing_mm, is_label=False), modality="ct", settings=rules
    )
    stored = Volume(body_mask(volume, modality="ct", settings=rules), volume.affine)
    expected = resample_to_spacing(stored, spacing_mm=spacing_mm, is_label=True).array
    dice = 2 * (working & expected).sum() / (working.sum() + expected.sum())
    assert dice > 0.98


@pytest.mark.slow
@pytest.mark.real_data
def test_organs_of_real_patients_lie_in_their_body_masks():
    """Thin necks and shoulders cut by the field of view must not be lost; air inside of organs may be."""
    rules = BodyMaskSettings.model_validate(
        completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))["volumes"]["body_mask"]
    )
    shares = []
    for folder in sorted(real_data("headneck_ct").glob("pt_*")):
        mask = body_mask(_on_grid(folder / "ct.nii.gz", is_label=False), modality="ct", settings=rules)
        is_organ = np.any(
            [_on_grid(path, is_label=True).array > 0 for path in (folder / "segmentations").glob("*.nii.gz")],
            axis=0,
        )
        shares.append((is_organ & ~mask).sum() / is_organ.sum())
    assert len(shares) == 34
    assert max(shares) < 0.02
    assert np.mean(shares) < 0.002


def _on_grid(path, *, is_label):
    return resample_to_spacing(to_lps(read_volume(path)), spacing_mm=(4.0, 4.0, 4.0), is_label=is_label)


def test_a_disk_of_one_voxel_takes_no_time(monkeypatch):
    """On the demo's grid of 4 mm closing and opening by 2.4 mm change nothing, and took a tenth of a stage."""
    monkeypatch.setattr(ndimage, "binary_erosion", None)
    mask = np.zeros((12, 12, 2), bool)
    mask[2:9, 2:9], mask[4, 4, 0], mask[8, 2:9, 1] = (
        True,
        False,
        [True, False, True, False, True, False, True],
    )
    cleaned = clean_mask(mask, spacing_mm=np.full(3, 4.0), settings=_cleaning(2.4, 0.05, 17))
    mask[4, 4, 0] = True  # a hole of 16 mm2
    assert np.array_equal(cleaned, mask)
