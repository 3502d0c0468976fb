"""Lesions that are given at a later visit, and which of the followed ones they are."""

from pathlib import Path

import numpy as np
import pytest

from anatomical_embedding.follow.given import Assigned, assign_given
from anatomical_embedding.follow.given_rows import followed_row, middle_is_outside
from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.follow.visits import AskedVisit
from anatomical_embedding.volumes.volume import Volume


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
