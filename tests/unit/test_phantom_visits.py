"""Bodies at four visits: what is said of their lesions is what their scans show."""

import numpy as np
import pytest

from anatomical_embedding.phantom.visits import NUM_VISITS, make_visits
from tests.phantom_settings import phantom_settings

CHANGES = {
    "ct.field_of_view": {
        "size_vox": [64, 48, 36], "spacing_mm": [6.0, 6.0, 10.0], "shift_across_mm": 10.0, "shift_along_mm": 70.0
    },
    "ct.noise_hu": 0.0,
    "lesions": {"num_per_site": 5, "radius_mm": [9.0, 12.0]},
    "follow_up": {"slice_spacings_mm": [5.0, 10.0], "breath_mm": 10.0, "deformation_mm": 2.0, "growth": [0.8, 1.2]},
}  # fmt: skip
NODULE_HU = -400.0
"""Lesions in the lung are brighter, and the lung round them is darker."""


def ct_settings():
    return phantom_settings(CHANGES).subject_settings()


@pytest.fixture(scope="module")
def bodies():
    return [make_visits(ct_settings(), subject_index=index) for index in range(4)]


def states(bodies, number_of_visit):
    return {lesion.state for body in bodies for lesion in body[number_of_visit].lesions}


@pytest.mark.slow
def test_a_body_is_the_same_whenever_it_is_made(bodies):
    again = make_visits(ct_settings(), subject_index=0)
    for visit, other in zip(bodies[0], again, strict=True):
        assert np.array_equal(visit.scan.volume.array, other.scan.volume.array)
        assert np.array_equal(visit.label_map().array, other.label_map().array)


def test_lesions_have_every_fate(bodies):
    assert states(bodies, 0) <= {"present", "absent", "out_of_view"}
    assert {"present", "gone", "new", "merged", "split", "out_of_view"} <= states(bodies, 2) | states(
        bodies, 3
    )
    assert len({visit.scan.volume.spacing_mm[2] for body in bodies for visit in body}) == 2


def test_each_visit_has_the_same_lesions(bodies):
    for body in bodies:
        assert len(body) == NUM_VISITS
        numbers = [[lesion.number for lesion in visit.lesions] for visit in body]
        assert all(each == numbers[0] == list(range(1, len(numbers[0]) + 1)) for each in numbers)


def test_masks_are_the_voxels_of_the_balls(bodies):
    for visit in bodies[0]:
        labels = visit.label_map()
        for lesion in visit.lesions:
            found = labels.world_from_voxel(np.argwhere(labels.array == lesion.number))
            if lesion.state in ("gone", "absent"):
                assert not len(found)
            for point in found:
                assert min(np.linalg.norm(point - centre) - radius for centre, radius in lesion.balls) < 0


def test_a_lesion_in_the_lung_is_seen_where_it_is_said_to_be(bodies):
    shown = []
    for visit in (visit for body in bodies for visit in body):
        in_lung = [place.centre_mm for place in visit.scan.lesions if place.organ.startswith("lung")]
        for lesion in visit.lesions:
            if lesion.state == "present" and any(
                np.linalg.norm(lesion.balls[0][0] - centre) < 0.1 for centre in in_lung
            ):
                voxel = np.rint(visit.scan.volume.voxel_from_world(lesion.centre_mm)).astype(int)
                shown.append(visit.scan.volume.array[tuple(voxel)])
    assert len(shown) > 5
    assert min(shown) > NODULE_HU


def test_what_is_gone_has_no_ball(bodies):
    gone = [lesion for body in bodies for visit in body for lesion in visit.lesions if lesion.state == "gone"]
    assert gone
    assert not any(lesion.balls for lesion in gone)


def test_merging_lesions_come_to_overlap(bodies):
    apart = {False: [], True: []}
    for body in bodies:
        for number, visit in enumerate(body):
            by_number = {lesion.number: lesion for lesion in visit.lesions}
            for lesion in body[2].lesions:
                if lesion.related:
                    pair = (by_number[lesion.number], by_number[lesion.related[0]])
                    reach = sum(each.balls[0][1] for each in pair)
                    distance = np.linalg.norm(pair[0].balls[0][0] - pair[1].balls[0][0])
                    apart[number >= 2].append(distance - reach)
    assert min(apart[False]) > 0 > max(apart[True])


def test_parts_of_a_lesion_that_splits_can_be_measured(bodies):
    split = [each for body in bodies for visit in body for each in visit.lesions if each.state == "split"]
    assert split
    assert min(radius_mm for lesion in split for _, radius_mm in lesion.balls) >= 5.0
