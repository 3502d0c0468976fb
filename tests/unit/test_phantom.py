"""Subjects of the phantom data set: known correspondence, determinism, look, lesions, second time point."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.phantom.landmarks import atlas_landmarks
from anatomical_embedding.phantom.scan import PhantomScan
from anatomical_embedding.phantom.synthetic_body import make_follow_up, make_subject
from anatomical_embedding.phantom.tissues import ORGAN_IDS
from anatomical_embedding.settings.phantom import subject_id, volume_id
from tests.phantom_settings import phantom_settings

CT_ONLY = {"modalities": ["ct"]}
COARSE = {
    "modalities": ["ct"],
    "ct.field_of_view.size_vox": [48, 36, 48],
    "ct.field_of_view.spacing_mm": [8.0, 8.0, 8.0],
}


def ct_of(subject_index: int, changes: dict | None = None) -> PhantomScan:
    scan = make_subject(phantom_settings(CT_ONLY | (changes or {})), subject_index=subject_index).ct
    assert scan is not None
    return scan


@pytest.fixture(scope="module")
def scans() -> list[PhantomScan]:
    return [ct_of(index) for index in range(4)]


@pytest.mark.slow
def test_scan_is_ct_in_lps_order_with_labels_on_its_grid(scans):
    volume, labels = scans[0].volume, scans[0].labels
    assert volume.array.dtype == np.int16
    assert labels.array.dtype == np.uint8
    assert volume.shape == labels.shape == (96, 72, 96)
    np.testing.assert_array_equal(np.sign(np.diag(volume.affine)), [-1, -1, 1, 1])
    np.testing.assert_allclose(volume.spacing_mm, 4.0)
    np.testing.assert_array_equal(volume.affine, labels.affine)


def test_landmarks_of_one_subject_carried_through_the_atlas_are_those_of_another(scans):
    first, second = scans[0], scans[1]
    shared = sorted(first.landmarks_mm.keys() & second.landmarks_mm.keys())
    assert len(shared) >= 30
    carried = second.world_from_atlas(first.atlas_from_world([first.landmarks_mm[name] for name in shared]))
    np.testing.assert_allclose(carried, [second.landmarks_mm[name] for name in shared], atol=0.1)


def test_landmarks_outside_of_the_field_of_view_are_not_listed(scans):
    for scan in scans:
        for name, point in atlas_landmarks().items():
            voxel = scan.volume.voxel_from_world(scan.world_from_atlas([point]))[0]
            is_inside = bool(np.all((voxel >= 0) & (voxel <= np.array(scan.volume.shape) - 1)))
            assert (name in scan.landmarks_mm) == is_inside
    assert len({frozenset(scan.landmarks_mm) for scan in scans}) > 1


def test_labels_at_organ_centres_are_the_organs(scans):
    centres = {"liver_centre": "liver", "kidney_centre_left": "kidney_left", "vertebra_L1": "vertebra_L1"}
    for scan in scans:
        for landmark, organ in centres.items():
            if landmark in scan.landmarks_mm:
                voxel = np.rint(scan.volume.voxel_from_world(scan.landmarks_mm[landmark][None])[0]).astype(
                    int
                )
                assert scan.labels.array[tuple(voxel)] == ORGAN_IDS[organ]


@pytest.mark.parametrize(
    ("organ", "lowest_hu", "highest_hu"),
    [("lung_right", -900, -700), ("liver", 30, 150), ("spleen", 30, 200), ("kidney_left", 20, 300)],
)
def test_organs_have_their_density(scans, organ, lowest_hu, highest_hu):
    for scan in scans:
        inside = scan.volume.array[scan.labels.array == ORGAN_IDS[organ]]
        assert inside.size > 100
        assert lowest_hu < np.median(inside) < highest_hu


@pytest.mark.slow
def test_contrast_agent_brightens_the_aorta():
    plain = ct_of(0, {"ct.arterial_phase": [0, 0], "ct.venous_phase": [0, 0], "ct.tissue_variation_hu": 0})
    arterial = ct_of(0, {"ct.arterial_phase": [1, 1], "ct.venous_phase": [0, 0], "ct.tissue_variation_hu": 0})
    is_aorta = plain.labels.array == ORGAN_IDS["aorta"]
    np.testing.assert_array_equal(is_aorta, arterial.labels.array == ORGAN_IDS["aorta"])
    gain = np.median(arterial.volume.array[is_aorta]) - np.median(plain.volume.array[is_aorta])
    assert 150 < gain < 280


@pytest.mark.slow
def test_noise_has_its_standard_deviation():
    quiet, noisy = (ct_of(1, {**COARSE, "ct.noise_hu": noise}) for noise in (0.0, 30.0))
    difference = noisy.volume.array.astype(float) - quiet.volume.array
    inside = quiet.volume.array > -200
    assert difference[inside].std() == pytest.approx(30.0, rel=0.05)


@pytest.mark.slow
def test_same_seed_gives_the_same_voxels_and_another_seed_others():
    first, again, other = ct_of(2, COARSE), ct_of(2, COARSE), ct_of(2, COARSE | {"seed": 99})
    np.testing.assert_array_equal(first.volume.array, again.volume.array)
    np.testing.assert_array_equal(first.volume.affine, again.volume.affine)
    assert not np.array_equal(first.volume.array, other.volume.array)


def test_subject_does_not_depend_on_how_many_there_are():
    few, many = ct_of(2, COARSE | {"num_subjects": 8}), ct_of(2, COARSE | {"num_subjects": 500})
    np.testing.assert_array_equal(few.volume.array, many.volume.array)
    np.testing.assert_array_equal(few.volume.affine, many.volume.affine)


@pytest.mark.slow
def test_ct_does_not_depend_on_whether_an_mr_is_made():
    alone = ct_of(0, COARSE)
    both = make_subject(phantom_settings(COARSE | {"modalities": ["ct", "mr"]}), subject_index=0)
    assert both.ct is not None
    np.testing.assert_array_equal(alone.volume.array, both.ct.volume.array)


@pytest.mark.slow
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_ct_and_mr_show_the_same_atlas_in_worlds_that_differ_by_the_known_move(seed):
    subject = make_subject(
        phantom_settings(
            COARSE
            | {
                "seed": seed,
                "modalities": ["ct", "mr"],
                "mr.breath_mm": 0,
                "mr.deformation_mm": 0,
                "ct.field_of_view.size_vox": [16, 16, 16],
                "mr.field_of_view.size_vox": [16, 16, 16],
            }
        ),
        subject_index=0,
    )
    assert subject.ct is not None
    assert subject.mr is not None
    atlas_points = list(atlas_landmarks().values())
    in_ct, in_mr = (scan.world_from_atlas(atlas_points) for scan in (subject.ct, subject.mr))
    rotation = subject.mr.motion.rotation @ subject.ct.motion.rotation.T
    moved = (in_ct - subject.ct.motion.origin_mm) @ rotation.T + subject.mr.motion.origin_mm
    np.testing.assert_allclose(moved, in_mr, atol=0.01)
    assert np.abs(subject.mr.motion.origin_mm - subject.ct.motion.origin_mm).max() <= 30.0


@pytest.mark.slow
def test_mr_without_move_shares_the_world_of_the_ct():
    still = {"breath_mm": 0, "deformation_mm": 0, "rotation_degrees": 0, "translation_mm": 0}
    changes = {f"mr.{key}": value for key, value in still.items()}
    subject = make_subject(phantom_settings(changes), subject_index=1)
    assert subject.ct is not None
    assert subject.mr is not None
    shared = subject.ct.landmarks_mm.keys() & subject.mr.landmarks_mm.keys()
    assert len(shared) > 20
    for name in shared:
        np.testing.assert_allclose(subject.ct.landmarks_mm[name], subject.mr.landmarks_mm[name], atol=1e-3)


@pytest.mark.slow
def test_mr_has_its_own_field_of_view_and_a_look_of_its_own():
    subject = make_subject(phantom_settings({"mr.t1_weight": [1, 1]}), subject_index=0)
    assert subject.mr is not None
    array, labels = subject.mr.volume.array, subject.mr.labels.array
    assert array.dtype == np.float32
    assert array.shape == (88, 64, 72)
    assert array.min() >= 0
    median = {
        name: np.median(array[labels == ORGAN_IDS[name]])
        for name in ("liver", "spleen", "lung_right", "aorta")
    }
    assert median["lung_right"] < median["aorta"] < median["spleen"] < median["liver"]


@pytest.mark.slow
def test_lesions_are_balls_of_their_radius():
    scan = ct_of(
        0,
        {
            "lesions.radius_mm": [14, 14],
            "ct.noise_hu": 0,
            "ct.blur_mm": 0,
            "ct.field_of_view.shift_along_mm": 0,
        },
    )
    nodules = [lesion for lesion in scan.lesions if lesion.organ.startswith("lung")]
    assert len(nodules) == 2
    voxels = np.stack(np.indices(scan.volume.shape), axis=-1).reshape(-1, 3)
    world = scan.volume.world_from_voxel(voxels)
    for nodule in nodules:
        is_ball = np.linalg.norm(world - nodule.centre_mm, axis=1) < nodule.radius_mm
        assert is_ball.sum() * 4.0**3 == pytest.approx(4 / 3 * np.pi * 14.0**3, rel=0.1)
        assert (scan.volume.array.reshape(-1)[is_ball] > -100).all()


@pytest.mark.slow
def test_follow_up_shows_the_same_lesions_grown_in_another_pose_and_slices():
    changes = CT_ONLY | {"follow_up.slice_spacings_mm": [8.0], "follow_up.growth": [1.5, 1.5]}
    first = ct_of(3, changes)
    second = make_follow_up(phantom_settings(changes), subject_index=3)
    assert second.volume.shape == (96, 72, 48)
    np.testing.assert_allclose(second.volume.spacing_mm, [4, 4, 8])
    assert [lesion.name for lesion in first.lesions] == [lesion.name for lesion in second.lesions]
    for before, after in zip(first.lesions, second.lesions, strict=True):
        assert after.radius_mm == pytest.approx(1.5 * before.radius_mm)
        carried = second.world_from_atlas(first.atlas_from_world(before.centre_mm[None]))[0]
        np.testing.assert_allclose(carried, after.centre_mm, atol=0.1)
        voxel = second.volume.voxel_from_world(after.centre_mm[None])[0]
        assert after.is_inside == bool(np.all((voxel >= 0) & (voxel <= np.array(second.volume.shape) - 1)))
    assert np.abs(first.motion.rotation - second.motion.rotation).max() > 1e-3


@pytest.mark.slow
def test_thick_slices_keep_labels_on_the_slice_middles():
    thick = ct_of(
        0, COARSE | {"ct.field_of_view.spacing_mm": [4, 4, 8], "ct.field_of_view.size_vox": [96, 72, 48]}
    )
    voxels = np.stack(np.indices(thick.volume.shape), axis=-1).reshape(-1, 3)[::97]
    atlas_heights = thick.atlas_from_world(thick.volume.world_from_voxel(voxels))[:, 2]
    is_lumbar = thick.labels.array[tuple(voxels.T)] == ORGAN_IDS["vertebra_L2"]
    assert is_lumbar.any()
    assert np.all((atlas_heights[is_lumbar] < -23.0) & (atlas_heights[is_lumbar] > -54.0))


def test_names_of_subjects_and_scans():
    assert subject_id(0) == "phantom_000"
    assert volume_id(12, "ct_follow_up") == "phantom_012_ct_follow_up"


def test_a_subject_that_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="subject_index: is -1"):
        make_subject(phantom_settings(), subject_index=-1)


def test_a_follow_up_needs_its_section():
    with pytest.raises(SettingsError, match="follow_up: is missing"):
        make_follow_up(phantom_settings({"follow_up": None}), subject_index=0)


def body_middle_mm(scan: PhantomScan) -> np.ndarray:
    spans = [
        np.flatnonzero((scan.volume.array > -300).any(axis=axes))[[0, -1]]
        for axes in ((1, 2), (0, 2), (0, 1))
    ]
    return scan.volume.world_from_voxel(np.mean(spans, axis=1))


@pytest.mark.slow
def test_the_same_place_in_another_body_is_a_bad_guess():
    scans = [ct_of(index, COARSE) for index in range(6)]
    errors = []
    for source, target in permutations(scans, 2):
        names = sorted(source.landmarks_mm.keys() & target.landmarks_mm.keys())
        points, truth = (np.array([scan.landmarks_mm[name] for name in names]) for scan in (source, target))
        guess = points - body_middle_mm(source) + body_middle_mm(target)
        errors.append(np.linalg.norm(guess - truth, axis=1))
    assert 25.0 < np.median(np.concatenate(errors)) < 50.0
