"""Where DICOM slices lie: in any order, tilted, at unequal distances, and where that is refused."""

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from tests.dicom_edits import always, edited, refusal
from tests.dicom_slices import AXIAL, Layout, Stack, grey_ramp, read_series


@pytest.mark.parametrize("tilt_deg", [0.05, -0.09])
def test_a_slight_tilt_is_kept_in_the_affine(tmp_path, tilt_deg):
    shift = 2.5 * np.tan(np.radians(tilt_deg))
    volume = read_series(Stack(step_mm=(0.0, shift, 2.5)).write(tmp_path)).volume
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -shift, 2.5], atol=1e-9)


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


def test_directions_that_are_rounded_do_not_stretch_the_image(tmp_path):
    """A converter that keeps 3 digits writes vectors of other lengths than 1; 0.05 % of 400 mm is 0.2 mm."""
    rounded = (0.8656, 0.4998, 0.0, -0.4998, 0.8656, 0.0)  # of 30 degrees, both 0.9995 long
    stack = Stack(orientation=rounded, between_rows_mm=50.0, between_columns_mm=50.0)
    affine = read_series(stack.write(tmp_path)).volume.affine
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :2], axis=0), 50.0, atol=1e-6)
