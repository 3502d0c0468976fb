"""Matches moved to the voxel: known shifts, turned headers, growth, and places that the scans cannot tell."""

import numpy as np
import pytest

from anatomical_embedding.matching import voxel_refinement
from anatomical_embedding.matching.expected_places import expected_places
from anatomical_embedding.matching.local_correlation import around_points, best_shifts, correlate_shifted
from anatomical_embedding.matching.local_self_similarity import self_similarity
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.matching.voxel_refinement import refine_matches
from anatomical_embedding.volumes.volume import Volume
from tests.refinement_scans import SETTINGS, SIZE, SPACING_MM, off, scan, straight


@pytest.fixture
def queries():
    return np.random.default_rng(1).uniform(-25, 25, (12, 3))


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


@pytest.mark.slow
@pytest.mark.parametrize("radii_mm", [(6.0, 9.0), (8.0, 4.0), (6.0, 0.0), (6.0, 12.0), (7.0, 14.0)])
def test_a_lesion_that_changed_does_not_pull_the_place_away(radii_mm):
    """One that grew to fill the compared cube would draw its own edges onto each other."""
    query = np.array([[5.0, 0.0, 0.0]])
    template, target = (with_lesion(query, radius_mm) for radius_mm in radii_mm)
    for start in (off(query), off(-query, by_mm=3.0) + 2 * query):
        found = refine_matches(template, target, query, start, settings=SETTINGS)
        assert found.is_refined.all()
        assert np.linalg.norm(found.points_mm - query) < 1.0


def test_the_middle_of_a_cube_counts_as_changed_where_all_else_agrees():
    query = np.array([[5.0, 0.0, 0.0]])
    seen = [
        around_points(with_lesion(query, radius_mm), query, settings=SETTINGS.correlation)
        for radius_mm in (7.0, 14.0)
    ]
    changed = best_shifts(seen[0], seen[1], settings=SETTINGS.correlation)
    assert changed.is_changed.all()
    assert changed.return_mm[0] < 1.0  # the way back leaves the middle out as well
    assert not best_shifts(seen[0], seen[0], settings=SETTINGS.correlation).is_changed.any()
    noise = np.random.default_rng(3).normal(0.0, 60.0, (SIZE, SIZE, SIZE))
    noisy = Volume(with_lesion(query, 7.0).array + noise.astype(np.float32), straight())
    differs_everywhere = around_points(noisy, query, settings=SETTINGS.correlation)
    found = best_shifts(seen[0], differs_everywhere, settings=SETTINGS.correlation)
    assert found.correlation[0] < 0.8 and not found.is_changed.any()


def with_lesion(middle_mm, radius_mm):
    """Return the tissue with a bright ball in it."""
    volume = scan(straight())
    places = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), axis=-1) * SPACING_MM
    distance_mm = np.linalg.norm(places + straight()[:3, 3] - middle_mm, axis=-1)
    volume.array[distance_mm < radius_mm] += 120.0
    return volume


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
    two_neighbours = refine_matches(
        template, template, around[:3], around[:3] + np.array([11.0, 0, 0]), settings=SETTINGS
    )
    assert not two_neighbours.is_refined.any()
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
    unknown = np.where(np.arange(15)[:, np.newaxis] == 14, np.nan, asked)
    without = expected_places(unknown, astray, np.arange(15) != 14, settings=settings)
    np.testing.assert_allclose(without[:14], expected[:14])
    assert np.isnan(without[14]).all()
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
def test_a_match_that_stands_changes_nothing_of_the_others(queries):
    queries = queries[:4]
    matches = off(queries)
    whole = refine_matches(scan(straight()), scan(straight()), queries, matches, settings=SETTINGS)
    matches[1] = 500.0
    beside = refine_matches(scan(straight()), scan(straight()), queries, matches, settings=SETTINGS)
    assert beside.is_refined.tolist() == [True, False, True, True]
    np.testing.assert_allclose(beside.points_mm[[0, 2, 3]], whole.points_mm[[0, 2, 3]], atol=1e-4)
    np.testing.assert_array_equal(beside.points_mm[1], 500.0)


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


@pytest.mark.parametrize(("correlation", "is_taken"), [(0.29, False), (0.31, True)])
def test_a_place_where_the_others_expect_it_needs_to_look_less_alike(correlation, is_taken):
    """One found 20 mm from there with 0.5 is worth 0.3."""

    def found(x_mm, height):
        return voxel_refinement._Searched(np.array([[x_mm, 0.0, 0.0]]), np.array([height]), ("",))

    kept = found(20.0, 0.5).or_better(found(0.0, correlation), np.zeros((1, 3)))
    assert kept.points_mm[0, 0] == (0.0 if is_taken else 20.0)
    assert kept.correlation[0] == (correlation if is_taken else 0.5)
