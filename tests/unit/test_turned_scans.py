"""Scans turned about the long axis, and the starts that their matches give."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.guided_start import given_start
from anatomical_embedding.usage import turned_scans
from anatomical_embedding.usage.turned_scans import (
    MatchedScans,
    number_of_best,
    try_ways,
    turn_about_long_axis,
    turn_degrees,
    turned_scan,
)
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine
from tests.unit.test_image_evidence import image_settings, tissue
from tests.unit.test_robust_fit import fit_settings

SHAPE = (30, 20, 24)
AFFINE = lps_affine(origin_mm=(40.0, -8.0, 100.0))


def prepared(affine=AFFINE):
    generator = np.random.default_rng(2)
    image = generator.integers(-1000, 500, SHAPE).astype(np.int16)
    body = np.zeros(SHAPE, np.uint8)
    body[3:25, 4:18, 2:22] = 1
    return PreparedVolume(Volume(image, affine), Volume(body, affine), None, {}, ())


def test_half_a_turn_stores_two_axes_the_other_way_round():
    scan = prepared()
    turned = turned_scan(scan, turn_about_long_axis(scan.image, 180.0))
    np.testing.assert_allclose(turned.image.affine, AFFINE, atol=1e-9)
    np.testing.assert_allclose(turned.image.array, scan.image.array[::-1, ::-1], atol=1e-3)
    np.testing.assert_array_equal(turned.body_mask.array, scan.body_mask.array[::-1, ::-1])


@pytest.mark.parametrize("degrees", [30.0, -30.0, 90.0])
def test_a_turned_scan_shows_every_place_where_the_turn_leads(degrees):
    scan = prepared()
    places_vox = np.argwhere(scan.body_mask.array)[::97]
    turn = turn_about_long_axis(scan.image, degrees)
    turned = turned_scan(scan, turn)
    places_mm = transform_points(turn, scan.image.world_from_voxel(places_vox))
    nearest, is_inside = turned.body_mask.nearest_voxels(places_mm)
    assert is_inside.all()
    assert turned.body_mask.array[tuple(nearest.T)].mean() > 0.9
    assert turned.body_mask.array.mean() * turned.body_mask.array.size == pytest.approx(
        22 * 14 * 20, rel=0.02
    )
    # Seen from the feet the patient turns by the angle: LPS arrays run to the left, the back and the head.
    middle = scan.image.world_from_voxel((np.array([SHAPE]) - 1) / 2)[0]
    to_the_left = transform_points(turn, (middle - [10.0, 0, 0])[None])[0] - middle
    angle = np.radians(degrees)
    np.testing.assert_allclose(to_the_left, [-10 * np.cos(angle), -10 * np.sin(angle), 0], atol=1e-9)


@pytest.fixture
def attempts(monkeypatch):
    """Replace the matching: turns in degrees to what comes of them, and what was asked for."""
    outcomes, asked = {}, []

    def match(*_, degrees):
        asked.append(degrees)
        status, evidence, turned_by = outcomes[round(degrees)]
        turn = turn_about_long_axis(prepared().image, turned_by)
        start = replace(given_start(turn), status=status, evidence=evidence)
        return SimpleNamespace(turn=np.eye(4), start=lambda _, settings: start), None

    monkeypatch.setattr(turned_scans, "_match_turned", match)
    return outcomes, asked


def tried(**changes):
    ways = try_ways(None, (prepared(), None), (prepared(), None), fit=fit_settings(**changes))
    starts = [start for _, start in ways]
    return starts[number_of_best(starts)]


def test_of_several_turns_the_one_with_most_evidence_counts(attempts):
    """One turn gives no start, two give one; where none does, there is none."""
    outcomes, asked = attempts
    outcomes |= {0: ("failed", 0.0, 0.0), 180: ("failed", 0.0, 0.0)}
    outcomes |= {30: ("found", 0.7, 0.0), -30: ("found", 0.5, 0.0)}
    assert tried(turns_degrees=(180.0, 30.0, -30.0)).evidence == 0.7
    assert asked == [0.0, 180.0, 30.0, -30.0]
    assert tried(turns_degrees=(180.0,)).status == "failed"


def test_turns_are_tried_where_little_speaks_for_the_scan_as_it_lies(attempts):
    """A prone patient may give a start as it lies: half a turn off, for which little speaks."""
    outcomes, asked = attempts
    outcomes |= {0: ("found", 0.36, 0.0), 180: ("found", 0.9, 0.0)}
    assert tried(turns_degrees=(180.0,), sure_evidence=0.45).evidence == 0.9
    asked.clear()
    assert tried(turns_degrees=(180.0,), sure_evidence=0.3).evidence == 0.36
    assert asked == [0.0]


def test_a_start_with_little_evidence_is_sought_once_more_in_what_both_show(attempts, monkeypatch):
    """As the scan lies and where a start was straightened; it counts where more speaks for it than for the others."""
    outcomes, asked = attempts
    outcomes |= {0: ("failed", 0.0, 0.0), 180: ("failed", 0.0, 0.0)}
    shared, margins = [], []

    def match_shared(*_, fit, margin_mm):
        margins.append(margin_mm)
        evidence, turned_by = shared.pop(0)
        if evidence is None:  # the matches told nothing
            return None
        turn = turn_about_long_axis(prepared().image, turned_by)
        start = replace(given_start(turn), status="found", evidence=evidence)
        return SimpleNamespace(turn=np.eye(4), start=lambda _, settings: start)

    monkeypatch.setattr(turned_scans, "_match_shared", match_shared)
    settings = {"turns_degrees": (180.0,), "sure_evidence": 0.9}
    assert tried(**settings).status == "failed"
    assert margins == []
    shared.append((1.1, 0.0))
    assert tried(**settings, shared_margin_mm=40.0).evidence == 1.1
    shared.append((None, 0.0))
    assert tried(**settings, shared_margin_mm=40.0).status == "failed"
    np.testing.assert_allclose(asked, [0.0, 180.0] * 3, atol=1e-9)
    asked.clear()
    outcomes[-12] = ("found", 0.6, 0.0)
    shared += [(0.5, 12.0), (0.7, 0.0)]
    assert tried(**settings, shared_margin_mm=40.0, straight_degrees=8.0).evidence == 0.7
    np.testing.assert_allclose(asked, [0.0, 180.0, -12.0], atol=1e-9)
    outcomes[0] = ("found", 0.9, 0.0)
    assert tried(**settings, shared_margin_mm=40.0).evidence == 0.9
    assert margins == [40.0] * 4


def test_a_start_that_turns_is_taken_back_and_matched_once_more(attempts):
    outcomes, asked = attempts
    outcomes |= {0: ("found", 0.5, 12.0), -12: ("found", 0.6, 9.0)}
    assert tried(straight_degrees=8.0).evidence == 0.6
    np.testing.assert_allclose(asked, [0.0, -12.0], atol=1e-9)
    asked.clear()
    assert tried(straight_degrees=13.0).evidence == 0.5
    assert tried().evidence == 0.5
    assert asked == [0.0, 0.0]
    outcomes[-12] = ("failed", 0.0, 0.0)
    assert tried(straight_degrees=8.0).evidence == 0.5


def test_a_turn_that_was_tried_is_turned_on(attempts):
    """The scan lies prone and turned by 10 degrees more: half a turn gives a start, which says the rest."""
    outcomes, asked = attempts
    outcomes |= {0: ("failed", 0.0, 0.0), 180: ("found", 0.5, 10.0), 170: ("found", 0.6, 0.0)}
    assert tried(turns_degrees=(180.0,), straight_degrees=8.0).evidence == 0.6
    np.testing.assert_allclose(asked, [0.0, 180.0, 170.0], atol=1e-9)


def test_the_second_match_is_within_what_both_show(monkeypatch):
    """Fixed places lie 6 slices of 4 mm lower in the moving scan; the margin adds two slices."""
    scan = prepared()
    fixed_mm = scan.image.world_from_voxel(np.argwhere(scan.body_mask.array)[::50])
    size = len(fixed_mm)
    lower_mm = fixed_mm - [0.0, 0.0, 24.0]
    matches = Correspondences(fixed_mm, lower_mm, np.ones(size), np.zeros(size), np.ones(size, bool))
    asked = []
    monkeypatch.setattr(turned_scans, "_match_bodies", lambda _, __, bodies: asked.append(bodies) or matches)

    def again(of):
        matched = MatchedScans(of, prepared(), np.eye(4), is_retried=False)
        fixed = (scan, SimpleNamespace(embedded=None))
        return turned_scans._match_shared(None, fixed, None, matched, fit=fit_settings(), margin_mm=9.0)

    found = again(matches)
    assert found.matches is matches
    assert found.is_retried
    fixed_body, moving_body = (body.array for body in asked[0])
    expected = [scan.body_mask.array.copy() for _ in range(2)]
    expected[0][:, :, :4] = 0
    expected[1][:, :, 20:] = 0
    np.testing.assert_array_equal(fixed_body, expected[0])
    np.testing.assert_array_equal(moving_body, expected[1])
    assert again(replace(matches, is_kept=np.zeros(size, bool))) is None
    far_mm = fixed_mm + np.array([1000.0, 0.0, 0.0])
    assert again(replace(matches, moving_mm=far_mm)) is None
    assert len(asked) == 1


def test_more_must_speak_for_a_start_that_is_not_of_the_first_try():
    """The same matches and images, the first time and another."""
    image, body = tissue()
    scan = PreparedVolume(image, body, None, {}, ())
    fixed_mm = body.world_from_voxel(np.argwhere(body.array)[::100])
    size = len(fixed_mm)
    matches = Correspondences(fixed_mm, fixed_mm, np.ones(size), np.zeros(size), np.ones(size, bool))
    first, later = (MatchedScans(matches, scan, np.eye(4), is_retried=again) for again in (False, True))

    def start(matched, **changes):
        return matched.start(scan, settings=fit_settings(images=image_settings(**changes)))

    evidence = start(later).evidence
    assert evidence > 1.0
    least = {"min_evidence": evidence - 0.2, "min_retried_evidence": evidence + 0.1}
    assert start(first, **least).status == "found"
    failed = start(later, **least)
    assert (failed.status, failed.evidence) == ("failed", 0.0)
    assert f"expected {evidence + 0.1:g} or more" in failed.reason
    assert start(later, **least | {"min_retried_evidence": evidence - 0.1}).status == "found"
    assert start(later, min_retried_evidence=None).status == "found"
    stricter = {"min_evidence": evidence + 0.1, "min_retried_evidence": evidence - 0.1}
    assert start(later, **stricter).status == "failed"  # a run file that asks more of the first try alone


@pytest.mark.parametrize("degrees", [0.0, -30.0])
def test_a_turned_scan_is_a_further_try(degrees, monkeypatch):
    monkeypatch.setattr(turned_scans, "_match_bodies", lambda *_: None)
    monkeypatch.setattr(turned_scans, "embed_prepared", lambda *_, **__: SimpleNamespace(embedded=None))
    scan = prepared(), SimpleNamespace(embedded=None, raw="scan")
    model = SimpleNamespace(card=SimpleNamespace(checkpoint_sha256=""))
    matched, _ = turned_scans._match_turned(model, scan, scan, degrees=degrees)
    assert matched.is_retried == (degrees != 0.0)
    np.testing.assert_allclose(matched.turn, turn_about_long_axis(scan[0].image, degrees))


@pytest.mark.parametrize("degrees", [0.0, 12.0, -30.0, 150.0])
def test_the_turn_of_a_map_is_that_about_the_long_axis(degrees):
    scan = prepared().image
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("x", 10.0, degrees=True).as_matrix() * 1.2
    turn = turn_about_long_axis(scan, degrees)
    assert turn_degrees(turn, scan) == pytest.approx(degrees, abs=1e-9)
    assert turn_degrees(turn @ tilt, scan) == pytest.approx(degrees, abs=1e-9)


def test_the_start_leads_to_the_scan_as_it_lies():
    """Matches of a prone patient, turned onto the back: the start turns by 180 degrees, which no limit forbids."""
    scan = prepared()
    turn = turn_about_long_axis(scan.image, 180.0)
    fixed_mm = scan.image.world_from_voxel(np.argwhere(scan.body_mask.array)[::50])
    matches = Correspondences(
        fixed_mm, fixed_mm, np.ones(len(fixed_mm)), np.zeros(len(fixed_mm)), np.ones(len(fixed_mm), bool)
    )
    start = MatchedScans(matches, turned_scan(scan, turn), turn, is_retried=True).start(
        prepared(), settings=fit_settings()
    )
    assert start.status == "found"
    np.testing.assert_allclose(start.matrix, np.linalg.inv(turn), atol=1e-9)
