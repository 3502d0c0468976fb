"""Lesions that have merged: places that are nearer, gaps that are filled."""

from types import SimpleNamespace

import numpy as np
import pytest

from anatomical_embedding.follow.merged import mark_merged, middles_of_one
from anatomical_embedding.follow.places import (
    AnsweredPlace,
)
from anatomical_embedding.follow.records import LesionRow
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.volume import Volume
from tests.followed_ball import AFFINE, CENTRE_MM, LESION_HU, TISSUE_HU

SETTINGS = delivered_follow_settings()


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
