"""States of followed lesions, by trust in the place, presence and parts."""

import numpy as np
import pytest

from anatomical_embedding.follow.states import PlaceTrust, judge_state, trust_place
from anatomical_embedding.settings.follow import delivered_follow_settings

SETTINGS = delivered_follow_settings()


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
