"""The tissue of a lesion round its place: its middle, and whether it lies in two parts, on scans made of balls."""

import numpy as np
import pytest

from anatomical_embedding.follow.lesion_tissue import (
    TissueContrast,
    half_sphere,
    look_for_parts,
    middle_of_tissue,
)
from anatomical_embedding.follow.look import Look
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.volume import Volume

SETTINGS = delivered_follow_settings()
RADIUS_MM = 9.0
CENTRE_MM = np.array([3.0, -2.0, 5.0])
AFFINE = np.array([[-2.0, 0, 0, 43.0], [0, -2.0, 0, 38.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1.0]])
LESION_HU, TISSUE_HU = 60.0, -100.0
LOOK = Look(LESION_HU, LESION_HU - TISSUE_HU, LESION_HU - TISSUE_HU, 10.0)
ALONG_MM = np.array([0.0, 1.0, 0.0])
PARTS = [(0.85 * RADIUS_MM * side * ALONG_MM, 0.6 * RADIUS_MM) for side in (1, -1)]
WHOLE = [(np.zeros(3), RADIUS_MM)]
FAR_SIDES = [(1.6 * RADIUS_MM * side * ALONG_MM, 0.6 * RADIUS_MM) for side in (1, -1)]


def scan_of(balls):
    """Return a scan with balls of lesion, each an offset from the middle and a radius in mm."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (44, 44, 40)], indexing="ij"), axis=-1)
    offsets_mm = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM
    inside = np.zeros(offsets_mm.shape[:3], bool)
    for offset_mm, radius_mm in balls:
        inside |= np.linalg.norm(offsets_mm - offset_mm, axis=-1) < radius_mm
    return Volume(np.where(inside, LESION_HU, TISSUE_HU), AFFINE)


def parts_of(before, after):
    """Return what looks most like two parts of a lesion."""
    then, now = (TissueContrast(scan_of(balls), LESION_HU, TISSUE_HU) for balls in (before, after))
    return look_for_parts(now, CENTRE_MM, then, CENTRE_MM, RADIUS_MM, settings=SETTINGS.splitting)


def test_directions_and_their_opposites_cover_the_sphere_evenly():
    ways = half_sphere(40)
    assert np.linalg.norm(ways, axis=1) == pytest.approx(np.ones(40))
    both = np.vstack([ways, -ways])
    nearest = np.sort(np.linalg.norm(both[:, None] - both, axis=-1), axis=1)[:, 1]
    # Each of 80 directions has 4 pi / 80 of the sphere, a disc of radius 0.4.
    assert nearest.min() > 0.2 and nearest.max() < 0.8


@pytest.mark.parametrize("off_mm", [(0.0, 0.0, 0.0), (3.0, 0.0, -2.0)])
def test_a_place_moves_to_the_middle_of_the_tissue_round_it(off_mm):
    found = middle_of_tissue(scan_of(WHOLE), CENTRE_MM + off_mm, LOOK, RADIUS_MM, settings=SETTINGS.tissue)
    assert np.linalg.norm(found - CENTRE_MM) < 0.7


def test_a_place_does_not_move_farther_than_the_lesion_may_nor_without_tissue():
    off_mm = np.array([8.0, 0.0, 0.0])
    found = middle_of_tissue(scan_of(WHOLE), CENTRE_MM + off_mm, LOOK, RADIUS_MM, settings=SETTINGS.tissue)
    limit_mm = SETTINGS.tissue.farthest * RADIUS_MM
    assert np.linalg.norm(found - CENTRE_MM - off_mm) == pytest.approx(limit_mm)
    nothing = middle_of_tissue(scan_of([]), CENTRE_MM, LOOK, RADIUS_MM, settings=SETTINGS.tissue)
    assert nothing.tolist() == CENTRE_MM.tolist()


def test_a_lesion_in_two_parts_beside_its_place_has_split_and_both_are_found():
    found = parts_of(WHOLE, PARTS)
    assert found.is_split(SETTINGS.splitting)
    offsets = found.parts_mm - CENTRE_MM
    true_mm = np.array([offset for offset, _ in PARTS])
    if offsets[0] @ ALONG_MM < 0:
        true_mm = true_mm[::-1]
    assert np.linalg.norm(offsets - true_mm, axis=1).max() < 0.5 * RADIUS_MM


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WHOLE, WHOLE),
        (WHOLE, [(np.zeros(3), 1.5 * RADIUS_MM)]),  # grown
        (WHOLE, []),  # gone
        ([*WHOLE, *FAR_SIDES], FAR_SIDES),  # gone, beside two others that were there before
        (WHOLE, PARTS[:1]),  # moved
    ],
)
def test_a_lesion_that_is_whole_gone_or_beside_others_has_not_split(before, after):
    found = parts_of(before, after)
    assert found is None or not found.is_split(SETTINGS.splitting)
