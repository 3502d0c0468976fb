"""Where followed lesions lie, by the points around them and by several visits, against truths made by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.follow.places import (
    Answer,
    Prediction,
    answer_from_around,
    join_answers,
    join_predictions,
    predict_places,
    swap_anchors,
    view_depth_mm,
)
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import Volume
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
