"""Places, presence, masks and states of followed lesions, each against a truth made by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.follow.fit_mask import HARDLY_DIFFER, ball_radius_mm, fit_mask
from anatomical_embedding.follow.given import Assigned, assign_given
from anatomical_embedding.follow.given_rows import followed_row, middle_is_outside
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.look import Likeness, Look, likeness, measure_look, presence
from anatomical_embedding.follow.merged import mark_merged, middles_of_one
from anatomical_embedding.follow.places import (
    Answer,
    AnsweredPlace,
    Prediction,
    answer_from_around,
    join_answers,
    join_predictions,
    predict_places,
    swap_anchors,
    view_depth_mm,
)
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.states import PlaceTrust, judge_state, trust_place
from anatomical_embedding.follow.visits import AskedVisit
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import Volume
from tests.followed_ball import AFFINE, CENTRE_MM, LESION_HU, TISSUE_HU, scan_with_ball
from tests.refinement_scans import SETTINGS as REFINEMENT

SETTINGS = delivered_follow_settings()


def prediction(points, errors):
    points = np.array(points, dtype=float)
    return Prediction(points, np.tile(np.eye(3), (len(points), 1, 1)), np.array(errors, dtype=float))


def test_a_place_goes_where_the_map_of_the_points_round_it_goes_though_some_are_wrong():
    random = np.random.default_rng(3)
    matrix, shift = np.array([[1.1, 0.05, 0], [-0.05, 0.95, 0], [0, 0, 1.0]]), np.array([5.0, -20.0, 300.0])
    template_mm = random.uniform(-60, 60, (200, 3))
    target_mm = template_mm @ matrix.T + shift
    target_mm[:40] += random.uniform(-90, 90, (40, 3))
    points_mm = np.array([[10.0, 0, -5], [np.nan, np.nan, np.nan]])
    found = predict_places(Anchors(template_mm, target_mm), points_mm, settings=SETTINGS.places)
    assert found.points_mm[0] == pytest.approx(points_mm[0] @ matrix.T + shift, abs=0.5)
    assert np.isnan(found.points_mm[1]).all()


def test_pairs_turned_round_keep_those_that_are_well_inside_the_scan_they_lead_to_then():
    anchors = Anchors(np.array([[1.0, 0, 0], [2.0, 0, 0]]), np.array([[11.0, 0, 0], [12.0, 0, 0]]))
    border_mm = SETTINGS.places.evidence.anchor_depth_mm
    depths = {1.0: border_mm - 0.1, 2.0: border_mm}
    volume = SimpleNamespace(depth_mm=lambda points: np.array([depths[x] for x in points[:, 0]]))
    turned = swap_anchors(anchors, SimpleNamespace(embedded=volume), settings=SETTINGS.places)
    assert turned.template_mm.tolist() == [[12.0, 0, 0]]
    assert turned.target_mm.tolist() == [[2.0, 0, 0]]


def test_the_depth_of_a_place_is_that_by_the_points_well_inside_less_what_the_border_draws_it_inward():
    volume = Volume(np.zeros((81, 81, 81), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    grid = np.stack(np.meshgrid(*[np.arange(10.0, 151.0, 20.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    found = grid.copy()
    found[grid[:, 2] < 20.0] += (0.0, 0.0, 12.0)  # beside the border: these do not count
    points_mm = np.array([[80.0, 80.0, 10.0], [80.0, 80.0, -8.0]])
    target = RawScan(Path("scan.nii.gz"), volume, "ct", (), ReadingOptions())
    depth_mm = view_depth_mm([Anchors(grid, found)], [points_mm], target, settings=SETTINGS.places)
    assert depth_mm == pytest.approx(volume.depth_mm(points_mm) - SETTINGS.places.view.inward_mm, abs=0.01)


def test_too_few_points_tell_no_place():
    few = np.zeros((3, 3))
    assert np.isnan(
        predict_places(Anchors(few, few), np.zeros((1, 3)), settings=SETTINGS.places).points_mm
    ).all()


def test_visits_count_by_their_inverse_square_errors_and_not_where_they_do_not_answer():
    floor = SETTINGS.places.smallest_error_mm
    near, far = 0.0, np.sqrt(3.0) * floor  # square errors floor^2 and 4 floor^2: weights 4 to 1
    joined = join_predictions(
        [
            prediction([[0, 0, 0], [7, 0, 0]], [near, near]),
            prediction([[10, 0, 0], [np.nan] * 3], [far, far]),
        ],
        settings=SETTINGS.places,
    )
    assert joined.points_mm == pytest.approx(np.array([[2.0, 0, 0], [7, 0, 0]]))


def test_places_that_the_scans_confirm_outvote_one_that_they_do_not():
    start = prediction([[0, 0, 0]], [5.0])
    places = [([[1.0, 0, 0]], "yes"), ([[3.0, 0, 0]], "yes"), ([[50.0, 0, 0]], "the way back")]
    answers = [Answer(start, np.array(place), (word,)) for place, word in places]
    (place,) = join_answers(answers, start, np.zeros(1), settings=SETTINGS.places)
    # The first is from where the lesion was given, the others from where it was found.
    assert place.point_mm[0] == pytest.approx((1.0 + 0.15 * 3.0) / 1.15)
    assert place.disagreement_mm == 49.0
    assert (place.refined, place.how, place.elsewhere_mm) == ("yes", "joint", ())


def test_a_confirmed_place_far_from_the_first_is_another_place_and_none_of_its_error():
    start = prediction([[4.0, 0, 0]], [5.0])
    answers = [Answer(start, np.array([[x, 0, 0]]), ("yes",)) for x in (0.0, 20.0, 21.0)]
    (place,) = join_answers(answers, start, np.zeros(1), settings=SETTINGS.places)
    assert place.point_mm[0] == 0.0
    assert [list(each) for each in place.elsewhere_mm] == [[20.0, 0, 0]]  # 21 is the same place once more
    assert place.error_mm == SETTINGS.places.smallest_error_mm
    assert place.disagreement_mm == 21.0


CHANGED_MM, CHANGED_RADIUS_MM = np.array([50.0, 50.0, 50.0]), 10.0


@pytest.fixture(scope="module")
def changed_scans():
    """Return two scans of one texture, shifted by 4 mm along x; a lesion of 10 mm lies 6 mm off in y in the second."""
    tissue = gaussian_filter(np.random.default_rng(5).normal(size=(52, 52, 52)), 2.0)
    tissue *= 15.0 / tissue.std()
    places_mm = 2.0 * np.stack(np.meshgrid(*[np.arange(52)] * 3, indexing="ij"), axis=-1)
    scans = []
    for offset_mm in (0.0, 6.0):
        inside = np.linalg.norm(places_mm - CHANGED_MM - [0, offset_mm, 0], axis=-1) < CHANGED_RADIUS_MM
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[0, 3] = 4.0 if offset_mm else 0.0
        volume = Volume(np.where(inside, 400.0, tissue), affine)
        scans.append(RawScan(Path("scan.nii.gz"), volume, "ct", (), ReadingOptions()))
    return scans


def answered_error_mm(scans, points_mm, **around):
    """Return how far an answer is from the anatomy, which the shift of the texture tells."""
    settings = SETTINGS.places.model_copy(update={"around": SETTINGS.places.around.model_copy(update=around)})
    answer = answer_from_around(
        *scans,
        points_mm,
        points_mm + np.array([3.0, 0, 1.0]),
        prediction(points_mm, np.ones(len(points_mm))),
        radii_mm=np.full(len(points_mm), CHANGED_RADIUS_MM),
        settings=settings,
        refinement=REFINEMENT,
    )
    return np.linalg.norm(answer.refined_mm - points_mm - [4.0, 0, 0], axis=1), answer


def test_points_beside_a_lesion_tell_its_place_though_it_draws_its_own_match_along(changed_scans):
    points_mm = CHANGED_MM[np.newaxis]
    (alone_mm,), _ = answered_error_mm(changed_scans, points_mm, fewest=7)
    (error_mm,), answer = answered_error_mm(changed_scans, points_mm)
    assert alone_mm > 4.0
    assert error_mm < 1.0
    assert answer.refined == ("yes",)
    assert answer.predicted.matrices[0] == pytest.approx(np.eye(3), abs=0.1)


def test_a_lesion_at_the_border_with_few_points_beside_it_keeps_its_own_match(changed_scans):
    corner_mm = np.array([[4.0, 4.0, 96.0], [np.nan] * 3])  # three of the six lie outside
    errors, answer = answered_error_mm(changed_scans, corner_mm)
    expected, alone = answered_error_mm(changed_scans, corner_mm, fewest=7)
    assert answer.refined_mm[0] == pytest.approx(alone.refined_mm[0])
    assert errors[0] == expected[0] and np.isnan(answer.refined_mm[1]).all()


def test_one_visit_disagrees_with_nobody():
    start = prediction([[0, 0, 0]], [5.0])
    (place,) = join_answers(
        [Answer(start, np.zeros((1, 3)), ("yes",))], start, np.zeros(1), settings=SETTINGS.places
    )
    assert place.how == "direct"
    assert np.isnan(place.disagreement_mm)
    assert place.error_mm == SETTINGS.places.smallest_error_mm


@pytest.mark.parametrize(
    ("radius_mm", "change", "is_there"), [(9.0, 0.0, True), (7.0, 0.0, True), (0.0, 1.0, False)]
)
def test_a_lesion_is_there_as_long_as_its_inner_part_looks_as_it_did(radius_mm, change, is_there):
    before, _ = scan_with_ball(9.0)
    after, _ = scan_with_ball(radius_mm, seed=1)
    look, now = (measure_look(scan, CENTRE_MM, 9.0, settings=SETTINGS.look) for scan in (before, after))
    assert look.inner == pytest.approx(LESION_HU, abs=4.0)
    assert look.difference == pytest.approx(LESION_HU - TISSUE_HU, rel=0.05)
    assert look.contrast == pytest.approx(LESION_HU - TISSUE_HU, rel=0.05)
    found = likeness(now, look, visibility=look.visibility(SETTINGS.look))
    assert found.change == pytest.approx(change, abs=0.1)
    assert found.contrast == pytest.approx(1.0 - change, abs=0.1)
    assert (presence([found], settings=SETTINGS.look) > 0.9) == is_there
    assert (presence([found], settings=SETTINGS.look) < 0.1) != is_there


def test_what_several_visits_say_of_presence_is_averaged_as_log_odds():
    odds = SETTINGS.look.gone_log_odds
    looks = [Likeness(0.2, 1.0, 1.0), Likeness(0.6, 0.5, 1.0), Likeness(np.nan, 1.0, 1.0)]
    expected = odds.constant + odds.change * 0.4 + odds.contrast * 0.75
    assert presence(looks, settings=SETTINGS.look) == pytest.approx(1.0 / (1.0 + np.exp(expected)))


def test_a_lesion_that_was_hardly_to_be_seen_tells_less_of_whether_it_is_there():
    odds = SETTINGS.look.gone_log_odds
    faint = Look(40.0, 60.0, -10.0, 10.0).visibility(SETTINGS.look)
    assert faint == pytest.approx(1.0 / SETTINGS.look.visible_contrast)
    found = presence([Likeness(1.0, 0.0, faint)], settings=SETTINGS.look)
    assert found == pytest.approx(1.0 / (1.0 + np.exp(faint * (odds.constant + odds.change))))


def test_nothing_is_told_of_a_place_outside_the_scan():
    scan, _ = scan_with_ball(9.0)
    look = measure_look(scan, CENTRE_MM, 9.0, settings=SETTINGS.look)
    outside = measure_look(scan, np.array([900.0, 0, 0]), 9.0, settings=SETTINGS.look)
    assert np.isnan(presence([likeness(outside, look, visibility=1.0)], settings=SETTINGS.look))


def place_at(point_mm):
    """Return a place that one visit tells, from where nothing is turned or stretched."""
    return AnsweredPlace(point_mm, 50.0, 1.0, np.nan, "yes", np.eye(3), "direct", np.eye(3), ())


def scan_with_balls(*centres_mm, radius_mm=6.0):
    """Return a scan with balls of tissue."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (40, 40, 36)], indexing="ij"), axis=-1)
    places_mm = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    inside = np.any(
        [np.linalg.norm(places_mm - centre, axis=-1) < radius_mm for centre in centres_mm], axis=0
    )
    return Volume(np.where(inside, LESION_HU, TISSUE_HU), AFFINE)


@pytest.mark.parametrize(
    ("half_apart_mm", "found_apart_mm", "expected"),
    [
        (9.0, 9.0, False),  # as before
        (4.5, 4.5, True),  # balls of 6 mm that overlap
        (8.0, 7.2, False),  # a little nearer, a gap of 4 mm between
        (6.2, 6.2, False),  # balls that nearly touch: where they do, hardly anything is filled
        (4.5, 9.0, True),  # each place is where it was, at the far end of what is one lesion now
    ],
)
def test_lesions_have_merged_where_they_are_nearer_and_no_gap_lies_between(
    half_apart_mm, found_apart_mm, expected
):
    along = np.array([1.0, 0, 0])
    before = scan_with_balls(CENTRE_MM - 9.0 * along, CENTRE_MM + 9.0 * along)
    after = scan_with_balls(CENTRE_MM - half_apart_mm * along, CENTRE_MM + half_apart_mm * along)
    pair = tuple(Source("first", CENTRE_MM + sign * 9.0 * along, 6.0, None) for sign in (-1, 1))
    places = tuple(place_at(CENTRE_MM + sign * found_apart_mm * along) for sign in (-1, 1))
    found = middles_of_one(pair, places, before, after, settings=SETTINGS)
    assert (found is not None) == expected
    if found is not None:  # each in its half of what is one, and no farther out than its ball
        assert all(
            0.0 < sign * (middle - CENTRE_MM)[0] < 6.0 for sign, middle in zip((-1, 1), found, strict=True)
        )


@pytest.mark.parametrize("is_bridged", [True, False])
def test_two_whose_small_gap_is_filled_have_merged(is_bridged):
    along, radius_mm = np.array([1.0, 0, 0]), 6.2
    ends_mm = [CENTRE_MM + sign * 6.75 * along for sign in (-1, 1)]
    before = scan_with_balls(CENTRE_MM - 9.0 * along, CENTRE_MM + 9.0 * along, radius_mm=radius_mm)
    after = scan_with_balls(*ends_mm, radius_mm=radius_mm)
    if is_bridged:
        bridge = scan_with_balls(CENTRE_MM, radius_mm=3.0).array == LESION_HU
        after = Volume(np.where(bridge, LESION_HU, after.array), AFFINE)
    pair = tuple(Source("first", CENTRE_MM + sign * 9.0 * along, radius_mm, None) for sign in (-1, 1))
    places = tuple(place_at(end_mm) for end_mm in ends_mm)
    found = middles_of_one(pair, places, before, after, settings=SETTINGS)
    assert (found is not None) == is_bridged


def test_two_that_touched_before_have_merged_where_their_middles_are_nearer():
    along = np.array([1.0, 0, 0])
    before = scan_with_balls(CENTRE_MM - 6.0 * along, CENTRE_MM + 6.0 * along, radius_mm=7.0)
    after = scan_with_balls(CENTRE_MM - 3.0 * along, CENTRE_MM + 3.0 * along, radius_mm=7.0)
    pair = tuple(Source("first", CENTRE_MM + sign * 6.0 * along, 7.0, None) for sign in (-1, 1))
    places = tuple(place_at(CENTRE_MM + sign * 6.0 * along) for sign in (-1, 1))
    assert middles_of_one(pair, places, before, after, settings=SETTINGS) is not None
    assert middles_of_one(pair, places, before, before, settings=SETTINGS) is None


@pytest.mark.parametrize(
    ("states", "probability", "expected"),
    [
        (("present", "gone"), 0.3, ("merged", "merged")),
        (("review", "review"), 0.3, ("merged", "merged")),
        (("gone", "gone"), 0.3, ("merged", "merged")),  # both places lie at the ends of what is one now
        (("present", "out_of_view"), 0.3, ("present", "out_of_view")),
        (("present", "split"), 0.8, ("merged", "merged")),
        (("present", "split"), 0.95, ("present", "split")),  # 9 in 10 of those that look merged have
    ],
)
def test_two_in_one_have_merged_unless_one_is_out_of_view_or_surely_in_two_parts(
    states, probability, expected
):
    along = np.array([1.0, 0, 0])
    places_mm = {number: CENTRE_MM + sign * 9.0 * along for number, sign in ((1, -1), (2, 1))}
    before = scan_with_balls(*places_mm.values())
    after = scan_with_balls(CENTRE_MM - 4.5 * along, CENTRE_MM + 4.5 * along)
    scans = {"a": SimpleNamespace(raw=SimpleNamespace(volume=before))}
    rows = [
        LesionRow(
            number, "b", None, state, probability, 6.0, tuple(places_mm[number]), "direct",
            np.nan, "yes", "none", (), "", "",
        )
        for number, state in zip((1, 2), states, strict=True)
    ]  # fmt: skip
    sources = {number: Source("a", place_mm, 6.0, None) for number, place_mm in places_mm.items()}
    places = {number: place_at(place_mm) for number, place_mm in places_mm.items()}
    found = mark_merged(rows, sources, places, scans, after, settings=SETTINGS)
    assert tuple(row.state for row in found) == expected
    if expected[0] == "merged":
        assert [row.related for row in found] == [(2,), (1,)]
        # Not the probability of the state that each had alone.
        assert [row.probability for row in found] == pytest.approx([SETTINGS.merging.certainty] * 2)


@pytest.mark.parametrize("radius_mm", [7.0, 10.0])
def test_a_mask_in_a_blurred_scan_is_as_large_as_the_lesion(radius_mm):
    sharp, truth = scan_with_ball(radius_mm)
    blurred = gaussian_filter(sharp.array, 2.0 / np.array([2.0, 2.0, 2.5]))  # of 2 mm, as many scans have
    fit = fit_mask(
        Volume(blurred, AFFINE),
        CENTRE_MM,
        truth,
        CENTRE_MM,
        np.eye(3),
        radius_mm=radius_mm,
        settings=SETTINGS.masks,
    )
    assert fit.is_fitted
    assert fit.radius_mm == pytest.approx(radius_mm, abs=0.4)


@pytest.mark.parametrize("radius_mm", [7.0, 9.0, 12.0])
def test_a_mask_grows_and_shrinks_with_the_lesion(radius_mm):
    _, before = scan_with_ball(9.0)
    scan, truth = scan_with_ball(radius_mm, seed=1)
    fit = fit_mask(
        scan,
        CENTRE_MM + np.array([1.0, 0.5, -1.0]),
        before,
        CENTRE_MM,
        np.eye(3),
        radius_mm=9.0,
        settings=SETTINGS.masks,
    )
    mask = np.zeros(scan.shape, dtype=bool)
    mask[tuple(fit.voxels_on(scan).T)] = True
    assert fit.is_fitted and fit.note == ""
    assert 2.0 * (mask & truth.array).sum() / (mask.sum() + truth.array.sum()) > 0.9
    assert mask.sum() == pytest.approx(truth.array.sum(), rel=0.15)
    assert np.linalg.norm(fit.centre_mm - CENTRE_MM) < 1.0


@pytest.mark.parametrize(("radius_mm", "doubt"), [(0.0, ""), (6.0, HARDLY_DIFFER)])
def test_the_carried_mask_stands_where_lesion_and_surroundings_do_not_differ(radius_mm, doubt):
    _, before = scan_with_ball(9.0)
    scan, _ = scan_with_ball(radius_mm)
    fit = fit_mask(
        scan,
        CENTRE_MM,
        before,
        CENTRE_MM,
        np.eye(3),
        radius_mm=9.0,
        doubt=doubt,
        settings=SETTINGS.masks,
    )
    assert not fit.is_fitted
    assert fit.note == HARDLY_DIFFER or fit.note.startswith("its volume would change")
    assert fit.radius_mm == pytest.approx(9.0, rel=0.05)


def test_a_carried_mask_is_turned_with_its_surroundings():
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (40, 40, 36)], indexing="ij"), axis=-1)
    offsets = np.abs(voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM)
    bar = Volume((offsets < [14.0, 5.0, 5.0]).all(axis=-1), AFFINE)
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    flat = Volume(np.zeros(bar.shape), AFFINE)
    fit = fit_mask(
        flat,
        CENTRE_MM,
        bar,
        CENTRE_MM,
        quarter_turn,
        radius_mm=9.0,
        settings=SETTINGS.masks,
    )
    reach_mm = np.abs(fit.patch.offsets_mm[fit.mask]).max(axis=0)
    assert reach_mm == pytest.approx([5.0, 14.0, 5.0], abs=2.5)  # a voxel


def test_the_radius_of_a_ball():
    assert ball_radius_mm(4.0 / 3.0 * np.pi * 27.0) == pytest.approx(3.0)


def ball_of_points(centre, radius_mm=4.0):
    axis = np.arange(-5, 6.0)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(centre) + offsets[np.linalg.norm(offsets, axis=1) <= radius_mm]


def assigned(covered, places, radii=None, depths=None):
    places = np.array(places, dtype=float).reshape(-1, 3)
    followed = range(1, len(places) + 1)
    return assign_given(
        covered,
        list(followed),
        places,
        radii or [6.0] * len(places),
        depths_mm=depths or [30.0] * len(places),
        depth_error_mm=6.0,
        near_mm=8.0,
    )


def test_a_given_lesion_is_the_followed_one_whose_place_it_covers_and_another_is_new():
    covered = {5: ball_of_points([0, 0, 0]), 9: ball_of_points([60, 0, 0])}
    found = assigned(covered, [[2, 0, 0], [np.nan] * 3])
    assert found.parts == {1: (5,)}
    assert found.new == (9,)


@pytest.mark.parametrize(
    ("depth_mm", "is_taken"),
    [(-18.5, False), (-17.5, True), (np.nan, True), (2.0, True)],
    ids=["outside by more than two deviations", "may reach in", "unknown", "inside"],
)
def test_a_lesion_surely_outside_the_scan_takes_no_mask_near_its_border(depth_mm, is_taken):
    """Of radius 6 mm it reaches in from 6 mm outside; its depth has a deviation of 6 mm."""
    found = assigned({5: ball_of_points([0, 0, 0])}, [[0, 0, -7], [1, 0, 0]], depths=[depth_mm, 30.0])
    assert found.parts == ({1: (5,), 2: (5,)} if is_taken else {2: (5,)})
    alone = assigned({5: ball_of_points([0, 0, 0])}, [[0, 0, -7]], depths=[depth_mm])
    assert alone.new == (() if is_taken else (5,))


def test_two_lesions_in_one_mask_have_merged():
    found = assigned(
        {1: np.vstack([ball_of_points([-4, 0, 0]), ball_of_points([4, 0, 0])])}, [[-4, 0, 0], [4, 0, 0]]
    )
    assert found.parts == {1: (1,), 2: (1,)}
    assert found.sharers(1) == (2,)
    assert found.new == ()


def test_one_lesion_in_two_masks_has_split():
    found = assigned({1: ball_of_points([-7, 0, 0]), 2: ball_of_points([7, 0, 0])}, [[0, 0, 0]])
    assert found.parts == {1: (1, 2)}
    assert found.new == ()


@pytest.mark.parametrize(("z_mm", "is_outside"), [(-3.0, True), (3.0, False), (20.0, False)])
def test_the_middle_of_a_mask_that_is_widest_at_the_edge_of_the_scan_lies_beyond(z_mm, is_outside):
    scan = Volume(np.zeros((40, 40, 36)), np.diag([1.0, 1.0, 2.0, 1.0]))
    voxels = np.argwhere(scan.array == 0)
    ball = voxels[np.linalg.norm(scan.world_from_voxel(voxels) - [20.0, 20.0, z_mm], axis=1) < 8.0]
    assert middle_is_outside(scan.world_from_voxel(ball), scan) == is_outside


@pytest.mark.parametrize(("slices", "state"), [(slice(0, 2), "out_of_view"), (slice(10, 12), "given")])
def test_a_lesion_that_is_drawn_where_the_scan_ends_has_left_the_view(slices, state):
    masks = Volume(np.zeros((20, 20, 20), np.uint8), np.eye(4))
    masks.array[8:11, 8:11, slices] = 4
    given = GivenLesions((), masks, ())
    covered = {4: masks.world_from_voxel(np.argwhere(masks.array == 4))}
    visit = AskedVisit("late", Path("late.nii.gz"), None)
    row = followed_row(1, visit, Assigned({1: (4,)}, ()), covered, given, label="")
    assert row.state == state
    assert row.mask == "given"
    assert np.isfinite(row.point_mm).all() == (state == "given")
    assert bool(row.note) == (state != "given")


def test_two_lesions_side_by_side_have_neither_merged_nor_split():
    found = assigned({1: ball_of_points([-6, 0, 0]), 2: ball_of_points([6, 0, 0])}, [[-5, 0, 0], [5, 0, 0]])
    assert found.parts == {1: (1,), 2: (2,)}


@pytest.mark.parametrize(
    ("trust", "present", "disagreement_mm", "state"),
    [
        (PlaceTrust(1.0, 0.0, 6.0), 0.95, np.nan, "present"),
        (PlaceTrust(1.0, 0.0, 6.0), 0.05, 2.0, "gone"),
        (PlaceTrust(1.0, 0.9, 6.0), 0.95, 2.0, "out_of_view"),
        (PlaceTrust(1.0, 0.0, 6.0), 0.5, 2.0, "review"),
        (PlaceTrust(0.4, 0.0, 20.0), 0.95, 2.0, "present"),  # what looks like the lesion confirms its place
        (PlaceTrust(0.4, 0.0, 20.0), 0.05, 2.0, "review"),  # it may lie beside
        (PlaceTrust(0.7, 0.0, 20.0), 0.05, 2.0, "gone"),
        (PlaceTrust(1.0, 0.0, 6.0), 0.95, 30.0, "review"),
        (PlaceTrust(1.0, 0.0, 6.0), np.nan, 2.0, "review"),
    ],
)
def test_a_state_is_told_where_it_is_likely_and_the_visits_agree(trust, present, disagreement_mm, state):
    judged = judge_state(
        trust, presence=present, split=0.0, disagreement_mm=disagreement_mm, settings=SETTINGS
    )
    assert judged.state == state
    assert bool(judged.note) == (state == "review")


@pytest.mark.parametrize(
    ("trust", "state", "probability"),
    [
        (PlaceTrust(1.0, 0.05, 6.0), "split", 0.8075),  # 0.85 of 0.95
        (PlaceTrust(0.3, 0.05, 16.0), "split", 0.8075),  # two parts that are found confirm the place
        (PlaceTrust(0.9, 0.4, 6.0), "review", 0.51),
        (PlaceTrust(0.9, 0.8, 6.0), "out_of_view", 0.8),
    ],
)
def test_where_a_lesion_lies_in_two_parts_its_free_middle_does_not_mean_that_it_is_gone(
    trust, state, probability
):
    judged = judge_state(trust, presence=0.01, split=0.85, disagreement_mm=np.nan, settings=SETTINGS)
    assert judged.state == state
    assert judged.probability == pytest.approx(probability)


def test_a_place_by_its_surroundings_outside_the_scan_is_out_of_view():
    trust = trust_place(error_mm=4.0, depth_mm=-8.0, depth_error_mm=4.0, within_mm=10.0)
    assert trust.out_of_view == pytest.approx(0.97725, abs=1e-5)  # two deviations of a normal error
    assert trust.found == pytest.approx(0.89994, abs=1e-5)  # chi square of three at 2.5 ** 2
    assert trust.radius_mm == pytest.approx(4.0 * 2.5003, abs=1e-3)  # 90 % of three normal errors
