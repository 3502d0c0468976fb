"""Whether a followed lesion is there: how much its place looks as it did."""

import numpy as np
import pytest

from anatomical_embedding.follow.look import Likeness, Look, likeness, measure_look, presence
from anatomical_embedding.settings.follow import delivered_follow_settings
from tests.followed_ball import CENTRE_MM, LESION_HU, TISSUE_HU, scan_with_ball

SETTINGS = delivered_follow_settings()


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
