"""Array order: every voxel keeps its value and its place."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from anatomical_embedding.volumes.orientation import axis_codes, to_lps
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import affines


def _values_by_place(volume):
    indices = np.argwhere(np.ones(volume.shape, bool))
    places_mm = volume.world_from_voxel(indices)
    return {volume.array[tuple(index)]: place for index, place in zip(indices, places_mm, strict=True)}


@settings(max_examples=60)
@given(affine=affines(largest_angle_deg=40.0), order=strategies.permutations((0, 1, 2)))
def test_every_voxel_keeps_its_value_and_its_place_in_the_world(affine, order):
    affine = affine[:, [*order, 3]]
    volume = Volume(np.arange(2 * 3 * 5).reshape(2, 3, 5), affine)
    oriented = to_lps(volume)
    before, after = _values_by_place(volume), _values_by_place(oriented)
    assert before.keys() == after.keys()
    assert all(np.allclose(before[value], after[value], atol=1e-9) for value in before)
    assert axis_codes(oriented) == ("L", "P", "S")
    assert np.shares_memory(oriented.array, volume.array)


@settings(max_examples=60)
@given(affine=affines(largest_angle_deg=20.0), order=strategies.permutations((0, 1, 2)))
def test_each_axis_runs_closest_to_its_own_direction(affine, order):
    oriented = to_lps(Volume(np.zeros((2, 2, 2)), affine[:, [*order, 3]]))
    directions = oriented.affine[:3, :3] / oriented.spacing_mm
    towards_lps = np.array([-1.0, -1.0, 1.0])[:, None] * directions
    assert np.array_equal(np.abs(towards_lps).argmax(axis=0), [0, 1, 2])
    assert np.all(np.diag(towards_lps) > 0)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_the_origin_follows_a_flip(signs):
    affine = np.diag([*np.multiply(signs, (1.0, 2.0, 3.0)), 1.0])
    oriented = to_lps(Volume(np.zeros((4, 5, 6)), affine))
    corner_mm = [3.0 if signs[0] > 0 else 0.0, 8.0 if signs[1] > 0 else 0.0, 0.0 if signs[2] > 0 else -15.0]
    assert np.allclose(oriented.affine[:3, 3], corner_mm)
