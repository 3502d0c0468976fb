"""Scans turned about the long axis, and the starts that their matches give."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from anatomical_embedding.registration.correspondences import Correspondences
from anatomical_embedding.registration.guided_start import given_start
from anatomical_embedding.usage import registration
from anatomical_embedding.usage.turned_scans import MatchedScans, turn_about_long_axis, turned_scan
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine
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


def test_of_several_turns_the_one_with_most_agreement_counts(monkeypatch):
    """One turn gives no start, two give one; where none does, there is none."""
    limits = fit_settings().model_copy(update={"turns_degrees": (180.0, 30.0, -30.0)})
    usage = SimpleNamespace(scan_registration=SimpleNamespace(fit=limits))
    model = SimpleNamespace(card=SimpleNamespace(usage=usage))
    of_turns = [("failed", 0.0), ("found", 0.5), ("found", 0.7)]
    asked = []

    def match(*_, turns_degrees):
        asked.append(turns_degrees)
        for status, confidence in of_turns:
            start = replace(given_start(np.eye(4)), status=status, confidence=confidence)
            yield SimpleNamespace(start=lambda _, settings, start=start: start)

    monkeypatch.setattr(registration, "match_turned", match)
    start = registration._turned_start(model, prepared(), None, prepared(), None)
    assert (start.status, start.confidence) == ("found", 0.7)
    assert asked == [(180.0, 30.0, -30.0)]
    of_turns[1:] = []
    assert registration._turned_start(model, prepared(), None, prepared(), None) is None


def test_the_start_leads_to_the_scan_as_it_lies():
    """Matches of a prone patient, turned onto the back: the start turns by 180 degrees, which no limit forbids."""
    scan = prepared()
    turn = turn_about_long_axis(scan.image, 180.0)
    fixed_mm = scan.image.world_from_voxel(np.argwhere(scan.body_mask.array)[::50])
    matches = Correspondences(
        fixed_mm, fixed_mm, np.ones(len(fixed_mm)), np.zeros(len(fixed_mm)), np.ones(len(fixed_mm), bool)
    )
    start = MatchedScans(matches, turned_scan(scan, turn), turn).start(prepared(), settings=fit_settings())
    assert start.status == "found"
    np.testing.assert_allclose(start.matrix, np.linalg.inv(turn), atol=1e-9)
