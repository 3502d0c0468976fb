"""Resampling: the place of every voxel, the averaging, the labels."""

import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from scipy import ndimage

from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.resample import averaging_weights, resample_onto, resample_to_spacing
from anatomical_embedding.volumes.volume import Volume
from tests.reference.resampling import mean_of_linear_interpolant, trilinear_value
from tests.unit.samples import affines, oblique_affine

SHAPE = (13, 9, 11)


def _ramp(volume_shape, affine, *, axis):
    """Return a volume whose value is its world coordinate along one axis."""
    indices = np.stack(np.meshgrid(*map(np.arange, volume_shape), indexing="ij"), axis=-1)
    return Volume(transform_points(affine, indices)[..., axis].astype(np.float32), affine)


@settings(max_examples=40)
@given(
    affine=affines(largest_angle_deg=180.0),
    spacing_mm=strategies.tuples(*[strategies.floats(0.6, 5.0)] * 3),
    axis=strategies.integers(0, 2),
)
def test_every_new_voxel_holds_the_world_coordinate_of_its_own_centre(affine, spacing_mm, axis):
    """The sharpest test of a half-voxel shift: a ramp of world coordinates must stay that ramp."""
    volume = _ramp((12, 14, 16), affine, axis=axis)
    resampled = resample_to_spacing(volume, spacing_mm=spacing_mm, is_label=False)
    expected = _ramp(resampled.shape, resampled.affine, axis=axis)
    strides = np.array(spacing_mm) / volume.spacing_mm
    reach = np.sqrt(np.maximum(strides**2 - 1, 0)) / 2  # windows that leave the volume see its edge repeated
    centres = [
        (np.arange(size) + 0.5) * stride - 0.5 for size, stride in zip(resampled.shape, strides, strict=True)
    ]
    inside = np.ix_(
        *[
            (centre >= window) & (centre <= size - 1 - window)
            for centre, window, size in zip(centres, reach, volume.shape, strict=True)
        ]
    )
    assert np.allclose(resampled.array[inside], expected.array[inside], atol=2e-3)


@settings(max_examples=40)
@given(
    affine=affines(largest_angle_deg=180.0),
    spacing_mm=strategies.tuples(*[strategies.floats(0.6, 5.0)] * 3),
)
def test_the_outer_corner_stays_and_the_far_corner_moves_half_a_voxel_at_most(affine, spacing_mm):
    volume = Volume(np.zeros(SHAPE, np.uint8), affine)
    resampled = resample_to_spacing(volume, spacing_mm=spacing_mm, is_label=True)
    assert np.allclose(resampled.spacing_mm, spacing_mm)
    before, after = (grid.world_from_voxel([(-0.5, -0.5, -0.5)]) for grid in (volume, resampled))
    assert np.allclose(before, after, atol=1e-6)
    lengths_before = np.multiply(volume.shape, volume.spacing_mm)
    lengths_after = np.multiply(resampled.shape, spacing_mm)
    is_shorter_than_half_a_voxel = np.array(resampled.shape) == 1
    assert np.all(
        (np.abs(lengths_after - lengths_before) <= np.array(spacing_mm) / 2 + 1e-6)
        | is_shorter_than_half_a_voxel
    )


@pytest.mark.parametrize("stride", [0.4, 0.9, 1.0, 1.0001, 1.3, 2.0, 2.667, 6.1])
def test_weights_are_the_mean_of_the_linear_interpolant(stride):
    values = np.random.default_rng(1).normal(size=23)
    new_size = round(len(values) / stride)
    weights = averaging_weights(len(values), new_size=new_size, stride=stride)
    expected = mean_of_linear_interpolant(values, new_size=new_size, stride=stride)
    assert np.allclose(weights @ values, expected, atol=2e-4)
    assert np.allclose(weights.sum(axis=1), 1.0, atol=1e-6)


def test_the_same_spacing_changes_nothing():
    array = np.random.default_rng(2).integers(-1000, 1000, SHAPE).astype(np.int16)
    volume = Volume(array, oblique_affine((5, 6, 7), (0.8, 0.8, 5.0)))
    resampled = resample_to_spacing(volume, spacing_mm=(0.8, 0.8, 5.0), is_label=False)
    assert np.allclose(resampled.array, array, atol=0.02)
    assert np.allclose(resampled.affine, volume.affine)


def test_shrinking_averages_what_bare_interpolation_would_alias():
    """A stripe of one bright voxel in three: at a third of the resolution it is grey everywhere."""
    array = np.zeros((90, 6, 6), np.float32)
    array[::3] = 300.0
    resampled = resample_to_spacing(Volume(array, np.eye(4)), spacing_mm=(3.1, 1, 1), is_label=False).array[
        2:-2
    ]
    interpolated = ndimage.map_coordinates(array[:, 0, 0], [np.arange(1.05, 89, 3.1)], order=1)
    assert np.ptp(interpolated) > 280
    assert np.ptp(resampled) < 10
    assert abs(resampled.mean() - 100) < 1


def test_noise_falls_as_by_the_mean_of_the_covered_voxels():
    noise = np.random.default_rng(3).normal(size=(64, 64, 64)).astype(np.float32)
    resampled = resample_to_spacing(Volume(noise, np.eye(4)), spacing_mm=(4, 4, 4), is_label=False).array
    assert resampled.std() == pytest.approx(1 / np.sqrt(4**3), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_flips_and_slabs_do_not_matter(order):
    array = np.random.default_rng(4).normal(size=(20, 18, 60))
    expected = array
    for axis, stride in enumerate((1.5, 0.7, 1.2)):
        size = round(array.shape[axis] / stride)
        expected = np.apply_along_axis(
            mean_of_linear_interpolant, axis, expected, new_size=size, stride=stride, num_samples=501
        )
    flipped = np.asarray(array[::-1], order=order)[::-1]
    resampled = resample_to_spacing(Volume(flipped, np.eye(4)), spacing_mm=(1.5, 0.7, 1.2), is_label=False)
    assert np.allclose(resampled.array, expected, atol=2e-3)


@settings(max_examples=25)
@given(spacing_mm=strategies.tuples(*[strategies.floats(0.4, 4.0)] * 3))
def test_labels_take_the_voxel_that_holds_the_new_centre(spacing_mm):
    array = np.random.default_rng(5).integers(0, 200, (7, 6, 5)).astype(np.uint8)
    resampled = resample_to_spacing(Volume(array, np.eye(4)), spacing_mm=spacing_mm, is_label=True).array
    assert resampled.dtype == np.uint8
    for index in np.ndindex(resampled.shape):
        centre = (np.array(index) + 0.5) * spacing_mm  # from the outer corner, in old voxels
        held = [min(int(c), size - 1) for c, size in zip(centre, array.shape, strict=True)]
        if np.abs(centre - np.rint(centre)).min() > 1e-9:
            assert resampled[index] == array[tuple(held)]


@pytest.mark.parametrize("shear", [0.0, 0.4])
def test_any_grid_gets_the_trilinear_values_of_its_world_positions(shear):
    array = np.random.default_rng(6).normal(size=SHAPE).astype(np.float32)
    volume = Volume(array, oblique_affine((10, 20, -30), (1.0, 2.0, 3.0), (5, -7, 9)))
    grid = oblique_affine((-15, 5, 60), (1.7, 1.1, 2.3))
    grid[0, 1] += shear
    centre_mm = volume.world_from_voxel([6.0, 4.0, 5.0])
    grid[:3, 3] = centre_mm - transform_points(grid, [4.5, 5.0, 4.0])  # the middles meet, the corners do not
    resampled = resample_onto(volume, shape=(9, 10, 8), affine=grid, is_label=False, fill_value=-77.0)
    assert resampled.shape == (9, 10, 8)
    num_inside = num_outside = 0
    for index in np.ndindex(resampled.shape):
        point_vox = volume.voxel_from_world(transform_points(grid, index))
        expected = trilinear_value(array, point_vox)
        if expected is not None:
            num_inside += 1
            assert resampled.array[index] == pytest.approx(expected, abs=1e-4)
        elif np.any(point_vox < -0.51) or np.any(point_vox > np.array(SHAPE) - 0.49):
            num_outside += 1
            assert resampled.array[index] == -77.0
    assert min(num_inside, num_outside) > 40


def test_labels_on_any_grid_keep_type_and_values():
    array = np.random.default_rng(7).integers(0, 400, SHAPE).astype(np.uint16)
    grid = oblique_affine((0, 0, 31), (1.1, 1.2, 1.3), (2.03, 2.01, 2.02))
    resampled = resample_onto(
        Volume(array, np.eye(4)), shape=(6, 6, 6), affine=grid, is_label=True, fill_value=999
    )
    assert resampled.array.dtype == np.uint16
    for index in np.ndindex(6, 6, 6):
        nearest = np.rint(transform_points(grid, index)).astype(int)
        is_inside = np.all((nearest >= 0) & (nearest < SHAPE))
        assert resampled.array[index] == (array[tuple(nearest)] if is_inside else 999)


@pytest.mark.slow
def test_it_is_at_least_eight_times_faster_than_cubic_zoom():
    array = np.asfortranarray(
        np.random.default_rng(8).integers(-1000, 1500, (256, 256, 150)).astype(np.int16)
    )
    volume = Volume(array, np.diag([0.75, 0.75, 1.28, 1.0]))
    ours, zoom = [], []
    for _ in range(3):
        started = time.process_time()
        resampled = resample_to_spacing(volume, spacing_mm=(2, 2, 2), is_label=False)
        ours.append(time.process_time() - started)
        started = time.process_time()
        ndimage.zoom(array, np.divide(resampled.shape, array.shape), order=3, output=np.float32)
        zoom.append(time.process_time() - started)
    assert min(zoom) / min(ours) >= 8
