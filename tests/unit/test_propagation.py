"""Masks carried by the points around them: to a body of known shape, judged, and refused where they are no masks."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.matching.prepared_target import prepare_target
from anatomical_embedding.matching.propagation import carry_by_anchors
from anatomical_embedding.matching.voxel_refinement import RefinedMatches
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.usage import PropagationSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import usage_sections
from tests.reference.synthetic_embeddings import synthetic_volume
from tests.unit.samples import oblique_affine

GRID = np.diag([2.0, 2.0, 2.0, 1.0])
SHAPE = (48, 44, 40)
SCALE = np.array([1.1, 0.95, 1.05])
SHIFT_MM = np.array([-5.0, 4.0, 3.0])
CENTRES_MM = {3: np.array([30.0, 30.0, 40.0]), 300: np.array([66.0, 50.0, 36.0])}
RADII_MM = {3: 12.0, 300: 6.0}  # an organ and a lesion
SETTINGS = PropagationSettings.model_validate(usage_sections()["propagation"])
MATCHING = MatchingSettings.model_validate(usage_sections()["matching"] | {"device": "cpu"})


def into_template(points_mm):
    return (points_mm - SHIFT_MM) / SCALE


def searchable(name, anatomy_of=lambda points_mm: points_mm, *, affine=GRID, shape=SHAPE):
    embedded = synthetic_volume(
        affine,
        shape,
        volume_id=name,
        anatomy_of=anatomy_of,
        num_channels=96,
        coarse_stride_vox=(8, 8, 8),
    )
    return prepare_target(embedded, settings=MATCHING)


@cache
def unchanged(name):
    """Return the body as it is; made once, for tests that do not change it."""
    return searchable(name)


def balls(anatomy_of=lambda points_mm: points_mm, *, affine=GRID, shape=SHAPE):
    """Return the labels of two balls of the template's world, seen through a map."""
    voxels = np.stack(np.indices(shape), axis=-1).reshape(-1, 3)
    places = anatomy_of(transform_points(affine, voxels))
    labels = np.zeros(len(voxels), np.uint16)
    for label, centre in CENTRES_MM.items():
        labels[np.linalg.norm(places - centre, axis=1) < RADII_MM[label]] = label
    return Volume(labels.reshape(shape), affine)


def dice(found, truth, label):
    here, there = found.array == label, truth.array == label
    return 2 * (here & there).sum() / (here.sum() + there.sum())


def carry(template, target, labels, *, grid, **changed):
    return carry_by_anchors(
        template,
        target,
        labels,
        template_body=None,
        grid=grid,
        matching=MATCHING,
        settings=SETTINGS.model_copy(update=changed),
    )


@pytest.mark.slow
def test_an_organ_and_a_lesion_arrive_in_a_body_of_another_shape():
    truth = balls(into_template)
    fine = balls(
        affine=np.diag([1.0, 1.0, 1.0, 1.0]), shape=(96, 88, 80)
    )  # a mask may be finer than its scan
    found = carry(searchable("template"), searchable("target", into_template), fine, grid=truth)
    assert set(np.unique(found.volume.array)) == {0, 3, 300}
    assert dice(found.volume, truth, 3) > 0.92
    assert dice(found.volume, truth, 300) > 0.8
    for row in found.labels:
        assert row.decision == "found"
        ball_ml = 4 / 3 * np.pi * RADII_MM[row.label] ** 3 / 1000
        assert row.from_ml == pytest.approx(ball_ml, rel=0.03)
        assert row.to_ml == pytest.approx(ball_ml * SCALE.prod(), rel=0.1)


@pytest.mark.slow
def test_the_grid_asked_for_may_be_any():
    affine = oblique_affine((10.0, -15.0, 20.0), (1.5, 2.5, 3.0), (10.0, -20.0, 5.0))
    truth = balls(into_template, affine=affine, shape=(60, 50, 40))
    found = carry(searchable("template"), searchable("target", into_template), balls(), grid=truth)
    np.testing.assert_array_equal(found.volume.affine, affine)
    assert dice(found.volume, truth, 3) > 0.92


@pytest.mark.slow
def test_fewer_points_are_asked_where_there_would_be_too_many():
    truth = balls(into_template)
    found = carry(
        searchable("template"), searchable("target", into_template), balls(), grid=truth, max_num_anchors=100
    )
    assert all(8 <= row.num_asked <= 100 for row in found.labels)
    assert dice(found.volume, truth, 3) > 0.85


@pytest.mark.slow
def test_points_that_are_not_moved_by_the_scans_go_with_those_around_them():
    """A stand-in for the scans moves each point by one shift, so the labels have to arrive moved by it."""
    num_asked, shift_mm = [], np.array([6.0, 0.0, 0.0])

    def refine(points_mm, matches_mm):
        num_asked.append(len(points_mm))
        number = np.zeros(len(points_mm))
        reason = tuple("a reason" if row == 0 else "" for row in range(len(points_mm)))
        is_refined = np.array([not text for text in reason])
        moved_mm = np.where(is_refined[:, np.newaxis], matches_mm + shift_mm, matches_mm)
        return RefinedMatches(moved_mm, is_refined, reason, number, number)

    found = carry_by_anchors(
        unchanged("template"),
        unchanged("target"),
        balls(),
        template_body=None,
        grid=balls(),
        matching=MATCHING,
        settings=SETTINGS.model_copy(update={"max_num_refined": 40}),
        refine=refine,
    )
    assert num_asked == [40] and sum(row.num_anchors for row in found.labels) > 80
    truth = balls(lambda points_mm: points_mm - shift_mm)
    assert dice(found.volume, truth, 3) > 0.9 and dice(found.volume, truth, 300) > 0.8
    assert found.refined == "yes"


@pytest.mark.slow
def test_what_is_not_in_the_target_is_not_carried():
    """The target shows only the part of the body around the first ball."""
    shape = (24, 44, 40)
    target = searchable("target", shape=shape)
    found = carry(searchable("template"), target, balls(), grid=Volume(np.zeros(shape), GRID))
    by_label = {row.label: row for row in found.labels}
    assert by_label[3].decision == "found"
    assert by_label[300].decision == "failed" and by_label[300].reason
    assert by_label[300].to_ml == 0
    assert set(np.unique(found.volume.array)) == {0, 3}


@pytest.mark.slow
def test_a_target_without_the_anatomy_gives_nothing():
    target = searchable("target", lambda points_mm: points_mm + 5000.0)
    found = carry(searchable("template"), target, balls(), grid=balls(), max_cycle_error_mm=2.0)
    assert {row.decision for row in found.labels} <= {"failed", "review"}


def test_what_cannot_be_carried_is_refused():
    template, target = searchable("template"), searchable("target")
    with pytest.raises(UserError, match="the label map is empty"):
        carry(template, target, Volume(np.zeros(SHAPE, np.uint8), GRID), grid=balls())
    far = GRID.copy()
    far[:3, 3] = 9000.0
    with pytest.raises(
        UserError, match="not of the scan 'template': all of each of its 2 labels lies outside"
    ):
        carry(template, target, Volume(balls().array, far), grid=balls())
    other = dataclasses.replace(target.embedded.origin, checkpoint_sha256="d" * 64)
    strange = prepare_target(dataclasses.replace(target.embedded, origin=other), settings=MATCHING)
    with pytest.raises(UserError, match="come from different models"):
        carry(template, strange, balls(), grid=balls())


@pytest.mark.parametrize("value", [0.5, -1.0, 70000.0])
def test_a_mask_holds_whole_numbers(tmp_path, value):
    array = np.zeros((4, 4, 4), np.float32)
    array[1, 1, 1] = value
    write_volume(Volume(array, GRID), tmp_path / "mask.nii.gz")
    with pytest.raises(
        InputFileError, match=rf"mask\.nii\.gz: has the value {value:g}, expected whole numbers"
    ):
        read_label_file(tmp_path / "mask.nii.gz")


# A map that is not of this scan


def moved_balls(shift_mm, *, labels=(3, 300)):
    """Return the map of the balls whose origin was moved, with some of the labels alone."""
    volume = balls()
    affine = volume.affine.copy()
    affine[:3, 3] += shift_mm
    return Volume(np.where(np.isin(volume.array, labels), volume.array, 0).astype(np.uint16), affine)


def share_outside(labels, label):
    """Return which part of a label lies beyond the voxels of the template, by their places in the world."""
    places = labels.affine[:3, 3] + 2.0 * np.argwhere(labels.array == label)  # 2 mm along the world's axes
    lowest, highest = np.full(3, -1.0), 2.0 * np.array(SHAPE) - 1.0
    return 1.0 - np.all((places >= lowest) & (places <= highest), axis=1).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift_mm", "decision", "word"),
    [((-16.0, 0, 0), "found", ""), ((-24.0, 0, 0), "review", "outside the scan")],
    ids=["within", "cut"],
)
def test_a_label_that_leaves_the_scan_is_for_review(shift_mm, decision, word):
    labels = moved_balls(shift_mm, labels=[3])
    expected = share_outside(labels, 3)
    assert (expected > 0) == (decision == "review")
    (row,) = carry(unchanged("template"), unchanged("target"), labels, grid=balls()).labels
    assert row.outside_share == pytest.approx(expected)
    assert (row.decision, word in row.reason) == (decision, True)


@pytest.mark.slow
def test_a_label_mostly_outside_fails_and_the_others_are_carried():
    labels = moved_balls((-34.0, 0.0, 0.0))
    expected = share_outside(labels, 3)
    assert 0.5 < expected < 1.0 and share_outside(labels, 300) == 0.0
    found = carry(unchanged("template"), unchanged("target"), labels, grid=balls())
    by_label = {row.label: row for row in found.labels}
    assert by_label[3].decision == "failed" and by_label[3].to_ml == 0.0
    assert by_label[3].reason == f"{100 * expected:.0f} % of it lies outside the scan that it belongs to"
    assert by_label[300].decision == "found" and by_label[300].outside_share == 0.0
    assert set(np.unique(found.volume.array)) == {0, 300}


@pytest.mark.slow
def test_a_label_in_the_air_is_for_review():
    body = np.ones(SHAPE, np.uint8)
    body[: int(CENTRES_MM[3][0] / 2) + 4] = 0  # 8 mm beyond the middle of the ball of 12 mm radius
    expected = float((body[balls().array == 3] == 0).mean())
    assert 0.5 < expected < 1.0
    found = carry_by_anchors(
        unchanged("template"),
        unchanged("target"),
        moved_balls((0.0, 0.0, 0.0), labels=[3]),
        template_body=Volume(body, GRID),
        grid=balls(),
        matching=MATCHING,
        settings=SETTINGS,
    )
    (row,) = found.labels
    assert (row.decision, row.reason) == ("review", f"{100 * expected:.0f} % of it lies outside the body")


@pytest.mark.parametrize(("shift_mm", "share"), [((-34.0, 0, 0), None), ((5000.0, 0, 0), "all")])
def test_a_map_of_another_place_is_refused(shift_mm, share):
    labels = moved_balls(shift_mm, labels=[3])
    said = share or f"{100 * share_outside(labels, 3):.0f} %"
    with pytest.raises(UserError, match=f"not of the scan 'template': {said} of label 3 lies outside it"):
        carry(unchanged("template"), unchanged("target"), labels, grid=balls())
