"""What a reader could sign of the lesions of a phantom, on label maps made by hand."""

from pathlib import Path

import numpy as np
import pytest

from anatomical_embedding.phantom.visits import TrueLesion
from anatomical_embedding.volumes.volume import Volume
from benchmarks.followed_bodies import FollowedBody, KnownVisit
from benchmarks.readable_truth import CUT, FAINT, SMALL, TOUCHING, ReadableTruth, readable_truth

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (30, 12, 12)
Y_MM = Z_MM = 17.0


def lesion(number, state, x_mm, balls):
    """Return a lesion with its middle at a place of the x axis; balls are (x, radius) in mm."""
    return TrueLesion(
        number,
        state,
        np.array([x_mm, Y_MM, Z_MM]),
        tuple((np.array([x, Y_MM, Z_MM]), radius) for x, radius in balls),
        (),
    )


def visit_of(*lesions):
    """Return a visit whose voxels are labelled where their centres lie in a ball."""
    places = np.stack(np.meshgrid(*(3.0 * np.arange(size) for size in SHAPE), indexing="ij"), axis=-1)
    labels = np.zeros(SHAPE, np.uint8)
    for each in lesions:
        for centre, radius in each.balls:
            labels[np.linalg.norm(places - centre, axis=-1) < radius] = each.number
    return KnownVisit(Path("scan.nii.gz"), Volume(labels, AFFINE), lesions)


def truth_of(first, now, contrasts=None):
    """Return what could be signed at the second of two visits."""
    known = FollowedBody((visit_of(*first), visit_of(*now)), Path("first"), Path("last"))
    shown = {each.number: 5.0 for each in first if each.state == "present"}
    return readable_truth(known, 1, shown | (contrasts or {}))


def test_two_balls_that_touch_on_the_voxels_have_merged_whatever_was_drawn():
    apart = [lesion(1, "present", 30, [(30, 7)]), lesion(2, "present", 54, [(54, 7)])]
    touching = [lesion(1, "present", 36, [(36, 7)]), lesion(2, "present", 48, [(48, 7)])]
    assert {each.state for each in truth_of(apart, apart).values()} == {"present"}
    assert set(truth_of(apart, touching).values()) == {ReadableTruth("merged", "")}
    # Two that touched before have not merged since.
    assert set(truth_of(touching, touching).values()) == {ReadableTruth("merged", TOUCHING)}


def boxes(*placed):
    """Return a visit of boxes of voxels, (number, state, corner, size): what touches by an edge is exact there."""
    labels = np.zeros(SHAPE, np.uint8)
    states = {}
    for number, state, corner, size in placed:
        labels[tuple(slice(start, start + size) for start in corner)] = number
        states[number] = state
    lesions = tuple(
        TrueLesion(number, state, 3.0 * np.argwhere(labels == number).mean(axis=0), ((np.zeros(3), 8.0),), ())
        for number, state in states.items()
    )
    return KnownVisit(Path("scan.nii.gz"), Volume(labels, AFFINE), lesions)


APART = boxes((1, "present", (4, 3, 3), 3), (2, "present", (8, 6, 3), 3))
BY_EDGES = boxes((1, "present", (4, 3, 3), 3), (2, "present", (7, 6, 3), 3))
BY_FACES = boxes((1, "present", (4, 3, 3), 3), (2, "present", (7, 5, 3), 3))


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        (APART, BY_FACES, ReadableTruth("merged", "")),
        (BY_EDGES, BY_FACES, ReadableTruth("merged", TOUCHING)),  # no whole voxel was between them
        (APART, BY_EDGES, ReadableTruth("present", TOUCHING)),
        (BY_EDGES, BY_EDGES, ReadableTruth("present", "")),
        (BY_EDGES, APART, ReadableTruth("present", "")),
    ],
)
def test_what_an_edge_alone_joins_is_neither_apart_nor_one(first, now, expected, monkeypatch):
    monkeypatch.setattr("benchmarks.readable_truth._is_cut", lambda *_: False)
    known = FollowedBody((first, now), Path("first"), Path("last"))
    assert set(readable_truth(known, 1, {1: 5.0, 2: 5.0}).values()) == {expected}


def test_parts_that_an_edge_joins_can_not_be_told_to_have_split(monkeypatch):
    monkeypatch.setattr("benchmarks.readable_truth._is_cut", lambda *_: False)
    whole = boxes((1, "present", (4, 3, 3), 5))
    for apart, beside in ((7, TOUCHING), (8, "")):
        now = boxes((1, "split", (4, 3, 3), 3), (1, "split", (apart, 6, 3), 3))
        known = FollowedBody((whole, now), Path("first"), Path("last"))
        assert readable_truth(known, 1, {1: 5.0})[1] == ReadableTruth("split", beside)


def test_a_lesion_has_split_where_its_parts_do_not_hang_together():
    whole = [lesion(1, "present", 45, [(45, 12)])]
    apart = [lesion(1, "split", 45, [(36, 7), (54, 7)])]
    together = [lesion(1, "split", 45, [(39, 7), (51, 7)])]
    assert truth_of(whole, apart)[1] == ReadableTruth("split", "")
    assert truth_of(whole, together)[1] == ReadableTruth("present", "")


@pytest.mark.parametrize(
    ("now", "contrast", "expected"),
    [
        (("present", 45, [(45, 8)]), 1.4, ReadableTruth("present", FAINT)),
        (("present", 45, [(45, 4.9)]), 5.0, ReadableTruth("present", SMALL)),
        (("split", 45, [(36, 7), (54, 4.9)]), 5.0, ReadableTruth("split", SMALL)),
        (("present", 83, [(83, 8)]), 5.0, ReadableTruth("present", CUT)),  # the scan ends at 88.5 mm
        (("gone", 83, []), 5.0, ReadableTruth("gone", CUT)),
        (("out_of_view", 94, [(94, 8)]), 5.0, ReadableTruth("out_of_view", CUT)),
        (("out_of_view", 99, [(99, 8)]), 5.0, ReadableTruth("out_of_view", "")),
        (("gone", 45, []), 5.0, ReadableTruth("gone", "")),
    ],
)
def test_what_no_reader_could_judge_is_counted_beside(now, contrast, expected):
    first = [lesion(1, "present", 45, [(45, 8)])]
    assert truth_of(first, [lesion(1, *now)], {1: contrast})[1] == expected


def test_a_lesion_that_merged_with_a_faint_one_is_as_faint():
    apart = [lesion(1, "present", 30, [(30, 7)]), lesion(2, "present", 54, [(54, 7)])]
    touching = [lesion(1, "merged", 36, [(36, 7)]), lesion(2, "merged", 48, [(48, 7)])]
    assert set(truth_of(apart, touching, {2: 1.0}).values()) == {ReadableTruth("merged", FAINT)}


def test_what_the_first_visit_does_not_show_is_new():
    first = [lesion(1, "absent", 45, [])]
    assert truth_of(first, [lesion(1, "new", 45, [(45, 8)])])[1] == ReadableTruth("new", "")
    assert truth_of(first, [lesion(1, "new", 45, [(45, 4)])])[1] == ReadableTruth("new", SMALL)
