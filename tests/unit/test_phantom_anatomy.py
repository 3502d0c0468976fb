"""The atlas: landmarks lie in the structures they are named after, and levels can be told apart."""

import numpy as np
import pytest

from anatomical_embedding.phantom.anatomy import paint_atlas
from anatomical_embedding.phantom.landmarks import LESION_SITES, atlas_landmarks
from anatomical_embedding.phantom.spine import (
    LEVELS,
    disc_centre_mm,
    vertebra_centre_mm,
    vertebra_pitch_mm,
    vertebra_radii_mm,
)
from anatomical_embedding.phantom.tissues import LOOKS, ORGAN_IDS, ORGAN_NAMES, Tissue

ORGAN_OF_LANDMARK = {
    **{f"vertebra_{level}": f"vertebra_{level}" for level in LEVELS},
    "carina": "trachea",
    "left_ventricle": "heart",
    "liver_centre": "liver",
    "gallbladder": "gallbladder",
    "spleen_centre": "spleen",
    "stomach_fundus": "stomach",
    "pancreas_head": "pancreas",
    "pancreas_tail": "pancreas",
    "hepatic_flexure": "colon",
    "bladder": "bladder",
    "prostate": "prostate",
    "sacrum_tip": "sacrum",
    "sternum_top": "sternum",
    **{f"kidney_centre_{side}": f"kidney_{side}" for side in ("right", "left")},
    **{f"femoral_head_{side}": f"femur_{side}" for side in ("right", "left")},
    **{f"iliac_crest_{side}": f"hip_{side}" for side in ("right", "left")},
    **{f"rib_9_end_{side}": f"rib_{side}_9" for side in ("right", "left")},
}


def organs_at(points) -> list[str]:
    axes = np.asarray(points, dtype=np.float32).reshape(-1, 1, 1, 3).transpose(3, 0, 1, 2)
    canvas = paint_atlas(*axes)
    return [ORGAN_NAMES[index] for index in canvas.organ.ravel()]


def test_there_are_many_landmarks_far_enough_apart():
    points = np.array(list(atlas_landmarks().values()))
    assert len(points) >= 40
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1000.0 * np.eye(len(points))
    assert distances.min() > 5.0


def test_landmarks_lie_in_their_organs():
    names = list(ORGAN_OF_LANDMARK)
    found = organs_at([atlas_landmarks()[name] for name in names])
    assert dict(zip(names, found, strict=True)) == ORGAN_OF_LANDMARK


def test_poles_lie_on_the_border_of_their_organs():
    for side in ("right", "left"):
        centre, pole = (atlas_landmarks()[f"kidney_{part}_{side}"] for part in ("centre", "lower_pole"))
        inner, outer = organs_at([centre + 0.97 * (pole - centre), centre + 1.03 * (pole - centre)])
        assert inner == f"kidney_{side}"
        assert outer != inner


def test_right_is_positive_x_and_vertebrae_run_from_head_to_feet():
    landmarks = atlas_landmarks()
    assert landmarks["liver_centre"][0] > 0 > landmarks["spleen_centre"][0]
    heights = [vertebra_centre_mm(level)[2] for level in LEVELS]
    assert heights == sorted(heights, reverse=True)
    assert landmarks["sternum_top"][1] > landmarks["vertebra_T2"][1]


def test_vertebrae_grow_towards_the_feet_and_follow_each_other_without_gaps():
    pitches = [vertebra_pitch_mm(level) for level in LEVELS]
    radii = [vertebra_radii_mm(level)[0] for level in LEVELS]
    assert all(np.diff(pitches) >= 0)
    assert all(np.diff(radii) > 0)
    for level, pitch in zip(LEVELS, pitches, strict=True):
        assert vertebra_centre_mm(level)[2] - disc_centre_mm(level)[2] == pytest.approx(0.5 * pitch)
    assert disc_centre_mm("T12")[2] - 0.1 * vertebra_pitch_mm("T12") == pytest.approx(0.0)


def test_organ_ids_are_the_places_of_the_names_and_fit_a_byte():
    assert len(ORGAN_NAMES) == len(set(ORGAN_NAMES)) <= 256
    assert ORGAN_IDS["unlabelled"] == 0
    assert all(ORGAN_NAMES[index] == name for name, index in ORGAN_IDS.items())


@pytest.mark.slow
def test_every_named_organ_is_painted():
    x, y, z = np.meshgrid(
        np.arange(-168, 169, 3.0), np.arange(-120, 121, 3.0), np.arange(-300, 300, 3.0), indexing="ij"
    )
    canvas = paint_atlas(*(axis.astype(np.float32) for axis in (x, y, z)))
    missing = {name for name, index in ORGAN_IDS.items() if not (canvas.organ == index).any()}
    assert missing == set()


def test_every_tissue_has_a_look():
    assert set(LOOKS) == set(Tissue)
    assert LOOKS[Tissue.LUNG].plain_hu < LOOKS[Tissue.FAT].plain_hu < LOOKS[Tissue.MUSCLE].plain_hu
    assert LOOKS[Tissue.MUSCLE].plain_hu < LOOKS[Tissue.BONE_SPONGY].plain_hu


@pytest.mark.slow
def test_lesion_sites_lie_in_their_organs():
    for kind, sites in LESION_SITES.items():
        for site in sites:
            (organ,) = organs_at([site.centre_mm])
            assert organ == ("unlabelled" if kind == "lymph_node" else site.organ)
