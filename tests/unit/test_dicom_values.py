"""Values of DICOM slices: every slice by its own rescale and bits, in a type that holds them, or refused."""

import numpy as np
import pydicom
import pytest

from anatomical_embedding.volumes.body_mask import body_mask
from tests.dicom_edits import always, edited, refusal
from tests.dicom_slices import MR_CLASS, PET_CLASS, Layout, Stack, grey_ramp, read_series
from tests.unit.samples import body_array, prepare_settings


def test_values_and_place_of_a_plain_series(tmp_path):
    series = read_series(Stack().write(tmp_path))
    stored = grey_ramp()
    np.testing.assert_array_equal(series.volume.array, stored.transpose(2, 1, 0) - 1024)
    assert series.volume.array.dtype == np.int16
    expected = [[-0.75, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(series.volume.affine, expected, atol=1e-9)
    assert (series.modality, series.modality_word, series.has_rescale, series.remarks) == (
        "ct",
        "CT",
        True,
        (),
    )


def test_the_first_slice_may_have_another_intercept(tmp_path):
    stored = np.full((4, 7, 8), 1000)
    stored[0] = 3000
    stored[1:, 3] = 4000
    stack = Stack(stored=stored, intercept=lambda k: 0.0 if k == 0 else -1024.0)
    array = read_series(stack.write(tmp_path)).volume.array
    assert array.dtype == np.int16
    assert set(np.unique(array[:, :, 0])) == {3000}
    assert set(np.unique(array[:, :, 1:])) == {-24, 2976}


@pytest.mark.parametrize("layout", [Layout(), Layout(is_signed=True), Layout(bits_stored=12)])
def test_every_slice_has_its_own_slope(tmp_path, layout):
    stack = Stack(slope=lambda k: 0.5 + 0.01 * k, intercept=lambda k: 10.0 * k, layout=layout)
    array = read_series(stack.write(tmp_path)).volume.array
    assert array.dtype == np.float32
    # Column 4 of row 2 of slice 5: stored 3 * (5 * 56 + 2 * 8 + 4) = 900; 0.55 * 900 + 50.
    assert array[4, 2, 5] == pytest.approx(545.0, abs=1e-3)
    assert array[4, 2, 0] == pytest.approx(0.5 * 60, abs=1e-3)


@pytest.mark.parametrize(
    ("layout", "ends", "rescale", "expected"),
    [
        (Layout(), (0, 65535), (1.0, 0.0), np.uint16),
        (Layout(), (0, 65535), (1.0, -32768.0), np.int16),
        (Layout(), (0, 65535), (1.0, -1024.0), np.int32),
        (Layout(), (0, 65535), (2.0, 0.0), np.int32),
        (Layout(bits_allocated=8, bits_stored=8), (0, 255), (1.0, 0.0), np.int16),
        (Layout(bits_allocated=32, bits_stored=32), (0, 2**32 - 1), (1.0, 0.0), np.int64),
        (Layout(bits_allocated=32, bits_stored=32, is_signed=True), (-5, 70000), (1.0, 0.0), np.int32),
        (Layout(is_signed=True), (-32768, 32767), (-1.0, 0.0), np.int32),
    ],
)
def test_whole_values_stay_whole_in_a_type_that_holds_them(tmp_path, layout, ends, rescale, expected):
    stored = np.full((3, 6, 8), ends[0])
    stored[1, 2, 3] = ends[1]
    stack = Stack(stored=stored, layout=layout, slope=always(rescale[0]), intercept=always(rescale[1]))
    array = read_series(stack.write(tmp_path)).volume.array
    assert array.dtype == expected
    assert int(array[3, 2, 1]) == rescale[0] * ends[1] + rescale[1]
    assert int(array[0, 0, 0]) == rescale[0] * ends[0] + rescale[1]


@pytest.mark.parametrize(
    "bits",
    [(24, 16, 15), (16, 20, 19), (16, 12, 10), (16, 12, 16)],
    ids=lambda bits: "-".join(map(str, bits)),
)
def test_bits_that_the_standard_does_not_have_are_refused(tmp_path, bits):
    """Voxels of 24 bits; more bits than are there; and the highest one below the others, or beyond the voxel."""
    allocated, stored, high = bits
    edit = edited(BitsAllocated=allocated, BitsStored=stored, HighBit=high)
    said = refusal(Stack(edit=edit).write(tmp_path))
    assert f"stores {stored} bits up to bit {high} in {allocated}, expected at most as many" in str(said)


def test_bits_beside_the_stored_ones_change_nothing(tmp_path):
    def overlay_in_the_upper_bits(dataset, k):
        pixels = np.frombuffer(dataset.PixelData, np.uint16) | 0x3000
        dataset.PixelData = pixels.tobytes()

    stack = Stack(layout=Layout(bits_stored=12), edit=overlay_in_the_upper_bits)
    array = read_series(stack.write(tmp_path)).volume.array
    np.testing.assert_array_equal(array, grey_ramp().transpose(2, 1, 0) - 1024)


def test_every_slice_is_stored_in_its_own_way(tmp_path):
    """The first slice is unsigned, the second 12 bits wide, the others are signed; all hold -500 to 500 HU."""
    values = grey_ramp() - 500
    layouts = {0: Layout(), 1: Layout(bits_stored=12)}

    def store(dataset, k):
        layout = layouts.get(k, Layout(is_signed=True))
        dataset.RescaleIntercept = 0 if layout.is_signed else -1024
        layout.set(dataset, values[k] - int(dataset.RescaleIntercept))

    array = read_series(Stack(edit=store).write(tmp_path)).volume.array
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, values.transpose(2, 1, 0))


def test_padding_is_kept_as_it_is_stored(tmp_path):
    stored = grey_ramp()
    stored[:, 0] = -2000
    stack = Stack(stored=stored, layout=Layout(is_signed=True), intercept=always(0.0))
    stack.edit = lambda dataset, k: dataset.add_new("PixelPaddingValue", "SS", -2000)
    array = read_series(stack.write(tmp_path)).volume.array
    assert set(np.unique(array[:, 0])) == {-2000}
    np.testing.assert_array_equal(array[:, 1:], grey_ramp().transpose(2, 1, 0)[:, 1:])


def test_padding_below_air_leaves_the_body_mask_as_it_is(tmp_path):
    """The corners hold -2000, as outside the round field of a scanner, which is -3024 HU with the usual intercept."""
    hu = body_array().transpose(2, 1, 0).astype(int)
    rows, columns = np.ogrid[: hu.shape[1], : hu.shape[2]]
    outside = np.hypot(rows - 13.5, columns - 14.5) > 15.5
    stored = np.where(outside, -2000, hu + 1024)
    layout = Layout(is_signed=True)
    settings = prepare_settings().volumes.body_mask
    masks = [
        body_mask(
            read_series(Stack(stored=numbers, layout=layout).write(tmp_path / name)).volume,
            modality="ct",
            settings=settings,
        )
        for name, numbers in (("plain", hu + 1024), ("padded", stored))
    ]
    assert outside.sum() > 100 and not (masks[0] & outside.T[..., np.newaxis]).any()
    np.testing.assert_array_equal(*masks)
    assert masks[0].sum() > 0.9 * (hu > -900).sum()


@pytest.mark.parametrize("empty", [False, True])
def test_without_rescale_values_are_the_stored_ones_and_it_is_told(tmp_path, empty):
    stack = Stack(slope=always(None), intercept=always(None))
    if empty:
        stack.edit = edited(RescaleSlope="", RescaleIntercept="")
    series = read_series(stack.write(tmp_path))
    assert not series.has_rescale
    np.testing.assert_array_equal(series.volume.array, grey_ramp().transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("number", "tags", "problem"),
    [
        (2, {"RescaleSlope": None, "RescaleIntercept": None}, "gives no rescale slope and intercept"),
        (2, {"RescaleSlope": None}, "has nothing for RescaleSlope, expected one number"),
        (2, {"RescaleIntercept": ""}, "has nothing for RescaleIntercept, expected one number"),
        (2, {"RescaleSlope": 0}, "has a rescale slope of 0"),
        (2, {"RescaleSlope": "1e99"}, "has 1e99 for RescaleSlope, expected one number"),
        (2, {"RescaleSlope": ["1", "2"]}, r"has 1\2 for RescaleSlope"),
        (0, {"RescaleSlope": None, "RescaleIntercept": None}, "gives no rescale slope and intercept"),
    ],
)
def test_a_slice_with_half_a_rescale_is_refused(tmp_path, number, tags, problem):
    def edit(dataset, k):
        for keyword, value in tags.items() if k == number else ():
            delattr(dataset, keyword) if value is None else setattr(dataset, keyword, value)

    folder = Stack(edit=edit).write(tmp_path)
    assert str(refusal(folder)).startswith(f"{folder / f'IM{number:04d}.dcm'}: {problem}")


def test_a_table_in_place_of_a_rescale_is_refused(tmp_path):
    table = pydicom.Dataset()
    table.ModalityLUTType = "HU"
    stack = Stack(slope=always(None), intercept=always(None), edit=edited(ModalityLUTSequence=[table]))
    assert "IM0000.dcm: gives its values by a table (Modality LUT)" in str(refusal(stack.write(tmp_path)))


def test_values_of_a_ct_that_is_shown_inverted_are_the_stored_ones(tmp_path):
    series = read_series(Stack(edit=edited(PhotometricInterpretation="MONOCHROME1")).write(tmp_path))
    np.testing.assert_array_equal(series.volume.array, grey_ramp().transpose(2, 1, 0) - 1024)
    (remark,) = series.remarks
    assert "IM0000.dcm" in remark and "MONOCHROME1" in remark


@pytest.mark.parametrize(
    "stack",
    [
        Stack(modality="MR", sop_class=MR_CLASS),
        Stack(slope=always(None), intercept=always(None)),
        Stack(modality="PT", sop_class=PET_CLASS),
    ],
    ids=["mr", "no rescale", "pet"],
)
def test_other_scans_that_are_shown_inverted_are_refused(tmp_path, stack):
    stack.edit = edited(PhotometricInterpretation="MONOCHROME1")
    assert "unknown whether the values are inverted" in str(refusal(stack.write(tmp_path)))


@pytest.mark.parametrize(("kind", "num_remarks"), [("HU", 0), ("US", 1), ("OD", 1), ("Z_EFF", 1)])
def test_a_ct_in_other_units_is_said(tmp_path, kind, num_remarks):
    remarks = read_series(Stack(edit=edited(RescaleType=kind)).write(tmp_path)).remarks
    assert [f"of type {kind}, expected HU" in remark for remark in remarks] == [True] * num_remarks


def test_a_map_of_real_world_values_changes_nothing(tmp_path):
    mapped = pydicom.Dataset()
    mapped.RealWorldValueSlope, mapped.RealWorldValueIntercept = 7.0, 5.0
    series = read_series(Stack(edit=edited(RealWorldValueMappingSequence=[mapped])).write(tmp_path))
    assert series.volume.array[0, 0, 0] == -1024 and series.remarks == ()


def test_one_value_everywhere_is_refused(tmp_path):
    assert "every voxel has the value -1020" in str(
        refusal(Stack(stored=np.full((3, 4, 5), 4)).write(tmp_path))
    )


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_pixels_of_real_numbers_are_called_so(tmp_path, keyword):
    def edit(dataset, k):
        del dataset.PixelData
        size = 4 if keyword == "FloatPixelData" else 8
        setattr(dataset, keyword, bytes(size * dataset.Rows * dataset.Columns))

    assert f"holds its pixels as {keyword}, which is not read" in str(
        refusal(Stack(edit=edit).write(tmp_path))
    )
