"""Protocols by hand, against loops, and under motions that must not matter."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anatomical_embedding.datasets.lesion_annotations import read_annotations
from anatomical_embedding.evaluation.lesions.frames import annotation_affine, voxels_from_world
from anatomical_embedding.evaluation.lesions.metrics import PROTOCOLS, center_distances_mm, signed_errors_mm
from tests.lesion_examples import annotation_row, random_pairs, write
from tests.reference.lesion_tracking_by_loops import is_hit

PAIR = annotation_row()  # centre 110, 95, 12; 0.5 x 0.5 x 2 mm; radius 5 mm; box x 100-120, y 85-105, z 10-14


@pytest.mark.parametrize(
    ("point", "expected"),
    [  # dlt 10 mm, dlt radius, uae 10 mm, uae box, released box
        ([110.0, 95.0, 12.0], (True, True, True, True, True)),
        ([120.0, 95.0, 12.0], (True, False, True, False, False)),  # at the radius; the box is open above
        ([100.0, 95.0, 12.0], (True, False, True, True, True)),  # at the radius; the box is closed below
        ([110.0, 115.0, 12.0], (False, False, True, False, False)),  # at 10 mm
        ([110.0, 115.5, 12.0], (False, False, False, False, False)),
        ([110.0, 95.0, 10.0], (True, True, True, True, True)),
        ([110.0, 95.0, 13.5], (True, True, True, True, False)),  # released: 9 < z <= 13
        ([110.0, 95.0, 9.5], (True, False, True, False, True)),
        ([110.0, 95.0, 9.0], (False, False, True, False, False)),
        ([110.0, 95.0, 13.0], (True, True, True, True, True)),
        ([np.nan, np.nan, np.nan], (False, False, False, False, False)),
    ],
)
def test_protocols_by_hand(tmp_path, point, expected):
    pairs = read_annotations(write(tmp_path / "a.json", {"0001": PAIR}))
    dlt, uae, released = (protocol.hits_of(pairs, np.array([point])) for protocol in PROTOCOLS.values())
    assert (dlt.within_10mm[0], dlt.within_radius[0]) == expected[:2]
    assert (uae.within_10mm[0], uae.within_radius[0]) == expected[2:4]
    assert (released.within_10mm[0], released.within_radius[0]) == (expected[2], expected[4])


def test_dlt_caps_large_lesions_at_10_mm(tmp_path):
    row = PAIR | {"target recist diameter": [60.0, 50.0]}  # radius 15 mm
    pairs = read_annotations(write(tmp_path / "a.json", {"0001": row}))
    hits = PROTOCOLS["dlt"].hits_of(pairs, np.array([[134.0, 95.0, 12.0]]))  # 12 mm off
    assert (hits.within_10mm.tolist(), hits.within_radius.tolist()) == ([False], [True])


def test_errors_by_hand(tmp_path):
    pairs = read_annotations(write(tmp_path / "a.json", {"0001": PAIR}))
    points = np.array([[116.0, 95.0, 8.0]])  # +3 mm, 0, -8 mm
    np.testing.assert_allclose(signed_errors_mm(pairs, points), [[3.0, 0.0, -8.0]])
    np.testing.assert_allclose(center_distances_mm(pairs, points), [np.sqrt(73.0)])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_agree_with_loops(protocol):
    pairs, points = random_pairs(400, num_patients=20, seed=1)
    found = ~np.isnan(points[:, 0])
    points[::3] = np.round(points[::3])  # whole slices meet the edges of boxes
    hits = PROTOCOLS[protocol].hits_of(pairs, points)
    for index in np.flatnonzero(found):
        row = {
            "predict target center": points[index].tolist(),
            "target center": pairs.target_center_vox[index].tolist(),
            "target spacing": pairs.target_spacing_mm[index].tolist(),
            "target box": pairs.target_box_vox[index].tolist(),
            "target recist diameter": pairs.target_diameter_vox[index].tolist(),
        }
        assert hits.within_10mm[index] == is_hit(row, protocol, "cpm_10mm")
        assert hits.within_radius[index] == is_hit(row, protocol, "cpm_radius")
    assert not hits.within_10mm[~found].any()
    assert not hits.within_radius[~found].any()


@settings(max_examples=20)
@given(
    angles=st.tuples(*[st.floats(-180.0, 180.0)] * 3),
    shift=st.tuples(*[st.floats(-500.0, 500.0)] * 3),
    flips=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
)
def test_rigid_motion_and_flips_of_the_world_change_nothing(angles, shift, flips):
    """World points and frames move together: by any rotation, shift and mirror, every pair counts as before."""
    pairs, points = random_pairs(40, num_patients=5, seed=2)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(flips)
    motion[:3, 3] = shift
    affines = {
        name: motion @ np.diag([*spacing, 1.0])
        for name, spacing in zip(pairs.target_files, pairs.target_spacing_mm, strict=True)
    }
    world = [
        affines[name][:3] @ [*point, 1.0] for name, point in zip(pairs.target_files, points, strict=True)
    ]
    moved = voxels_from_world(world, pairs.target_files, affines)
    np.testing.assert_allclose(
        center_distances_mm(pairs, moved), center_distances_mm(pairs, points), atol=1e-6
    )
    for protocol in PROTOCOLS.values():
        before, after = protocol.hits_of(pairs, points), protocol.hits_of(pairs, moved)
        np.testing.assert_array_equal(after.within_10mm, before.within_10mm)
        np.testing.assert_array_equal(after.within_radius, before.within_radius)


@pytest.mark.parametrize(
    "flips", [(True, False, False), (False, True, False), (False, False, True), (True, True, True)]
)
def test_flips_of_the_stored_volume_change_nothing(flips):
    """A volume stored with reversed axes and the affine that says so has the same annotation grid."""
    pairs, points = random_pairs(40, num_patients=5, seed=3)
    shape = np.array([512, 512, 400])
    signs = np.where(flips, -1.0, 1.0)
    affines, frames = {}, {}
    for name, spacing in zip(pairs.target_files, pairs.target_spacing_mm, strict=True):
        affines[name] = np.diag([*(-spacing), 1.0])
        stored_from_annotation = np.diag([*signs, 1.0])
        stored_from_annotation[:3, 3] = np.where(flips, shape - 1.0, 0.0)
        frames[name] = annotation_affine(affines[name] @ stored_from_annotation, shape=shape)
    world = [
        affines[name][:3] @ [*point, 1.0] for name, point in zip(pairs.target_files, points, strict=True)
    ]
    np.testing.assert_allclose(voxels_from_world(world, pairs.target_files, frames), points, atol=1e-9)


def test_direction_of_the_index_does_not_matter():
    """With all index axes reversed the same pairs count, as long as no point meets the open end of a box."""
    pairs, points = random_pairs(200, num_patients=5, seed=4)
    last = 511.0
    low = last - pairs.box_high_vox
    reversed_pairs = replace(
        pairs,
        target_center_vox=last - pairs.target_center_vox,
        target_box_vox=np.column_stack([low, pairs.target_box_vox[:, 3:]]),
    )
    for name in ("dlt", "uae"):
        before = PROTOCOLS[name].hits_of(pairs, points)
        after = PROTOCOLS[name].hits_of(reversed_pairs, last - points)
        np.testing.assert_array_equal(after.within_10mm, before.within_10mm)
        np.testing.assert_array_equal(after.within_radius, before.within_radius)
