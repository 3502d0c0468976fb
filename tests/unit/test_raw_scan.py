"""What a scan is found to be when it is read: kind, HU or not, and what is said about it."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.nifti_geometry import largest_skew
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.scan_checks import add_offset, find_kind, find_offset
from anatomical_embedding.volumes.straight_grid import straight_grid
from anatomical_embedding.volumes.value_shares import Shares, sample_values, shares_of, without_padding
from anatomical_embedding.volumes.volume import Volume
from tests.ct_like import SHAPE, ct_like, mr_like
from tests.dicom_slices import Layout, Stack
from tests.packaged_model import write_dicom_series
from tests.unit.samples import LPS_AFFINE, real_data, save_nifti
from tests.unit.test_nifti import with_header

HU = ct_like()
PADDED = np.hypot(*np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE[:2]), indexing="ij")) > 0.95


def padded(array, value):
    """Return an array whose corners a round field of view leaves out."""
    array = array.copy()
    array[PADDED] = value
    return array


def read(tmp_path, array, **options):
    return read_raw_scan(save_nifti(tmp_path / "scan.nii.gz", array), ReadingOptions(**options))


@pytest.mark.parametrize(
    "array",
    [HU, HU.astype(np.int32), HU.astype(np.float32), np.maximum(HU, -1000), padded(HU, -3024)],
    ids=["int16", "int32", "float32", "cut at -1000", "padded"],
)
@pytest.mark.parametrize("modality", [None, "ct"])
def test_a_ct_in_hu_is_a_ct_and_nothing_is_said(tmp_path, array, modality):
    scan = read(tmp_path, array, modality=modality)
    assert (scan.modality, scan.remarks) == ("ct", ())
    assert np.array_equal(scan.volume.array, array)


@pytest.mark.parametrize(
    ("stored", "above"),
    [
        (HU + np.int16(1024), 1024),
        ((HU + np.int16(1024)).astype(np.uint16), 1024),
        ((HU + np.int16(1024)).astype(np.int64), 1024),
        (HU.astype(np.float32) + 1024, 1024),
        (padded(HU + np.int16(1024), -2000), 1024),
        ((HU.astype(np.int32) + 32768).astype(np.uint16), 32768),
        (HU.astype(np.float32) + 32768, 32768),
    ],
    ids=["int16", "uint16", "int64", "float32", "padded", "32768", "32768 in float"],
)
def test_the_offset_of_a_lost_rescale_is_taken_off_and_said(tmp_path, stored, above):
    scan = read(tmp_path, stored, modality="ct")
    inside = ~np.broadcast_to(PADDED[..., None], SHAPE)
    assert np.array_equal(scan.volume.array[inside], HU[inside])
    (remark,) = scan.remarks
    assert remark.startswith(f"its values lie {above} above HU")


def test_a_slope_of_zero_scales_nothing_and_the_offset_is_found_by_the_values(tmp_path):
    path = save_nifti(tmp_path / "scan.nii", (HU + np.int16(1024)).astype(np.int16))
    with_header(path, scl_slope=0, scl_inter=-1024)
    scan = read_raw_scan(path, ReadingOptions("ct"))
    assert np.array_equal(scan.volume.array, HU)
    assert "stands beside a slope of 0" in scan.remarks[0]
    assert "1024 above HU" in scan.remarks[1]


WINDOWED = np.clip((HU + 160) / 400 * 255, 0, 255).astype(np.uint8)
NOT_HU = {
    "8 bit": WINDOWED,
    "0 to 1": (WINDOWED / 255).astype(np.float32),
    "cut at -200": np.clip(HU, -200, 300).astype(np.int16),
    "cut at 0": np.maximum(HU, 0),
    "turned over": (-HU).astype(np.int16),
    "a tenth": (HU / 10).astype(np.float32),
    "other offset": HU + np.int16(500),
    "MR": mr_like(),
}


@pytest.mark.parametrize("name", NOT_HU)
def test_a_ct_that_is_not_in_hu_is_refused_and_a_user_may_know_better(tmp_path, name):
    with pytest.raises(
        InputFileError, match=r"scan\.nii\.gz: is not in HU: its values run from .*--hu-offset"
    ):
        read(tmp_path, NOT_HU[name], modality="ct")
    told = read(tmp_path, NOT_HU[name], modality="ct", hu_offset=0.0)
    assert told.remarks == ("its values were taken as HU (--hu-offset 0), though they do not look so",)
    assert np.allclose(told.volume.array, NOT_HU[name])


def test_an_offset_that_is_told_makes_hu(tmp_path):
    scan = read(tmp_path, HU + np.int16(1000), modality="ct", hu_offset=-1000.0)
    assert np.array_equal(scan.volume.array, HU)
    assert scan.remarks == ("-1000 was added to get HU (--hu-offset)",)
    assert read(tmp_path, HU + np.int16(1000), hu_offset=-1000.0).modality == "ct"
    with pytest.raises(InputFileError, match="is in HU as it stands, so adding -1024 would be wrong"):
        read(tmp_path, HU, hu_offset=-1024.0)
    with pytest.raises(InputFileError, match="is an MR, by its header or --modality, which has no HU"):
        read(tmp_path, mr_like(), modality="mr", hu_offset=0.0)


def test_padding_like_air_does_not_pass_for_air(tmp_path):
    """Of a CT in HU and of one whose rescale was lost: the same number stands round both."""
    assert read(tmp_path, padded(HU, -1024), modality="ct").remarks == ()
    small_body = np.pad(HU + np.int16(1024), ((24, 24), (0, 0), (0, 0)), mode="edge")
    small_body[:8] = -1024
    with pytest.raises(
        InputFileError, match=r"of its voxels at -1024, like air in HU, but the others lie 1024"
    ):
        read(tmp_path, small_body, modality="ct")


def test_a_part_of_the_body_is_told_by_fat_and_muscle(tmp_path):
    inside = HU[12:24, 10:30]
    assert inside.min() > -700
    scan = read(tmp_path, inside, modality="ct")
    assert scan.remarks == (
        "it shows no air, so that it is in HU was judged by its fat and soft tissue alone",
    )
    with pytest.raises(InputFileError, match="may be a CT or an MR"):
        read(tmp_path, inside)


def test_what_looks_like_a_ct_above_hu_is_not_guessed(tmp_path):
    with pytest.raises(
        InputFileError, match=r"looks like a CT whose values lie 1024 above HU.*--modality ct"
    ):
        read(tmp_path, HU + np.int16(1024))


def _with_dark(array, *, share, value):
    array = array.astype(np.int16)
    array.ravel()[: int(share * array.size)] = value
    return array


@pytest.mark.parametrize(
    ("array", "remark"),
    [
        (mr_like(), ""),
        (mr_like() - np.int16(20), ""),
        ((mr_like() / 1000).astype(np.float32), ""),
        (_with_dark(mr_like(), share=0.0002, value=-256), "taken as MR though its lowest value is -256"),
        (padded(mr_like(), -1024), "taken as MR though its lowest value is -1024"),
        ((mr_like() // 8).astype(np.uint8), "a CT that was turned into grey values"),
        (WINDOWED, "a CT that was turned into grey values"),
        (np.clip(HU, -30, 240), "a CT of which a window was cut out (here -30 to 240)"),
        ((WINDOWED / 255).astype(np.float32), "a CT of which a window was cut out (here 0 to 1)"),
        ((np.clip(HU, -1000, 300) / 1000).astype(np.float32), "window was cut out (here -1 to 0.3)"),
        (np.clip(mr_like(), 100, None), ""),
    ],
    ids=[
        *("MR", "with noise below zero", "0 to 1", "a few dark voxels", "padded", "8 bit", "CT of 8 bit"),
        *("window", "window of 0 to 1", "window in thousands", "MR cut off below"),
    ],
)
def test_an_mr_is_an_mr_and_close_cases_are_said(tmp_path, array, remark):
    scan = read(tmp_path, array)
    assert scan.modality == "mr"
    assert [remark in said for said in scan.remarks] == ([True] if remark else [])


def test_many_dark_voxels_that_are_no_air_are_not_guessed(tmp_path):
    with pytest.raises(
        InputFileError, match=r"may be a CT or an MR: 0 % .* like air in HU and .* % lie below -200"
    ):
        read(tmp_path, _with_dark(mr_like(), share=0.2, value=0) - 300 * (np.arange(SHAPE[2]) < 4))


def test_a_mask_of_a_thin_organ_is_taken_for_no_scan():
    """In coarse voxels half of the neighbours of a thin organ's voxels are outside of it."""
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:7, 4:16, 4:16] = 1
    with pytest.raises(UserError, match="looks like a label map"):
        find_kind(mask)
    mask[12:14, 4:16, 4:16] = 2
    with pytest.raises(UserError, match="looks like a label map"):
        find_kind(mask)
    noise = np.random.default_rng(0).integers(0, 3, (20, 20, 20)).astype(np.uint8)
    assert find_kind(noise).modality == "mr"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_label_map_is_taken_for_no_scan(tmp_path, dtype):
    organs = np.digitize(HU, [-500, -160, -20, 200]).astype(float)
    organs = np.rint(median_filter(organs, 5)).astype(dtype)
    for told in (None, "ct"):
        with pytest.raises(
            InputFileError, match="looks like a label map: its values are whole numbers in patc"
        ):
            read(tmp_path, organs, modality=told)
    found = read(tmp_path, organs, modality="mr")
    assert found.remarks == (
        "looks like a label map: its values are whole numbers in patches, or two alone; taken as MR (--modality)",
    )


def test_a_ct_that_is_called_an_mr_is_said(tmp_path):
    assert "looks like a CT in HU" in read(tmp_path, HU, modality="mr").remarks[0]
    assert read(tmp_path, mr_like(), modality="mr").remarks == ()


@pytest.mark.parametrize(("copy", "is_said"), [("scan_Eq_1.nii.gz", True), ("scan_Eq_1.nii", False)])
def test_a_better_copy_beside_a_scan_is_named(tmp_path, copy, is_said):
    """dcm2niix writes both; the scan itself states equal distances of slices that have others."""
    (tmp_path / copy).touch()
    remarks = read(tmp_path, HU).remarks
    assert [remark.startswith(f"beside it lies {copy}, which dcm2niix") for remark in remarks] == [
        True
    ] * is_said


def test_a_dicom_header_goes_before_the_values(tmp_path):
    volume = Volume(HU, LPS_AFFINE)
    series = {word: write_dicom_series(volume, tmp_path / word, modality=word) for word in ("CT", "MR", "PT")}
    assert read_raw_scan(series["CT"], ReadingOptions()).modality == "ct"
    assert read_raw_scan(series["MR"], ReadingOptions()).modality == "mr"
    with pytest.raises(
        InputFileError,
        match=r"PT: is of modality PT \(CT Image Storage\), expected CT or MR; --modality takes it",
    ):
        read_raw_scan(series["PT"], ReadingOptions())
    with pytest.raises(InputFileError, match="MR: is an MR, by its header or --modality, which has no HU"):
        read_raw_scan(series["MR"], ReadingOptions(hu_offset=-1024.0))
    told = read_raw_scan(series["PT"], ReadingOptions("mr"))
    assert told.remarks == ("taken as MR (--modality), though its header says PT",)


def test_a_ct_series_without_a_rescale_is_judged_by_its_values(tmp_path):
    def series(name, array, *, is_signed):
        stored = array.transpose(2, 1, 0).astype(np.int64)  # (slices, rows, columns)
        nothing = {"slope": lambda k: None, "intercept": lambda k: None}
        return Stack(stored=stored, layout=Layout(is_signed=is_signed), **nothing).write(tmp_path / name)

    zero_based = read_raw_scan(series("zero_based", HU + 1024, is_signed=False), ReadingOptions())
    in_hu = read_raw_scan(series("in_hu", HU, is_signed=True), ReadingOptions())
    for scan, remark in (
        (zero_based, "1024 above HU"),
        (in_hu, "it gives no rescale; its values look like HU"),
    ):
        assert np.array_equal(scan.volume.array, HU)
        assert [remark in said for said in scan.remarks] == [True]
    grey = np.clip((HU.astype(int) + 160) // 2, 0, 255)
    with pytest.raises(InputFileError, match="grey: is not in HU"):
        read_raw_scan(series("grey", grey, is_signed=False), ReadingOptions())


def test_a_series_tilted_by_a_little_gets_a_straight_grid_for_registrations(tmp_path):
    step_mm = 2.0 * np.tan(np.radians(0.05))
    tilt = {number: (0.0, number * step_mm, 0.0) for number in range(SHAPE[2])}
    series = write_dicom_series(Volume(HU, LPS_AFFINE), tmp_path / "tilted", moved_slices_mm=tilt)
    scan = read_raw_scan(series, ReadingOptions())
    assert largest_skew(scan.volume.affine) == pytest.approx(np.sin(np.radians(0.05)), rel=1e-3)
    last = np.array(SHAPE) - 1
    expected = LPS_AFFINE[:3, :3] @ last - [0.0, last[2] * step_mm, 0.0]  # towards posterior
    np.testing.assert_allclose(scan.volume.world_from_voxel([last])[0], expected, atol=0.01)
    assert largest_skew(straight_grid(scan.volume).affine) < 1e-12


def test_a_ct_whose_dense_tissue_was_cut_off_is_told():
    whole = ct_like()
    assert find_offset(whole) == (0.0, "")
    cut = find_offset(np.minimum(whole, 200))
    assert cut.hu == 0.0
    assert "its values end at 200 HU" in cut.remark
    assert "what is denser was cut off" in cut.remark


def test_offsets_keep_whole_numbers_whole():
    assert add_offset(np.array([0, 3000], np.uint16), -1024.0).dtype == np.int16
    wide = add_offset(np.array([0, 2**40], np.int64), -1024.0)
    assert wide.tolist() == [-1024, 2**40 - 1024]
    assert add_offset(np.array([0], np.int16), -0.5).tolist() == [-0.5]


def test_shares_of_tissues_are_those_counted_by_hand():
    air, lung, edge, fat, muscle, contrast, bone = -1000, -500, -200, -100, 50, 250, 1000
    values = np.repeat([air, lung, edge, fat, muscle, contrast, bone], [40, 10, 1, 5, 12, 1, 1]).astype(float)
    assert shares_of(values) == Shares(
        air=40 / 70, tissue=18 / 20, fat=5 / 20, soft=12 / 20, bright=2 / 20, dense=1 / 20, lung=10 / 20
    )
    assert set(vars(shares_of(values[:0])).values()) == {0.0}


def test_of_a_large_scan_about_half_a_million_values_are_looked_at():
    for shape in ((512, 512, 300), (300, 200, 100), (3000, 2000)):
        assert 2.5e5 < sample_values(np.broadcast_to(np.int16(7), shape)).size < 1e6
    assert sample_values(HU).size == HU.size


def test_padding_is_a_lone_value_that_many_voxels_have():
    noise = np.random.default_rng(0).normal(-1000, 10, 5000)
    assert without_padding(np.maximum(noise, -1000)).size == noise.size
    assert without_padding(np.r_[noise, np.full(500, -3024)]).size == noise.size


REAL_CTS = ("torso_ct", "totalsegmentator_labels/ct.nii.gz", "ct_mr_pairs/images", "headneck_ct")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("place", REAL_CTS)
def test_real_cts_are_in_hu_and_found_again_with_an_offset(place):
    found = real_data(place)
    pattern = {"headneck_ct": "*/ct.nii.gz", "ct_mr_pairs/images": "*_0000.nii.gz"}.get(place, "*.nii.gz")
    paths = sorted(found.glob(pattern)) if found.is_dir() else [found]
    assert paths
    for path in paths:
        scan = read_raw_scan(path, ReadingOptions())
        assert (scan.modality, scan.remarks) == ("ct", ()), path
        array = scan.volume.array.astype(np.int32)
        offsets = [find_offset(array + above).hu for above in (0, 1024, 32768, -1024)]
        assert offsets == [0, -1024, -32768, 1024], path
        assert "other than in most bodies in HU" in find_offset(np.maximum(array - 1024, -1024)).remark, path


@pytest.mark.slow
@pytest.mark.real_data
def test_real_mrs_are_mrs():
    paths = [*real_data("mr").glob("*.nii.gz"), *real_data("ct_mr_pairs/images").glob("*_0001.nii.gz")]
    assert len(paths) >= 10
    for path in paths:
        scan = read_raw_scan(path, ReadingOptions())
        assert scan.modality == "mr", path
        close = ["taken as MR though its lowest value is -269"] if path.name.startswith("abdomen") else []
        assert [remark.split(":")[0] for remark in scan.remarks] == close, path
        with pytest.raises(InputFileError, match="is not in HU"):
            read_raw_scan(path, ReadingOptions("ct"))


@pytest.mark.real_data
def test_a_real_series_of_a_phantom_is_a_ct_in_hu():
    scan = read_raw_scan(real_data("dicom/head_phantom_5mm"), ReadingOptions())
    assert scan.modality == "ct"
    (said,) = [remark for remark in scan.remarks if "HU" in remark]
    assert "other than in most bodies in HU; it shows" in said  # plastic


@pytest.mark.parametrize("told", [None, 1024.0])
def test_an_offset_that_was_taken_off_twice_is_added(tmp_path, told):
    """Then soft tissue looks like air, and bone like soft tissue."""
    found = read(tmp_path, HU - 1024, modality="ct", hu_offset=told)
    np.testing.assert_array_equal(found.volume.array, HU)
    assert (
        "values lie 1024 below HU" in found.remarks[0]
        if told is None
        else "1024 was added" in found.remarks[0]
    )
    if told is None:
        np.testing.assert_array_equal(read(tmp_path, HU - 1024).volume.array, HU)
    assert read(tmp_path, HU, modality="ct").remarks == ()


def test_a_ct_without_the_tissue_of_a_body_is_said(tmp_path):
    """What lies below 0 was cut off after an offset had been taken off twice: bone is left alone."""
    number = np.arange(HU.size).reshape(HU.shape)
    with_bone = np.where(number % 25 == 0, 900 + number % 997, HU)
    (said,) = read(tmp_path, np.maximum(with_bone - 1024, -1024), modality="ct").remarks
    assert "other than in most bodies in HU" in said


def test_parts_of_a_body_without_bone_or_with_much_lung_are_like_a_body():
    """A crop of soft tissue, or of a chest, where as many voxels are like lung as are denser."""
    tissue, lung = [-1000.0, -1010.0, -100.0, -90.0, 30.0, 50.0, 60.0, 70.0], np.linspace(-680, -300, 8)
    for values in (tissue, [*tissue, 250.0, *lung[1:]]):
        array = np.resize(values, (20, 20, 20))
        array[0, 0, 0] = 700  # not cut off
        assert find_offset(array) == (0.0, "")
    array = np.resize([*tissue, 250.0, *lung], (20, 20, 20))
    array[0, 0, 0] = 700
    assert "and 14.3 % denser than 200, beside 1.1 times as much like lung" in find_offset(array).remark


def test_a_written_ct_is_read_as_it_was(tmp_path):
    write_volume(Volume(HU, LPS_AFFINE), tmp_path / "a.nii")
    assert find_kind(read_raw_scan(tmp_path / "a.nii", ReadingOptions()).volume.array).modality == "ct"
