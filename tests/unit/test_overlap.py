"""Dice and surface distance by hand and against loops."""

import math

import numpy as np
import pytest

from anatomical_embedding.errors import UserError
from anatomical_embedding.evaluation.registration.overlap import (
    dice_of_masks,
    measure_overlap,
    surface_distances_mm,
)
from anatomical_embedding.volumes.volume import Volume

SPACING = (1.0, 2.0, 5.0)


def volume_of(*boxes, dtype=np.uint8, affine=None):
    """Return a 12 x 12 x 12 label map with boxes (label, x, y, z) at 1 x 2 x 5 mm."""
    array = np.zeros((12, 12, 12), dtype=dtype)
    for label, *ranges in boxes:
        array[tuple(slice(*bounds) for bounds in ranges)] = label
    return Volume(array, np.diag([*SPACING, 1.0]) if affine is None else affine)


def distances_by_loops(first, second):
    """Return all distances between the surfaces of two masks, voxel by voxel."""

    def surface(mask):
        inside = {tuple(index) for index in np.argwhere(mask)}
        steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
        return [
            index
            for index in sorted(inside)
            if any(tuple(a + b for a, b in zip(index, step, strict=True)) not in inside for step in steps)
        ]

    def distance(a, b):
        return math.sqrt(sum(((i - j) * s) ** 2 for i, j, s in zip(a, b, SPACING, strict=True)))

    one, other = surface(first), surface(second)
    return [min(distance(a, b) for b in other) for a in one] + [
        min(distance(b, a) for a in one) for b in other
    ]


def test_plates_moved_along_z_by_hand():
    """Two plates of one slice, two slices apart: every distance is 10 mm, nothing is common."""
    predicted = volume_of((3, (0, 4), (0, 4), (2, 3)))
    truth = volume_of((3, (0, 4), (0, 4), (4, 5)))
    (overlap,) = measure_overlap(predicted, truth, labels=[3])
    assert overlap.dice == 0.0
    assert (overlap.mean_distance_mm, overlap.p95_distance_mm) == (10.0, 10.0)
    assert overlap.reason == ""


def test_shifted_rods_by_hand():
    """Rods of four voxels, one voxel apart along x (1 mm): six of eight voxels common, two ends 1 mm off."""
    predicted = volume_of((1, (2, 6), (3, 4), (3, 4)))
    truth = volume_of((1, (3, 7), (3, 4), (3, 4)))
    (overlap,) = measure_overlap(predicted, truth, labels=[1])
    assert overlap.dice == 0.75
    assert overlap.mean_distance_mm == pytest.approx(2 / 8)


def test_distances_agree_with_loops():
    generator = np.random.default_rng(3)
    for _ in range(5):
        first, second = generator.random((2, 6, 5, 4)) < 0.5
        np.testing.assert_allclose(
            surface_distances_mm(first, second, spacing_mm=SPACING), distances_by_loops(first, second)
        )


def test_measured_boxes_change_nothing():
    """The measure in the box around a label equals that in the whole volume, at the border of the volume too."""
    predicted = volume_of((1, (0, 5), (2, 7), (0, 3)), (2, (6, 9), (6, 9), (6, 9)))
    truth = volume_of((1, (1, 6), (2, 8), (0, 4)), (2, (6, 9), (6, 10), (6, 9)))
    for overlap in measure_overlap(predicted, truth, labels=[1, 2]):
        masks = predicted.array == overlap.label, truth.array == overlap.label
        distances = distances_by_loops(*masks)
        assert overlap.dice == dice_of_masks(*masks)
        assert overlap.mean_distance_mm == pytest.approx(np.mean(distances))
        assert overlap.p95_distance_mm == pytest.approx(np.quantile(distances, 0.95))


def test_equal_maps_agree_wholly():
    volume = volume_of((1, (2, 6), (2, 6), (2, 6)))
    (overlap,) = measure_overlap(volume, volume, labels=[1])
    assert (overlap.dice, overlap.p95_distance_mm) == (1.0, 0.0)


def test_missing_labels_are_rows_with_a_reason():
    predicted = volume_of((1, (0, 2), (0, 2), (0, 2)))
    truth = volume_of((2, (0, 2), (0, 2), (0, 2)))
    overlaps = measure_overlap(predicted, truth, labels=[1, 2, 7])
    assert [overlap.reason for overlap in overlaps] == [
        "missing in the truth",
        "missing in the prediction",
        "missing in both maps",
    ]
    assert [overlap.dice for overlap in overlaps[:2]] == [0.0, 0.0]
    assert np.isnan(overlaps[2].dice)
    assert all(np.isnan(overlap.mean_distance_mm) for overlap in overlaps)


def test_other_grids_and_values_are_refused():
    volume = volume_of((1, (0, 2), (0, 2), (0, 2)))
    with pytest.raises(UserError, match="shapes"):
        measure_overlap(Volume(volume.array[1:], volume.affine), volume, labels=[1])
    with pytest.raises(UserError, match="different affines"):
        measure_overlap(volume_of(affine=np.eye(4)), volume, labels=[1])
    with pytest.raises(UserError, match="float32"):
        measure_overlap(volume_of(dtype=np.float32), volume, labels=[1])


def test_empty_masks_have_no_dice():
    assert np.isnan(dice_of_masks(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)))
