"""Points that a registration carries: the words of every other answer, each by a case worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from anatomical_embedding.matching.decision import Decision
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.guided_start import given_start
from anatomical_embedding.settings.run_file import completed_run_file
from anatomical_embedding.settings.usage import ConfidenceSettings
from anatomical_embedding.usage.carried_points import carry_registered_points
from anatomical_embedding.usage.registration import ScanRegistration
from anatomical_embedding.volumes.volume import Volume

POINTS = np.array(
    [[20.0, 20, 20], [60, 20, 20], [20, 20, 60], [-60, 20, 20], [20, 20, -10]]
)  # sure; 16 mm off; nothing registered; out of view; outside its own scan


def registration(*, status="given", with_doubt=True) -> ScanRegistration:
    """Return a scan from x = -80 mm on and one of which -20 mm is the first place by the start, which adds 100 mm.

    The doubt is 4 mm, 16 mm from x = 40 mm on, and reaches to z = 44 mm.
    """
    here, there = np.diag([4.0, 4, 4, 1]), np.diag([4.0, 4, 4, 1])
    here[0, 3] = -80.0
    there[:3, 3] = (80.0, 0, -40)
    start = np.eye(4)
    start[0, 3] = 100.0
    values = np.full((40, 20, 12), 4.0, np.float32)
    values[30:] = 16.0
    return ScanRegistration(
        replace(given_start(start), status=status, reason="few agree" if status == "failed" else ""),
        DisplacementField(np.zeros((40, 20, 20, 3), np.float32), here),
        Volume(np.zeros((40, 20, 20), np.int16), here),
        Volume(np.zeros((25, 20, 40), np.int16), there),
        doubt=Volume(values, here) if with_doubt else None,
    )


def model(**decision):
    """Return what a model's card says of answers that are found."""
    section = completed_run_file({"preparation": "small"})["confidence"]
    section["decision"] |= decision
    settings = ConfidenceSettings.model_validate(section, strict=False)
    return SimpleNamespace(card=SimpleNamespace(usage=SimpleNamespace(confidence=settings)))


def test_each_point_is_judged_by_how_far_it_may_be_off():
    carried = carry_registered_points(model(), registration(), POINTS)
    np.testing.assert_allclose(carried.points_mm, POINTS + np.array([100.0, 0, 0]), atol=1e-4)
    np.testing.assert_allclose(carried.doubt_mm[:3], [4, 16, np.nan])
    assert carried.decision == ("found", "review", "unknown", "out_of_view", "review")
    assert set(carried.decision) <= set(get_args(Decision))
    assert carried.reason[0] == ""
    assert carried.reason[1] == "80 % sure to lie within 16.0 mm, not 80 % within 10 mm"
    assert all(carried.reason[1:])


def test_points_of_the_moving_scan_are_judged_where_they_land(binary):
    found = replace(registration(), program=binary)
    there = carry_registered_points(model(), found, POINTS[:3])
    back = carry_registered_points(model(), found, there.points_mm, side="moving")
    np.testing.assert_allclose(back.points_mm, POINTS[:3], atol=0.01)
    assert back.decision == there.decision
    np.testing.assert_allclose(back.doubt_mm, there.doubt_mm, atol=0.01)


def test_without_a_start_every_point_has_failed():
    carried = carry_registered_points(model(), registration(status="failed", with_doubt=False), POINTS)
    assert carried.decision == ("failed",) * 5
    assert carried.reason[0].endswith(": few agree")


@pytest.mark.parametrize(("asked", "decision"), [(0.7, "found"), (0.8, "found"), (0.9, "review")])
def test_a_user_who_asks_for_more_than_the_doubt_tells_has_to_review(asked, decision):
    carried = carry_registered_points(model(found_probability=asked), registration(), POINTS[:1])
    assert carried.decision == (decision,)


def test_what_no_doubt_is_known_of_is_unknown():
    carried = carry_registered_points(model(), registration(with_doubt=False), POINTS)
    assert carried.decision == ("unknown", "unknown", "unknown", "out_of_view", "review")
    assert np.isnan(carried.doubt_mm).all()
