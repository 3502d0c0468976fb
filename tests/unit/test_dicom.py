"""DICOM folders: values and places by hand, what is left out and said, what is refused and how it is named."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, JPEG2000Lossless, JPEGLossless
from scipy.ndimage import map_coordinates

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.body_mask import body_mask
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from tests.dicom_slices import (
    AXIAL,
    CT_CLASS,
    DOSE_CLASS,
    ENHANCED_CT_CLASS,
    MR_CLASS,
    OTHER_SERIES,
    PET_CLASS,
    REPORT_CLASS,
    SECONDARY_CAPTURE_CLASS,
    SEGMENTATION_CLASS,
    SERIES,
    Layout,
    Stack,
    grey_ramp,
    plain_object,
    read_series,
    save,
)
from tests.packaged_model import kept_locale
from tests.reference.dicom_by_tags import place_by_tags, value_by_tags
from tests.scan_inputs.dicom_frames import enhanced
from tests.unit.samples import body_array, prepare_settings, real_data

DICOMDIR_CLASS = UID("1.2.840.10008.1.3.10")


def always(value):
    return lambda k: value


def edited(**tags):
    """Return an edit that sets tags of every slice."""

    def edit(dataset, k):
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)

    return edit


def refusal(folder):
    with pytest.raises(InputFileError) as caught:
        read_series(folder)
    assert "\n" not in str(caught.value)
    return caught.value


# Values


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


# Compressed pixels


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG", JPEGLossless), ("JPEG2000", JPEG2000Lossless)])
@pytest.mark.parametrize("is_signed", [False, True])
def test_compressed_slices_are_rescaled_once(tmp_path, capfd, compressor, syntax, is_signed):
    stack = Stack(
        stored=grey_ramp(rows=33, columns=40) - 500 * is_signed,
        layout=Layout(is_signed=is_signed),
        slope=lambda k: 2.0 + k,
        edit=edited(PhotometricInterpretation="MONOCHROME1"),
    )
    for k in range(6):
        image = SimpleITK.GetImageFromArray(stack.stored[k].astype(np.int16 if is_signed else np.uint16))
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "packed.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        with kept_locale():
            writer.Execute(image)
        packed = pydicom.dcmread(tmp_path / "packed.dcm")
        assert packed.file_meta.TransferSyntaxUID in {syntax, "1.2.840.10008.1.2.4.70"}
        dataset = stack.dataset(k)
        dataset.PixelData = packed.PixelData
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        (tmp_path / "series").mkdir(exist_ok=True)
        save(dataset, tmp_path / "series" / stack.name(k), syntax=packed.file_meta.TransferSyntaxUID)
    array = read_series(tmp_path / "series").volume.array
    factors = np.arange(2, 8)[:, None, None]
    np.testing.assert_array_equal(array, (factors * stack.stored - 1024).transpose(2, 1, 0))
    assert capfd.readouterr() == ("", "")
    broken = tmp_path / "series" / "IM0002.dcm"
    dataset = pydicom.dcmread(broken)
    start = dataset.PixelData.index(b"\xff\xd8" if compressor == "JPEG" else b"\xff\x4f")
    dataset.PixelData = dataset.PixelData[:start] + b"\x11" * (len(dataset.PixelData) - start)
    dataset.save_as(broken)
    assert f"{broken}: is packed as JPEG" in str(refusal(tmp_path / "series"))
    assert capfd.readouterr() == ("", "")


def test_a_syntax_that_nothing_unpacks_is_named(tmp_path):
    known, jpeg_xl = b"1.2.840.10008.1.2.4.202", b"1.2.840.10008.1.2.4.110"
    folder = Stack().write(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = known.decode()
        dataset.PixelData = encapsulate([b"\xff\x0a" * 40])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.save_as(path)
        path.write_bytes(path.read_bytes().replace(known, jpeg_xl))
    assert f"IM0000.dcm: is packed as {jpeg_xl.decode()}" in str(refusal(folder))


def test_bytes_in_foreign_order_are_refused(tmp_path):
    layout = Layout(bits_allocated=8, bits_stored=8, syntax=ExplicitVRBigEndian)
    stack = Stack(stored=grey_ramp() % 256, layout=layout)
    assert "holds bytes in big-endian order" in str(refusal(stack.write(tmp_path)))


# Modality


@pytest.mark.parametrize(
    ("word", "sop_class", "modality"),
    [("CT", CT_CLASS, "ct"), ("MR", MR_CLASS, "mr"), ("PT", PET_CLASS, None)],
)
def test_the_modality_is_told_as_it_is_written(tmp_path, word, sop_class, modality):
    folder = Stack(modality=word, sop_class=sop_class).write(tmp_path)
    series = read_series(folder)
    assert (series.modality_word, series.modality) == (word, modality)


@pytest.mark.parametrize(("number", "word"), [("2.2", "CT"), ("4.4", "MR"), ("128.1", "PT")])
def test_an_object_that_does_not_say_its_modality_has_that_of_its_class(tmp_path, number, word):
    """Here the classes of slices that were put into one file later (legacy converted)."""

    def of_class(dataset):
        dataset.SOPClassUID, dataset.Modality = UID(f"1.2.840.10008.5.1.4.1.1.{number}"), ""

    assert read_series(enhanced(edit=of_class)(tmp_path)).modality_word == word


@pytest.mark.parametrize("word", ["PT", "NM"])
def test_a_scan_of_another_modality_is_refused_unless_told(tmp_path, word):
    folder = Stack(modality=word, sop_class=PET_CLASS).write(tmp_path)
    with pytest.raises(
        InputFileError,
        match=rf"is of modality {word} \(Positron Emission Tomography Image Storage\), expected CT or MR",
    ):
        read_raw_scan(folder, ReadingOptions())
    assert read_raw_scan(folder, ReadingOptions("mr")).modality == "mr"


def test_a_slice_of_another_modality_is_refused(tmp_path):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, "Modality", "MR" if k == 4 else "CT"))
    assert "IM0004.dcm: is of modality MR, IM0000.dcm of CT" in str(refusal(stack.write(tmp_path)))


@pytest.mark.parametrize("sop_class", [SECONDARY_CAPTURE_CLASS, UID("1.2.3.4.5")])
def test_an_image_of_any_class_that_says_its_place_is_a_slice(tmp_path, sop_class):
    series = read_series(Stack(sop_class=sop_class).write(tmp_path))
    assert series.volume.shape == (8, 7, 6) and series.remarks == ()


# Places


@pytest.mark.parametrize(
    ("keyword", "values", "what"),
    [
        ("StudyInstanceUID", ("1.2.3", "1.2.4"), "study"),
        ("StudyDate", ("20240101", "20240301"), "study date"),
        ("AcquisitionDate", ("20240101", "20240301"), "acquisition date"),
    ],
)
def test_slices_of_one_series_and_of_two_scans_are_said(tmp_path, keyword, values, what):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, keyword, values[k // 5]))
    (remark,) = read_series(stack.write(tmp_path)).remarks
    assert remark.startswith(f"IM0005.dcm: another {what} than IM0000.dcm")


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_pixels_of_real_numbers_are_called_so(tmp_path, keyword):
    def edit(dataset, k):
        del dataset.PixelData
        size = 4 if keyword == "FloatPixelData" else 8
        setattr(dataset, keyword, bytes(size * dataset.Rows * dataset.Columns))

    assert f"holds its pixels as {keyword}, which is not read" in str(
        refusal(Stack(edit=edit).write(tmp_path))
    )


def test_another_frame_of_reference_is_said(tmp_path):
    stack = Stack(edit=lambda dataset, k: setattr(dataset, "FrameOfReferenceUID", f"1.2.{k // 5}"))
    (remark,) = read_series(stack.write(tmp_path)).remarks
    assert remark.startswith("IM0005.dcm: another frame of reference than IM0000.dcm")


@pytest.mark.parametrize("tilt_deg", [0.05, -0.09])
def test_a_slight_tilt_is_kept_in_the_affine(tmp_path, tilt_deg):
    shift = 2.5 * np.tan(np.radians(tilt_deg))
    volume = read_series(Stack(step_mm=(0.0, shift, 2.5)).write(tmp_path)).volume
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -shift, 2.5], atol=1e-9)


# Slices on no straight grid of equal steps

SLOPES = np.array([0.8, -0.6, 1.1])
"""Of values that grow evenly through the world, so that any right interpolation gives them back."""


def even_stack(positions_mm, **others):
    """Return slices at given places in LPS mm whose values are `SLOPES @ place`, in tenths."""
    row, column = np.reshape(others.get("orientation", AXIAL), (2, 3))
    x, y = np.meshgrid(np.arange(40.0), np.arange(30.0))
    in_plane = x[..., np.newaxis] * row * 0.75 + y[..., np.newaxis] * column * 1.5
    stored = np.stack([np.rint(10 * (in_plane + place) @ SLOPES) for place in positions_mm]).astype(int)
    return Stack(
        stored=stored,
        layout=Layout(is_signed=True),
        slope=always(0.1),
        intercept=always(0.0),
        edit=lambda dataset, k: setattr(dataset, "ImagePositionPatient", list(map(float, positions_mm[k]))),
        **others,
    )


def assert_values_grow_evenly(volume, positions_mm, *, smallest_share):
    """Hold the values of every voxel that lies among the slices against its place."""
    indices = np.indices(volume.shape).reshape(3, -1).T
    places = volume.world_from_voxel(indices) * [-1, -1, 1]
    values = volume.array[tuple(indices.T)]
    is_outside = values == volume.array.min()
    assert is_outside.mean() < 1 - smallest_share
    away = np.abs(values - places @ SLOPES)
    assert np.median(away) < 0.06  # stored in tenths
    # Pixels at the border of a shifted slice are mixed with what lies outside.
    assert (away > 0.11).mean() < 1 - smallest_share
    assert places[:, 2].min() == pytest.approx(min(positions_mm[:, 2]), abs=1e-6)
    assert places[:, 2].max() == pytest.approx(max(positions_mm[:, 2]), abs=1e-6)


@pytest.mark.parametrize("tilt_deg", [5.0, -20.0])
def test_a_tilted_gantry_is_straightened_and_said(tmp_path, tilt_deg):
    steps = np.arange(9.0)[:, np.newaxis] * [0.0, 2.5 * np.tan(np.radians(tilt_deg)), 2.5]
    positions = steps + np.array([-10.0, -20.0, 30.0])
    series = read_series(even_stack(positions).write(tmp_path))
    assert series.remarks == (
        f"was acquired with a gantry tilt of {abs(tilt_deg):.1f} degrees; resampled onto a straight grid with slices "
        "every 2.5 mm, by the exact places of the slices.",
    )
    np.testing.assert_allclose(series.volume.affine[:3, :3], np.diag([-0.75, -1.5, 2.5]), atol=1e-9)
    assert_values_grow_evenly(series.volume, positions, smallest_share=0.75)


def test_unequal_gaps_are_straightened_and_said(tmp_path):
    heights = np.array([0, 2.5, 5, 7.5, 12.5, 13.75, 15, 17.5, 20])
    positions = np.stack([0 * heights, 0 * heights, heights], axis=1)
    series = read_series(even_stack(positions).write(tmp_path))
    assert series.remarks == (
        "has unequal slice gaps: 5.000 mm between IM0003.dcm and IM0004.dcm, 2.500 mm elsewhere; resampled onto a "
        "straight grid with slices every 2.5 mm, by the exact places of the slices.",
    )
    assert series.volume.shape == (40, 30, 9)
    assert_values_grow_evenly(series.volume, positions, smallest_share=0.98)


def test_tilt_and_gaps_at_once_in_an_oblique_series(tmp_path):
    heights = np.array([0.0, 3.0, 6.0, 12.0, 15.0, 18.0])
    row, column = np.array([0.8, 0.6, 0.0]), np.array([-0.6, 0.8, 0.0])
    positions = np.outer(heights, [0, 0, 1.0]) + np.outer(heights, 0.3 * column)
    stack = even_stack(positions, orientation=(*row, *column))
    series = read_series(stack.write(tmp_path))
    assert "gantry tilt of 16.7 degrees and has unequal slice gaps: 6.000 mm" in series.remarks[0]
    assert_values_grow_evenly(series.volume, positions, smallest_share=0.7)


def test_stored_slices_that_lie_on_the_straight_grid_keep_their_values(tmp_path):
    folder = Stack().write(tmp_path)
    (folder / "IM0003.dcm").unlink()
    volume = read_series(folder).volume
    expected = grey_ramp().transpose(2, 1, 0) - 1024
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, expected)  # slice 3 is the mean of its neighbours


def test_a_gap_larger_than_allowed_is_refused(tmp_path):
    folder = Stack().write(tmp_path)
    (folder / "IM0003.dcm").unlink()
    with pytest.raises(InputFileError, match=r"a slice is missing\. Gaps of up to 4 mm are interpolated"):
        read_series(folder, largest_gap_mm=4.0)


def test_a_shift_that_no_gantry_makes_is_refused(tmp_path):
    folder = Stack(step_mm=(0.0, 5.0, 2.5)).write(tmp_path)
    assert "as by a gantry tilt of 63 degrees, which no scanner has" in str(refusal(folder))


def moved(number, **shifts_mm):
    """Return an edit that moves one slice along axes of LPS."""

    def edit(dataset, k):
        if k == number:
            position = [float(value) for value in dataset.ImagePositionPatient]
            for axis, shift in shifts_mm.items():
                position["xyz".index(axis)] += shift
            dataset.ImagePositionPatient = position

    return edit


def test_a_gap_names_the_slices_beside_it_and_what_was_left_out(tmp_path):
    folder = Stack(step_mm=(0, 0, 6.0)).write(tmp_path)
    (folder / "IM0003.dcm").rename(folder / "not_this.txt")
    (folder / "not_this.txt").write_text("notes", encoding="utf-8")
    told = str(refusal(folder))
    assert "has unequal slice gaps: 12.000 mm between IM0002.dcm and IM0004.dcm, 6.000 mm elsewhere" in told
    assert "Left out not_this.txt: not a DICOM file." in told


@pytest.mark.parametrize(
    ("shifts_mm", "problem"),
    [
        ({"x": 4.0}, "IM0003.dcm: lies "),
        ({"z": -2.5}, "IM0003.dcm: lies at the same place as IM0002.dcm, with other values"),
    ],
    ids=["beside", "same place"],
)
def test_a_slice_out_of_place_is_refused(tmp_path, shifts_mm, problem):
    assert problem in str(refusal(Stack(edit=moved(3, **shifts_mm)).write(tmp_path)))


def test_gaps_that_drift_are_straightened(tmp_path):
    """Each gap differs by 0.6 % from the next, the middle slices by 0.9 mm from equal steps."""
    heights = np.array([sum(2.5 * (1 + 0.006 * number) for number in range(k)) for k in range(20)])
    positions = np.stack([0 * heights, 0 * heights, heights], axis=1)
    series = read_series(even_stack(positions).write(tmp_path))
    assert "has unequal slice gaps" in series.remarks[0]
    assert_values_grow_evenly(series.volume, positions, smallest_share=0.98)


def test_a_rounded_position_is_accepted_and_said_where_it_matters(tmp_path):
    series = read_series(Stack(edit=moved(3, z=0.03)).write(tmp_path))
    (remark,) = series.remarks
    assert remark.startswith("IM0003.dcm lies 0.02")
    assert read_series(Stack(edit=moved(3, z=0.005)).write(tmp_path)).remarks == ()


@pytest.mark.parametrize("order", ["numbered backwards", "named at random"])
def test_the_place_follows_positions_not_names_and_numbers(tmp_path, order):
    names = [5, 4, 3, 2, 1, 0] if order == "numbered backwards" else [3, 0, 5, 1, 4, 2]
    stack = Stack(
        name=lambda k: f"{names[k]}", edit=lambda dataset, k: setattr(dataset, "InstanceNumber", names[k])
    )
    volume = read_series(stack.write(tmp_path)).volume
    np.testing.assert_array_equal(volume.array, grey_ramp().transpose(2, 1, 0) - 1024)


# Files that are no slices


def single(**tags):
    dataset = Stack(series=OTHER_SERIES).dataset(2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def capture(**tags):
    """Return a secondary capture without a place, as a dose screen is."""
    dataset = single(SOPClassUID=SECONDARY_CAPTURE_CLASS, **tags)
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    return dataset


LEFT_OUT = {
    "dose": (single(SOPClassUID=DOSE_CLASS, Modality="RTDOSE"), "an object of the kind RT Dose Storage"),
    "frames of dose": (
        single(SOPClassUID=DOSE_CLASS, Modality="RTDOSE", NumberOfFrames=3),
        "an object of the kind RT Dose Storage",
    ),
    "report": (plain_object(REPORT_CLASS, modality="SR"), "an object of the kind Basic Text SR Storage"),
    "report in the series": (
        plain_object(REPORT_CLASS, modality="SR", series=SERIES),
        "an object of the kind Basic Text SR Storage",
    ),
    "segmentation": (
        single(SOPClassUID=SEGMENTATION_CLASS, Modality="SEG"),
        "an object of the kind Segmentation Storage",
    ),
    "dicomdir": (plain_object(DICOMDIR_CLASS), "a table of contents (DICOMDIR)"),
    "localizer": (single(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "a localizer"),
    "localizer in the series": (
        single(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID=SERIES),
        "a localizer",
    ),
    "dose screen": (
        capture(),
        "an image of the kind Secondary Capture Image Storage that does not state its position",
    ),
    "dose screen in the series": (
        capture(SeriesInstanceUID=SERIES),
        "an image of the kind Secondary Capture Image Storage that does not state its position",
    ),
    "colour": (single(PhotometricInterpretation="PALETTE COLOR"), "a colour picture (PALETTE COLOR)"),
    "film": (
        single(SOPClassUID=ENHANCED_CT_CLASS, NumberOfFrames=12),
        "a multi-frame file (12 frames, Enhanced CT Image Storage)",
    ),
    "one image": (single(), 'the one image of series 2 "Test 2" (1 image, CT)'),
    "raw data": (
        plain_object(UID("1.2.840.10008.5.1.4.1.1.66")),
        "an object of the kind Raw Data Storage",
    ),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_is_no_slice_is_left_out_and_said(tmp_path, kind):
    folder = Stack().write(tmp_path)
    other, reason = LEFT_OUT[kind]
    save(other, folder / "IM0006.dcm")
    series = read_series(folder)
    (remark,) = series.remarks
    assert remark.startswith(f"Left out IM0006.dcm: {reason}")
    np.testing.assert_array_equal(series.volume.array, grey_ramp().transpose(2, 1, 0) - 1024)


def test_files_of_other_kinds_are_left_out_in_one_sentence_a_kind(tmp_path):
    folder = Stack(name="slice{:d}".format).write(tmp_path)
    for name in ("a.txt", "b.jpg", "._slice3"):
        (folder / name).write_bytes(b"anything")
    (folder / "reports").mkdir()
    (folder / "lock.tmp").touch()
    assert read_series(folder).remarks == (
        "Left out ._slice3, a.txt, b.jpg: not a DICOM file.",
        "Left out lock.tmp: an empty file.",
        "Left out reports: a folder.",
    )


def test_a_copy_of_a_slice_is_left_out_and_said(tmp_path):
    folder = Stack().write(tmp_path)
    dataset = pydicom.dcmread(folder / "IM0002.dcm")
    dataset.SOPInstanceUID = "1.2.3.4"
    save(dataset, folder / "IM0099.dcm")
    series = read_series(folder)
    assert series.remarks == ("Left out IM0099.dcm: the same as IM0002.dcm.",)
    assert series.volume.shape == (8, 7, 6)


def test_two_phases_in_one_series_are_refused_and_told_apart(tmp_path):
    for phase in (1, 2):
        stack = Stack(stored=grey_ramp() + phase, name=lambda k, phase=phase: f"{phase}_{k}.dcm")
        stack.edit = edited(TemporalPositionIdentifier=phase)
        stack.write(tmp_path)
    told = str(refusal(tmp_path))
    assert told.startswith(f"{tmp_path}/2_0.dcm: lies at the same place as 1_0.dcm, with other values")
    assert "(TemporalPositionIdentifier 1 and 2): 12 images at 6 places" in told


def test_several_series_are_listed(tmp_path):
    Stack().write(tmp_path)
    Stack(stored=grey_ramp(3), series=OTHER_SERIES, name="other{:d}.dcm".format, modality="PT").write(
        tmp_path
    )
    assert str(refusal(tmp_path)) == (
        f'{tmp_path}: holds 2 DICOM series, expected one: series 1 "Test 1" (6 images, CT), series 2 "Test 2" '
        "(3 images, PT); --series takes one, such as --series 1"
    )
    assert read_series(tmp_path, series="1").modality_word == "CT"
    other = read_series(tmp_path, series=OTHER_SERIES)
    assert (other.modality_word, other.volume.shape[2]) == ("PT", 3)
    assert other.remarks == (
        "Left out IM0000.dcm, IM0001.dcm, IM0002.dcm, IM0003.dcm, IM0004.dcm, IM0005.dcm: "
        'images of series 1 "Test 1" (6 images, CT).',
    )
    with pytest.raises(InputFileError, match='holds no series 7, but series 1 "Test 1"'):
        read_series(tmp_path, series="7")


# Folders without a series


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        (single(SOPClassUID=ENHANCED_CT_CLASS, NumberOfFrames=12), "is a multi-frame file (12 frames"),
        (single(NumberOfFrames=4), "is a multi-frame file (4 frames, CT Image Storage)"),
        (single(PhotometricInterpretation="RGB", SamplesPerPixel=3), "is a colour picture (RGB)"),
    ],
)
def test_a_single_file_of_another_kind_is_called_that(tmp_path, dataset, problem):
    save(dataset, tmp_path / "only.dcm")
    assert str(refusal(tmp_path)).startswith(f"{tmp_path}/only.dcm: {problem}")


def test_a_folder_without_slices_says_what_it_holds(tmp_path):
    told = str(refusal(tmp_path))
    assert (
        told.startswith(f"{tmp_path}: holds no DICOM series that can be read")
        and "The folder is empty" in told
    )
    save(plain_object(DICOMDIR_CLASS), tmp_path / "DICOMDIR")
    (tmp_path / "series1").mkdir()
    told = str(refusal(tmp_path))
    assert "Left out DICOMDIR: a table of contents (DICOMDIR). Left out series1: a folder." in told


def odd_slices(keyword, usual, odd, places):
    """Return an edit that gives slices at some places another value of a tag."""
    return lambda dataset, k: setattr(dataset, keyword, odd if k in places else usual)


@pytest.mark.parametrize(
    ("keyword", "usual", "odd", "places"),
    [
        ("ImageType", ["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY"], {4}),
        ("SliceThickness", "2.5", "5", {3, 4, 5}),
        ("KVP", "120", "120.0", {1, 3, 5}),
        ("SliceThickness", "2.5", "5", {2, 5}),
    ],
)
def test_slices_that_say_something_else_are_of_the_volume_that_their_images_continue(
    tmp_path, keyword, usual, odd, places
):
    """Of a body that begins and ends within the scan: neighbours differ more in its middle than at the ends."""
    body = 1000 * np.sin(np.linspace(0, np.pi, 9)) ** 8
    rows = np.linspace(0, 1, 7)[:, np.newaxis] + np.linspace(0, 2, 8)
    stored = np.rint(rows * body[:, np.newaxis, np.newaxis]).astype(int)
    folder = Stack(stored=stored, edit=odd_slices(keyword, usual, odd, places)).write(tmp_path)
    assert read_series(folder).volume.shape == (8, 7, 9)


def test_three_parts_of_slices_at_unequal_distances_are_one_volume(tmp_path):
    """A neck in slices of half the distance."""
    heights_mm = [0, 5, 10, 15, 17.5, 20, 22.5, 25, 30, 35, 40]

    def edit(dataset, k):
        dataset.ImagePositionPatient = [-10, -20, heights_mm[k]]
        dataset.SliceThickness = "2.5" if 15 < heights_mm[k] < 25 else "5"

    read_series(Stack(stored=grey_ramp(len(heights_mm)), edit=edit).write(tmp_path), largest_gap_mm=5)


def test_a_folder_of_other_volumes_names_one(tmp_path):
    for name in ("ct.nii.gz", "notes.txt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert "name a file with a volume, such as ct.nii.gz, or such a folder" in str(refusal(tmp_path))


def test_one_slice_is_no_volume(tmp_path):
    assert "holds 1 slice, expected 2 or more" in str(refusal(Stack(stored=grey_ramp(1)).write(tmp_path)))


# Slices that cannot be read


def test_all_slices_that_are_cut_short_are_named(tmp_path):
    folder = Stack().write(tmp_path)
    for number in (3, 4, 5):
        path = folder / f"IM{number:04d}.dcm"
        path.write_bytes(path.read_bytes()[:-30])
    told = str(refusal(folder))
    assert told.startswith(f"{folder}/IM0003.dcm: is cut short: 82 of 112 bytes of pixels")
    assert "(and IM0004.dcm, IM0005.dcm too)" in told


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"<html>",
        lambda content: content[:250],
        lambda content: content[:140],
    ],
    ids=["empty", "other content", "half a header", "only the start"],
)
@pytest.mark.parametrize("name", ["IM{:04d}.dcm", "slice{:d}", "1.2.840.{:d}"])
def test_every_second_slice_unreadable_is_named(tmp_path, damage, name):
    folder = Stack(name=name.format).write(tmp_path)
    broken = [folder / name.format(number) for number in (1, 3, 5)]
    for path in broken:
        path.write_bytes(damage(path.read_bytes()))
    told = str(refusal(folder))
    assert told.startswith(f"{broken[0]}: looks like a slice of the series")
    assert all(path.name in told for path in broken)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    folder = Stack().write(tmp_path)
    (folder / "IM0005.dcm").unlink()
    (folder / "IM0005.dcm").symlink_to("absent")
    assert f"{folder}/IM0005.dcm: looks like a slice" in str(refusal(folder))


def test_a_slice_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    folder = Stack().write(tmp_path)
    opened = Path.open

    def open_or_deny(path, *arguments, **options):
        if path.name == "IM0002.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_or_deny)
    assert f"{folder}/IM0002.dcm: cannot be read: Permission denied" in str(refusal(folder))


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"ImagePositionPatient": [1.0, 2.0]}, r"has 1.0\2.0 for ImagePositionPatient, expected 3 numbers"),
        ({"ImagePositionPatient": ["1e30", 0, 0]}, "has 1e30"),
        ({"PixelSpacing": [0.0, 1.0]}, r"has the pixel spacing 0.0\1.0, expected more than 0"),
        ({"PixelSpacing": [-1.0, 1.0]}, r"has the pixel spacing -1.0\1.0, expected more than 0"),
        ({"PixelSpacing": ""}, "has nothing for PixelSpacing, expected 2 numbers"),
        (
            {"ImageOrientationPatient": [0.0] * 6},
            r"has the directions 0.0\0.0\0.0\0.0\0.0\0.0, expected two unit vectors",
        ),
        ({"ImageOrientationPatient": ""}, "has nothing for ImageOrientationPatient, expected 6 numbers"),
        ({"Rows": 0}, "has 0 rows and 8 columns"),
        ({"Columns": 1}, "has 7 rows and 1 columns"),
    ],
)
def test_a_slice_that_does_not_say_its_place_is_named(tmp_path, tags, problem):
    folder = Stack(edit=edited(**tags)).write(tmp_path)
    assert f"IM0000.dcm: {problem}" in str(refusal(folder))


def test_slices_without_preamble_are_read(tmp_path):
    folder = Stack().write(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    assert not any(b"DICM" in path.read_bytes()[:132] for path in folder.iterdir())
    array = read_series(folder).volume.array
    np.testing.assert_array_equal(array, grey_ramp().transpose(2, 1, 0) - 1024)


@pytest.mark.slow
def test_nothing_reaches_standard_error(tmp_path):
    """Values that break the standard, an odd character set and a gap, read by a program of its own."""
    stack = Stack(edit=edited(SpecificCharacterSet="ISO_IR 999", SeriesNumber="1.5", PatientAge="old"))
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = stack.write(tmp_path)
    code = f"from tests.dicom_slices import read_series; from pathlib import Path; read_series(Path({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


# A real series


@pytest.mark.real_data
def test_the_real_series_is_where_its_tags_say():
    folder = real_data("dicom/head_phantom_5mm")
    series = read_series(folder)
    assert (series.modality, series.has_rescale, series.remarks) == ("ct", True, ())
    paths = sorted(folder.iterdir())
    assert series.volume.shape == (512, 512, len(paths))
    pixels = np.random.default_rng(0).integers(0, 512, (40, 2))
    for path in paths:
        dataset = pydicom.dcmread(path)
        places = [place_by_tags(dataset, row=row, column=column) for row, column in pixels]
        nearest = np.rint(series.volume.voxel_from_world(places)).astype(int)
        np.testing.assert_allclose(series.volume.world_from_voxel(nearest), places, atol=0.01)
        values = [value_by_tags(dataset, row=int(row), column=int(column)) for row, column in pixels]
        np.testing.assert_array_equal(series.volume.array[tuple(nearest.T)], values)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_tilted_series_is_straightened():
    """Pixels that a stored slice and the grid share in height have the value that their tags give."""
    folder = real_data("dicom/head_phantom_tilted")
    series = read_series(folder)
    assert re.search(r"gantry tilt of 16\.5 degrees", series.remarks[-1])
    volume = series.volume
    smooth = []
    for path in sorted(folder.iterdir())[::7]:
        dataset = pydicom.dcmread(path)
        for row, column in ((200, 200), (256, 256), (300, 280)):
            place = place_by_tags(dataset, row=row, column=column)
            voxel = volume.voxel_from_world(place)
            sampled = map_coordinates(volume.array.astype(float), voxel.reshape(3, 1), order=1)[0]
            smooth.append(abs(sampled - value_by_tags(dataset, row=row, column=column)))
    assert np.median(smooth) < 10.0


def test_directions_that_are_rounded_do_not_stretch_the_image(tmp_path):
    """A converter that keeps 3 digits writes vectors of other lengths than 1; 0.05 % of 400 mm is 0.2 mm."""
    rounded = (0.8656, 0.4998, 0.0, -0.4998, 0.8656, 0.0)  # of 30 degrees, both 0.9995 long
    stack = Stack(orientation=rounded, between_rows_mm=50.0, between_columns_mm=50.0)
    affine = read_series(stack.write(tmp_path)).volume.affine
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :2], axis=0), 50.0, atol=1e-6)
