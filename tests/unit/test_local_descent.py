"""The steps of the refinement: what is sampled, where a pass of the descent leads, and whether it is believed."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from anatomical_embedding.matching import descent_passes, local_descent
from anatomical_embedding.matching.descent_passes import descended
from anatomical_embedding.matching.local_correlation import around_points
from anatomical_embedding.matching.local_cubes import sample_cubes, steps_mm
from anatomical_embedding.matching.local_descent import Descent
from anatomical_embedding.matching.local_lattice import Lattice, lattice_splines
from anatomical_embedding.volumes.volume import Volume
from tests.refinement_scans import SETTINGS, SIZE, scan, straight


@pytest.mark.parametrize("turn_degrees", [0, 20])
def test_samples_among_nothing_but_one_value_are_not_seen(turn_degrees):
    affine = straight()
    affine[:3, :3] = Rotation.from_euler("z", turn_degrees, degrees=True).as_matrix() @ affine[:3, :3]
    array = np.random.default_rng(6).normal(-1000.0, 20.0, (SIZE, SIZE, SIZE)).clip(-1024)
    noisy_air = Volume(array, affine)
    array = np.where(np.arange(SIZE)[:, np.newaxis, np.newaxis] < SIZE / 2, -1024.0, array).astype(np.int16)
    filled = Volume(array, affine)
    steps = steps_mm(20, step_mm=5)
    centre = filled.world_from_voxel([[SIZE / 2] * 3])
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    along = filled.voxel_from_world((offsets + centre[0]).reshape(-1, 3))[:, 0].reshape(offsets.shape[:3])
    seen = sample_cubes(filled, centre, steps, blur_mm=2.5).is_inside[0]
    assert not seen[along < SIZE / 2 - 7].any() and seen[along > SIZE / 2].all()
    assert sample_cubes(noisy_air, centre, steps, blur_mm=2.5).is_inside.all()


def test_a_straight_scan_is_sampled_as_a_turned_one():
    generator = np.random.default_rng(0)
    affine = np.array([[0, 2.0, 0, -10], [-1.5, 0, 0, 5], [0, 0, 0.8, -20], [0, 0, 0, 1]])
    straight_scan = Volume(generator.standard_normal((20, 22, 40)).astype(np.float32), affine)
    turned = affine.copy()
    turned[:3, :3] = (
        Rotation.from_rotvec([0, 0, 2e-4]).as_matrix() @ affine[:3, :3]
    )  # too far to count as straight
    centres = straight_scan.world_from_voxel([[9.3, 11.2, 12.6], [1, 2, 3], [19, 21, 39.0]])
    first, second = (
        sample_cubes(Volume(straight_scan.array, matrix), centres, steps_mm(8, step_mm=2), blur_mm=1.5)
        for matrix in (affine, turned)
    )
    np.testing.assert_allclose(first.values, second.values, atol=0.02)
    assert np.mean(first.is_inside != second.is_inside) < 0.01
    assert 0.3 < first.is_inside.mean() < 0.8


@pytest.mark.filterwarnings("error")
def test_nothing_is_seen_of_no_place_and_beyond_the_scan():
    volume = scan(straight(), (20, 20, 20))
    middle = volume.world_from_voxel([[10, 10, 10]])
    steps = steps_mm(4, step_mm=2)
    assert sample_cubes(volume, np.zeros((0, 3)), steps, blur_mm=1.0).values.shape == (0, 5, 5, 5)
    lost = np.vstack([middle + 1e4, middle, middle * np.nan])
    found, alone = (
        sample_cubes(volume, lost, steps, blur_mm=1.0),
        sample_cubes(volume, middle, steps, blur_mm=1.0),
    )
    assert found.is_inside.any(axis=(1, 2, 3)).tolist() == [False, True, False]
    np.testing.assert_array_equal(found.values[1], alone.values[0])


def test_samples_are_the_interpolated_voxels():
    volume = Volume(
        gaussian_filter(np.random.default_rng(4).standard_normal((20, 22, 24)), 1).astype(np.float32),
        np.array(
            [[0.0, 2.0, 0.0, -10.0], [-1.5, 0.0, 0.0, 5.0], [0.0, 0.0, 3.0, -20.0], [0.0, 0.0, 0.0, 1.0]]
        ),
    )
    centre = volume.world_from_voxel([[9.3, 11.2, 12.6]])
    cubes = sample_cubes(volume, centre, steps_mm(4, step_mm=2), blur_mm=0.0)
    offsets = np.stack(np.meshgrid(*[np.arange(-4.0, 4.1, 2)] * 3, indexing="ij"), axis=-1)
    places = volume.voxel_from_world((offsets + centre[0]).reshape(-1, 3))
    expected = map_coordinates(volume.array, places.T, order=3, mode="nearest").reshape(5, 5, 5)
    np.testing.assert_allclose(cubes.values[0], expected, atol=2e-3)
    assert cubes.is_inside.all()


def test_voxels_are_merged_where_the_blur_hides_them():
    affine = np.diag([0.5, 0.4, 0.6, 1.0])
    fine = Volume(gaussian_filter(np.random.default_rng(4).normal(0, 100, (90, 90, 90)), 4), affine)
    centre = fine.world_from_voxel([[44.3, 45.2, 44.6]])
    cubes = sample_cubes(fine, centre, steps_mm(4, step_mm=2), blur_mm=1.0)
    lacking = np.sqrt(1.0 - 0.3**2 * np.diag(affine)[:3] ** 2) / np.diag(affine)[:3]
    blurred = gaussian_filter(fine.array, lacking, mode="nearest")
    offsets = np.stack(np.meshgrid(*[np.arange(-4.0, 4.1, 2)] * 3, indexing="ij"), axis=-1)
    places = fine.voxel_from_world((offsets + centre[0]).reshape(-1, 3))
    expected = map_coordinates(blurred, places.T, order=3).reshape(5, 5, 5)
    np.testing.assert_allclose(cubes.values[0], expected, atol=0.05 * expected.std())


def test_splines_through_a_wave_have_its_slopes_bends_and_blur():
    affine = np.array([[0, 2.0, 0, -60], [-1.5, 0, 0, 70], [0, 0, 2.5, -70], [0, 0, 0, 1]])
    wave = np.array([0.2, 0.1, 0.15])  # radians a mm
    grid = np.stack(np.meshgrid(*[np.arange(70.0)] * 3, indexing="ij"), axis=-1)
    volume = Volume(np.sin((grid @ affine[:3, :3].T + affine[:3, 3]) @ wave), affine)
    middle = np.array([[3.0, 4.0, -2.0]])
    splines = lattice_splines(volume, middle, middle, radius_mm=10.0, step_mm=2.5, lattice_of=volume)
    places = np.random.default_rng(0).uniform(-5.0, 5.0, (1, 20, 3))
    phase = (places + middle) @ wave
    asked = splines.places(
        torch.from_numpy(places.astype(np.float32)), place_mm=torch.zeros(1, 3), matrix=torch.eye(3)[None]
    )
    np.testing.assert_allclose(splines.values(asked), np.sin(phase), atol=0.01)
    slopes, bends = splines.derivatives(asked)
    np.testing.assert_allclose(slopes, np.cos(phase)[..., None] * wave, atol=0.02)
    along_box = wave[[1, 0, 2]]
    np.testing.assert_allclose(bends, -np.sin(phase)[..., None] * along_box**2, atol=0.005)
    half_mm2 = np.array([[2.0, 1.0, 3.0]])
    less = np.exp(-np.sum(half_mm2 * along_box**2))
    np.testing.assert_allclose(splines.blurred(half_mm2).values(asked), less * np.sin(phase), atol=0.02)


@pytest.mark.parametrize(("second", "is_taken"), [(0.99992, True), (0.9998, False)])
def test_a_pass_that_loses_what_the_one_before_had_found_is_not_taken(second, is_taken, monkeypatch):
    steps = iter(
        Descent(
            shift_mm=np.array([[shift, 0.0, 0.0]]),
            matrices=torch.eye(3)[np.newaxis],
            correlation=np.array([correlation]),
            gain=np.array([1e4]),
        )
        for shift, correlation in ((1.0, 0.99999), (0.5, second))
    )
    monkeypatch.setattr(descent_passes, "descend", lambda *_, **__: next(steps))
    shift_mm = descended(None, None, np.zeros((1, 3)), left_out_mm=np.zeros(1), settings=SETTINGS.descent)
    assert shift_mm[0, 0] == (1.5 if is_taken else 1.0)


@pytest.mark.parametrize(
    ("way_mm", "correlation", "is_taken"),
    [
        (1.2, 0.81, True),
        (1.2, 0.79, False),
        (2.4, 0.91, True),
        (2.9, 0.91, False),
        (4.9, 0.94, False),
        (4.9, 0.96, True),
        (5.1, 0.99, False),
    ],
)
def test_the_farther_a_pass_goes_the_more_it_has_to_explain(way_mm, correlation, is_taken, monkeypatch):
    """The reach of the first pass is 5 mm."""
    found = Descent(
        shift_mm=np.array([[0.0, way_mm, 0.0]]),
        matrices=torch.eye(3)[np.newaxis],
        correlation=np.array([correlation]),
        gain=np.array([1e4]),
    )
    monkeypatch.setattr(descent_passes, "descend", lambda *_, **__: found)
    first_alone = SETTINGS.descent.model_copy(update={"passes": SETTINGS.descent.passes[:1]})
    shift_mm = descended(None, None, np.zeros((1, 3)), left_out_mm=np.zeros(1), settings=first_alone)
    assert shift_mm[0, 1] == (way_mm if is_taken else 0.0)


def test_a_middle_that_changed_does_not_count_in_the_first_pass_alone(monkeypatch):
    left_out = []

    def found(*_, left_out_mm, **__):
        left_out.append(left_out_mm.tolist())
        return Descent(np.zeros((2, 3)), torch.eye(3).repeat(2, 1, 1), np.ones(2), np.ones(2))

    monkeypatch.setattr(descent_passes, "descend", found)
    descended(None, None, np.zeros((2, 3)), left_out_mm=np.array([0.0, 18.0]), settings=SETTINGS.descent)
    assert left_out == [[0.0, 18.0], [0.0, 0.0]]


def test_what_a_pass_explains_is_counted_over_the_samples_seen_at_both_of_its_ends():
    """Of what the start alone sees half agrees; beyond the end of the scan nothing is known at the end."""
    known = torch.tensor([[1.0, 2.0, 3.0, 4.0, 50.0]])
    fixed = Lattice(known, torch.zeros(1, 5, 3), torch.ones(1, 5))

    class Moving:
        """Values at the start (x = 0) and at the end (x = 1), where the last sample lies beyond the scan."""

        def values(self, places):
            at_start = torch.tensor([[4.0, 3.0, 2.0, 1.0, 50.0]])
            return torch.where(places[..., 0] < 0.5, at_start, known)

        def places(self, offsets_mm, *, place_mm, matrix):
            return place_mm[:, None] + offsets_mm @ matrix.mT

        def bends(self, places):
            return torch.zeros(places.shape)

        def holds(self, places):
            is_last = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0]])
            return 1.0 - is_last * (places[..., 0] > 0.5)

    fit = local_descent._Fit(fixed, Moving(), left_out_mm=np.zeros(1), deviation_mm=6.0, stiffness=0.1)
    start = local_descent._Pose(torch.zeros(1, 3), torch.eye(3)[np.newaxis], torch.zeros(1, 3))
    end = start._replace(place=torch.tensor([[1.0, 0.0, 0.0]]))
    before, after = fit._correlations(fit._glance(start), fit._glance(end))
    assert before.item() == pytest.approx(-1.0)
    assert after.item() == pytest.approx(1.0)


def test_organs_among_fat_are_found_from_half_a_millimetre_off():
    """Fat agrees anywhere; were the edges of organs outliers among it, nothing would tell where to go."""
    places = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), axis=-1) @ straight()[:3, :3]
    errors = []
    for seed in (1, 2, 3, 4):
        generator = np.random.default_rng(seed)
        fat = gaussian_filter(generator.normal(size=(SIZE, SIZE, SIZE)), 2.0)
        organs = np.zeros(fat.shape)
        for middle in generator.uniform(-16.0, 16.0, (6, 3)) - straight()[:3, 3]:
            organs = np.maximum(organs, np.linalg.norm(places - middle, axis=-1) < 5.0)
        array = 5.0 * fat / fat.std() - 100.0 + 150.0 * gaussian_filter(organs, 0.5)
        seen = around_points(
            Volume(array.astype(np.float32), straight()), np.zeros((1, 3)), settings=SETTINGS.correlation
        )
        off_mm = np.array([[0.4, -0.3, 0.3]])
        end = local_descent.descend(
            seen,
            seen,
            off_mm,
            matrices=torch.eye(3)[np.newaxis],
            left_out_mm=np.zeros(1),
            settings=SETTINGS.descent,
            samples=SETTINGS.descent.passes[1],
        )
        errors.append(np.linalg.norm(off_mm + end.shift_mm))
    assert np.median(errors) < 0.02
