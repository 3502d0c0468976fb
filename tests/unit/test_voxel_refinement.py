"""Matches moved to the voxel: known shifts, turned headers, growth, and places that the scans cannot tell."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from anatomical_embedding.matching import descent_passes, local_descent, voxel_refinement
from anatomical_embedding.matching.descent_passes import descended
from anatomical_embedding.matching.expected_places import expected_places
from anatomical_embedding.matching.local_correlation import around_points, correlate_shifted
from anatomical_embedding.matching.local_cubes import sample_cubes, steps_mm
from anatomical_embedding.matching.local_descent import Descent
from anatomical_embedding.matching.local_lattice import Lattice, lattice_splines
from anatomical_embedding.matching.local_self_similarity import self_similarity
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.matching.voxel_refinement import refine_matches
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.volume import Volume

SETTINGS = RefinementSettings(
    correlation={
        "half_size_mm": 18,
        "step_mm": 2.5,
        "deviation_mm": 9,
        "blur_steps": 0.5,
        "reach_mm": 12.5,
        "return_reach_mm": 7.5,
    },
    descent={
        "passes": [
            {
                "half_size_mm": 24,
                "min_voxels": 1000,
                "step_mm": 5,
                "blur_mm": 2.5,
                "reach_mm": 5,
                "num_steps": 6,
                "deviation_mm": 12,
            },
            {
                "half_size_mm": 14,
                "min_voxels": 800,
                "step_mm": 2.5,
                "blur_mm": 0,
                "reach_mm": 4,
                "num_steps": 8,
                "deviation_mm": 6,
            },
        ],
        "chance_gain": 1,
        "sure_gain": 4,
        "stiffness": 0.1,
        "min_correlation": 0.9,
    },
    consensus={
        "min_matches": 5,
        "reach_mm": 100,
        "stiffness_mm": 20,
        "smallest_scale_mm": 2,
        "astray_mm": 8,
    },
    min_correlation=0.2,
    max_return_mm=4,
    max_shift_alone_mm=10,
    neighbour_mm=30,
    max_disagreement_mm=4,
    min_neighbours=3,
)
SPACING_MM = 2.0
SIZE = 60


def tissue(points_mm):
    """Return the intensity of an endless tissue at (..., 3) places: waves of many directions, in HU."""
    generator = np.random.default_rng(5)
    total = np.zeros(points_mm.shape[:-1])
    for _ in range(60):
        direction = generator.standard_normal(3)
        length_mm = generator.uniform(14, 60)
        wave = points_mm @ (direction / np.linalg.norm(direction)) * (2 * np.pi / length_mm)
        total += np.sin(wave + generator.uniform(0, 2 * np.pi)) * length_mm / 4
    return total


def scan(affine, shape=(SIZE, SIZE, SIZE), *, source_of=lambda points_mm: points_mm, gain=1.0, offset=0.0):
    """Return the tissue on a grid; `source_of` says which place of the tissue lies at a place of the scan."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points_mm = grid @ affine[:3, :3].T + affine[:3, 3]
    return Volume((gain * tissue(source_of(points_mm)) + offset).astype(np.float32), affine)


def straight():
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (SIZE - 1) / 2
    return affine


@pytest.fixture
def queries():
    return np.random.default_rng(1).uniform(-25, 25, (12, 3))


def off(points_mm, *, by_mm=4.0):
    """Return points a known length off, each in a direction of its own."""
    directions = np.random.default_rng(2).standard_normal(points_mm.shape)
    return points_mm + by_mm * directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.slow
def test_known_shift_gain_and_offset(queries):
    shift_mm = np.array([3.3, -2.1, 5.7])
    template = scan(straight())
    target = scan(straight(), source_of=lambda points: points - shift_mm, gain=1.7, offset=-300)
    found = refine_matches(template, target, queries, off(queries + shift_mm), settings=SETTINGS)
    assert found.is_refined.all()
    np.testing.assert_allclose(found.points_mm, queries + shift_mm, atol=0.1)
    np.testing.assert_allclose(found.shift_mm, 4.0, atol=0.1)


@pytest.mark.slow
def test_known_affine_map(queries):
    matrix = np.array([[1.06, 0.05, 0.0], [-0.04, 0.95, 0.03], [0.02, 0.0, 1.05]])
    template = scan(straight())
    target = scan(straight(), source_of=lambda points: points @ np.linalg.inv(matrix).T)
    found = refine_matches(template, target, queries, off(queries @ matrix.T), settings=SETTINGS)
    errors = np.linalg.norm(found.points_mm - queries @ matrix.T, axis=1)
    assert found.is_refined.mean() >= 0.9
    assert np.median(errors[found.is_refined]) < 0.2
    assert errors[found.is_refined].max() < 0.6


def test_itself(queries):
    template = scan(straight())
    found = refine_matches(template, template, queries, off(queries), settings=SETTINGS)
    assert found.is_refined.all()
    assert np.linalg.norm(found.points_mm - queries, axis=1).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("spacing_mm", [(2, 2, 2), (1.2, 1.6, 2.5), (1.5, 1.5, 5.0)])
def test_turned_and_flipped_header(queries, spacing_mm):
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    ) @ np.diag([-1.0, 1.0, -1.0])
    shape = tuple(int(130 / step) for step in spacing_mm)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    found = refine_matches(scan(straight()), scan(affine, shape), queries, off(queries), settings=SETTINGS)
    errors = np.linalg.norm(found.points_mm - queries, axis=1)
    assert found.is_refined.all()
    assert np.median(errors) < 0.3
    assert errors.max() < 1.0


FILL_HU = -1000.0


@pytest.mark.slow
def test_what_a_scan_is_filled_with_does_not_pull_a_place(queries):
    """Near each query the target ends in one value, as a turned scan does; counted, it makes the median 0.5 mm."""
    template = scan(straight())
    errors = []
    for query, start in zip(queries, off(queries), strict=True):
        target = scan(straight())
        target.array[: int(target.voxel_from_world(query[np.newaxis])[0, 0] - 9.0 / SPACING_MM)] = FILL_HU
        found = refine_matches(template, target, [query], [start], settings=SETTINGS)
        errors.append(np.linalg.norm(found.points_mm - query))
    assert np.median(errors) < 0.2


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


@pytest.mark.slow
@pytest.mark.parametrize("radii_mm", [(6.0, 9.0), (8.0, 4.0), (6.0, 0.0)])
def test_a_lesion_that_changed_does_not_pull_the_place_away(radii_mm):
    template, target = scan(straight()), scan(straight())
    distance_mm = np.linalg.norm(
        np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), axis=-1) * SPACING_MM
        + straight()[:3, 3]
        - np.array([5.0, 0.0, 0.0]),
        axis=-1,
    )
    for volume, radius_mm in zip((template, target), radii_mm, strict=True):
        volume.array[distance_mm < radius_mm] += 120.0
    query = np.array([[5.0, 0.0, 0.0]])
    found = refine_matches(template, target, query, off(query), settings=SETTINGS)
    assert found.is_refined.all()
    assert np.linalg.norm(found.points_mm - query) < 1.0


@pytest.mark.slow
def test_another_contrast(queries):
    template, target = scan(straight()), scan(straight())
    target = Volume(
        np.exp(-target.array / 60.0), target.affine
    )  # bright is dark there, and by no straight line
    found = refine_matches(template, target, queries, off(queries), settings=SETTINGS, is_same_contrast=False)
    assert found.is_refined.all()
    assert np.linalg.norm(found.points_mm - queries, axis=1).max() < 1.0


def test_a_long_way_needs_neighbours_that_go_it_too():
    template = scan(straight())
    query = np.array([[2.0, -3.0, 5.0]])
    start = query + np.array([11.0, 0, 0])
    alone = refine_matches(template, template, query, start, settings=SETTINGS)
    assert alone.reason == ("it would move by 11.0 mm, and no neighbours move alike",)
    around = query + np.array([[0.0, 0, 0], [8, 0, 0], [0, 8, 0], [0, 0, 8]])
    together = refine_matches(template, template, around, around + np.array([11.0, 0, 0]), settings=SETTINGS)
    assert together.is_refined.all()
    np.testing.assert_allclose(together.points_mm, around, atol=0.1)
    start = around.copy()
    start[0, 0] += 11.0
    apart = refine_matches(template, template, around, start, settings=SETTINGS)
    np.testing.assert_array_equal(apart.is_refined, [False, True, True, True])


def test_a_match_far_astray_is_searched_for_where_the_others_expect_it(queries):
    template = scan(straight())
    start = off(queries)
    start[0] = queries[0] + np.array([0.0, 0.0, 22.0])  # beyond the reach of its own search
    found = refine_matches(template, template, queries, start, settings=SETTINGS)
    assert found.is_refined.all()
    np.testing.assert_allclose(found.points_mm[0], queries[0], atol=0.1)
    np.testing.assert_allclose(found.shift_mm[0], 22.0, atol=0.1)
    few = refine_matches(template, template, queries[:4], start[:4], settings=SETTINGS)
    assert np.linalg.norm(few.points_mm[0] - queries[0]) > 5.0


def test_what_is_found_where_it_is_expected_tells_where_others_are():
    def bent(points_mm):  # above a hinge the tissue leans towards y
        moved_mm = points_mm.copy()
        moved_mm[..., 1] -= 0.3 * np.maximum(points_mm[..., 2] + 10.0, 0.0)
        return moved_mm

    across = np.array([[x, y, 0.0] for x in (-24, 0, 24) for y in (-24, 0, 24)])
    queries = np.vstack(
        [across - np.array([0, 0, 24]), np.array([0, 0, 12]) + across[::2], [[0.0, -8.0, 44.0]]]
    )
    truth = queries + np.outer(0.3 * np.maximum(queries[:, 2] + 10.0, 0.0), [0.0, 1.0, 0.0])
    start = truth.copy()
    start[9:] += [24.0, 0.0, 0.0]  # beyond their own searches; by those below the hinge the last is 16 mm off
    found = refine_matches(
        scan(straight()), scan(straight(), source_of=bent), queries, start, settings=SETTINGS
    )
    assert found.is_refined[9:].all()
    np.testing.assert_allclose(found.points_mm[9:], truth[9:], atol=1.0)


def test_a_point_alone_is_searched_for_where_anchors_expect_it(queries):
    template = scan(straight())
    anchors = Anchors(queries[1:], off(queries[1:], by_mm=3.0))
    start = queries[:1] + np.array([0.0, 0.0, 22.0])  # beyond the reach of its own search
    found = refine_matches(template, template, queries[:1], start, anchors=anchors, settings=SETTINGS)
    np.testing.assert_allclose(found.points_mm, queries[:1], atol=0.1)
    alone = refine_matches(template, template, queries[:1], start, settings=SETTINGS)
    assert np.linalg.norm(alone.points_mm - queries[:1]) > 5.0


def test_the_others_expect_a_place_by_their_common_map_but_not_by_those_astray():
    generator = np.random.default_rng(0)
    matrix, shift_mm = np.diag([1.1, 0.9, 1.0]), np.array([5.0, -3.0, 40.0])
    asked = generator.uniform(-100, 100, (15, 3))
    places = asked @ matrix.T + shift_mm
    astray = places.copy()
    astray[:3] += 30.0
    settings = SETTINGS.consensus.model_copy(update={"stiffness_mm": 0.0})
    expected = expected_places(asked, astray, np.arange(15) != 14, settings=settings)
    np.testing.assert_allclose(expected, places, atol=1e-6)
    assert np.isnan(expected_places(asked, astray, np.arange(15) < 5, settings=settings)).all()
    anchors = Anchors(asked[3:], places[3:])
    by_anchors = expected_places(asked[:3], astray[:3], np.zeros(3, bool), anchors=anchors, settings=settings)
    np.testing.assert_allclose(by_anchors, places[:3], atol=1e-6)


def test_thousands_of_matches_expect_each_other_by_some_of_them():
    generator = np.random.default_rng(4)
    asked = generator.uniform(-100, 100, (3000, 3))
    turn = np.array([[1.0, 0.1, 0.0], [-0.1, 1.0, 0.05], [0.0, -0.05, 0.95]])
    places = asked @ turn.T + [5.0, -8.0, 20.0]
    astray = places.copy()
    astray[::7] += generator.normal(0, 40, astray[::7].shape)
    settings = SETTINGS.consensus.model_copy(update={"stiffness_mm": 0.0})
    expected = expected_places(asked, astray, np.ones(len(asked), dtype=bool), settings=settings)
    assert np.abs(expected - places).max() < 0.1


@pytest.mark.slow
def test_where_the_scans_tell_nothing_the_match_stands(queries):
    flat = Volume(np.full((SIZE, SIZE, SIZE), 40.0, np.float32), straight())
    noise = Volume(
        np.random.default_rng(3).standard_normal((SIZE, SIZE, SIZE)).astype(np.float32), straight()
    )
    for target in (flat, noise):
        start = off(queries)
        found = refine_matches(scan(straight()), target, queries, start, settings=SETTINGS)
        assert not found.is_refined.any()
        np.testing.assert_array_equal(found.points_mm, start)
        assert all(
            "surroundings differ" in reason or "the way back through the scans ends" in reason
            for reason in found.reason
        )


@pytest.mark.slow
def test_no_match_stays_none_and_a_place_beyond_the_scan_stands(queries):
    queries = queries[:6]  # too few others to expect a place for it
    matches = off(queries)
    matches[3] = np.nan
    matches[4] = 500.0
    found = refine_matches(scan(straight()), scan(straight()), queries, matches, settings=SETTINGS)
    assert np.isnan(found.points_mm[3]).all()
    assert found.reason[3] == "there is no match to refine"
    np.testing.assert_array_equal(found.points_mm[4], 500.0)
    assert found.reason[4]
    assert found.is_refined.sum() == len(queries) - 2


@pytest.mark.slow
def test_an_empty_list():
    found = refine_matches(
        scan(straight()), scan(straight()), np.empty((0, 3)), np.empty((0, 3)), settings=SETTINGS
    )
    assert found.points_mm.shape == (0, 3)
    assert found.reason == ()


def test_correlation_equals_a_loop():
    generator = np.random.default_rng(0)
    known = generator.standard_normal((2, 3, 3, 3, 3)).astype(np.float32)
    weights = np.abs(generator.standard_normal((2, 3, 3, 3))).astype(np.float32)
    searched = generator.standard_normal((2, 3, 5, 5, 5)).astype(np.float32)
    is_inside = generator.random((2, 5, 5, 5)) < 0.8
    found = correlate_shifted(known, weights, searched, is_inside)
    assert found.shape == (2, 3, 3, 3)
    for row, i, j, k in np.ndindex(found.shape):
        products, of_known, of_searched = 0.0, 0.0, 0.0
        part = np.s_[i : i + 3, j : j + 3, k : k + 3]
        w = weights[row] / weights[row].sum()
        for channel in range(3):
            mean = (w * known[row, channel]).sum()
            a = known[row, channel] - mean
            b = (searched[row, channel][part] - mean) * is_inside[row][part]
            products, of_known = products + (w * a * b).sum(), of_known + (w * a * a).sum()
            of_searched += (w * b * b).sum()
        assert found[row, i, j, k] == pytest.approx(products / np.sqrt(of_known * of_searched), abs=2e-4)


def test_self_similarity_equals_a_loop():
    cube = np.random.default_rng(0).standard_normal((7, 7, 7))
    found = self_similarity(cube[np.newaxis].astype(np.float32))[0]
    axes = np.eye(3, dtype=int)
    pairs = [
        (axes[first], sign * axes[second])
        for first in range(3)
        for second in range(first + 1, 3)
        for sign in (1, -1)
    ]
    for place in np.ndindex(3, 3, 3):
        distances = np.array(
            [
                sum((cube[(*a,)] - cube[(*b,)]) ** 2 for a, b in patches(np.array(place) + 2, pair))
                for pair in pairs
            ]
        )
        expected = np.exp(-distances / distances.mean())
        # The order of the channels is free, as long as it is one everywhere.
        np.testing.assert_allclose(np.sort(found[(slice(None), *place)]), np.sort(expected), rtol=2e-4)
    assert len({tuple(channel.ravel()) for channel in found}) == 6


def patches(middle, pair):
    """Return the pairs of samples of the patches around two neighbours of a sample."""
    steps = [np.array(step) for step in np.ndindex(3, 3, 3)]
    return [(middle + pair[0] + step - 1, middle + pair[1] + step - 1) for step in steps]


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
    asked = torch.from_numpy(places.astype(np.float32))
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
    shift_mm = descended(None, None, np.zeros((1, 3)), settings=SETTINGS.descent)
    assert shift_mm[0, 0] == (1.5 if is_taken else 1.0)


@pytest.mark.parametrize(
    ("way_mm", "correlation", "is_taken"),
    [(2.4, 0.91, True), (2.6, 0.91, False), (2.6, 0.96, True), (5.1, 0.99, False)],
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
    shift_mm = descended(None, None, np.zeros((1, 3)), settings=first_alone)
    assert shift_mm[0, 1] == (way_mm if is_taken else 0.0)


@pytest.mark.parametrize(("correlation", "is_taken"), [(0.29, False), (0.31, True)])
def test_a_place_where_the_others_expect_it_needs_to_look_less_alike(correlation, is_taken):
    """One found 20 mm from there with 0.5 is worth 0.3."""

    def found(x_mm, height):
        return voxel_refinement._Searched(
            np.array([[x_mm, 0.0, 0.0]]), np.array([height]), np.array([3.0]), np.array([0.5]), ("",)
        )

    kept = found(20.0, 0.5).or_better(found(0.0, correlation), np.zeros((1, 3)))
    assert kept.points_mm[0, 0] == (0.0 if is_taken else 20.0)
    assert kept.correlation[0] == (correlation if is_taken else 0.5)


def test_what_a_pass_explains_is_counted_over_the_samples_seen_at_both_of_its_ends():
    """Of what the start alone sees half agrees; beyond the end of the scan nothing is known at the end."""
    known = torch.tensor([[1.0, 2.0, 3.0, 4.0, 50.0]])
    fixed = Lattice(known, torch.zeros(1, 5, 3), torch.ones(1, 5))

    class Moving:
        """Values at the start (x = 0) and at the end (x = 1), where the last sample lies beyond the scan."""

        def values(self, places):
            at_start = torch.tensor([[4.0, 3.0, 2.0, 1.0, 50.0]])
            return torch.where(places[..., 0] < 0.5, at_start, known)

        def derivatives(self, places):
            return torch.zeros(places.shape), torch.zeros(places.shape)

        def holds(self, places):
            is_last = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0]])
            return 1.0 - is_last * (places[..., 0] > 0.5)

    fit = local_descent._Fit(fixed, Moving(), deviation_mm=6.0, stiffness=0.1)
    start = local_descent._Pose(torch.zeros(1, 3), torch.eye(3)[np.newaxis], torch.zeros(1, 3))
    end = start._replace(place=torch.tensor([[1.0, 0.0, 0.0]]))
    before, after = fit._correlations(start, end)
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
            settings=SETTINGS.descent,
            samples=SETTINGS.descent.passes[1],
        )
        errors.append(np.linalg.norm(off_mm + end.shift_mm))
    assert np.median(errors) < 0.02
