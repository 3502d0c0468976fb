"""The tissue of a lesion round its place: its middle, and whether it lies in two parts, on scans made of balls."""

import numpy as np
import pytest

from anatomical_embedding.follow.lesion_tissue import (
    TissueContrast,
    find_parts,
    half_sphere,
    middle_of_tissue,
    rings_across,
    tissue_of_parts,
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


def parts_of(balls, *, place_mm=CENTRE_MM, radius_mm=RADIUS_MM, others_mm=()):
    """Return the two parts of a lesion whose tissue lies in balls."""
    now = TissueContrast(scan_of(balls), LESION_HU, TISSUE_HU)
    return find_parts(now, place_mm, radius_mm, others_mm, settings=SETTINGS.splitting)


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


def test_rings_lie_across_their_directions():
    ways = half_sphere(12)
    rings = rings_across(ways)
    assert np.einsum("dni,di->dn", rings, ways) == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.norm(rings, axis=-1) == pytest.approx(1.0)
    assert rings.mean(axis=1) == pytest.approx(0.0, abs=1e-12)  # all the way round


@pytest.mark.parametrize("size", [0.9, 1.0, 1.1])
def test_a_lesion_in_two_parts_beside_its_place_has_split_and_both_are_found(size):
    found = parts_of([(size * offset_mm, size * radius_mm) for offset_mm, radius_mm in PARTS])
    offsets = found - CENTRE_MM
    true_mm = size * np.array([offset for offset, _ in PARTS])
    if offsets[0] @ ALONG_MM < 0:
        true_mm = true_mm[::-1]
    assert np.linalg.norm(offsets - true_mm, axis=1).max() < 0.5 * RADIUS_MM


@pytest.mark.parametrize(
    "balls",
    [
        WHOLE,
        [(np.zeros(3), 1.5 * RADIUS_MM)],  # grown
        [(np.zeros(3), 0.6 * RADIUS_MM)],  # shrunken
        [],  # gone
        FAR_SIDES,  # gone, beside two others
        PARTS[:1],  # moved
        [
            (1.5 * offset_mm * number, 0.9 * RADIUS_MM) for number in (0, 1) for offset_mm, _ in PARTS[:1]
        ],  # beside another
    ],
)
def test_a_lesion_that_is_whole_gone_or_beside_others_has_not_split(balls):
    assert parts_of(balls) is None


def test_parts_are_found_though_the_place_lies_at_one_of_them():
    off_mm = 0.5 * RADIUS_MM * ALONG_MM
    found = parts_of(PARTS, place_mm=CENTRE_MM + off_mm)
    assert found is not None
    assert np.linalg.norm(found.mean(axis=0) - CENTRE_MM) < 0.4 * RADIUS_MM


def test_a_part_that_is_another_lesion_is_none():
    place_mm, radius_mm = CENTRE_MM + PARTS[0][0], PARTS[0][1]
    assert parts_of(PARTS, others_mm=[(place_mm, radius_mm)]) is None
    assert parts_of(PARTS, others_mm=[(CENTRE_MM + 3.0 * RADIUS_MM * ALONG_MM, radius_mm)]) is not None


def test_parts_that_are_too_small_to_be_measured_are_not_looked_for():
    small_mm = 6.0
    balls = [(small_mm / RADIUS_MM * offset_mm, 3.6) for offset_mm, _ in PARTS]
    assert parts_of(balls, radius_mm=small_mm) is None


def test_pieces_that_go_on_beyond_are_no_parts():
    ways = half_sphere(100)
    shell = [(side * 1.75 * RADIUS_MM * way, 0.4 * RADIUS_MM) for side in (1, -1) for way in ways]
    assert parts_of([*PARTS, *shell]) is None
    now = TissueContrast(scan_of([*PARTS, *shell]), LESION_HU, TISSUE_HU)
    anyhow = SETTINGS.splitting.model_copy(update={"beyond": 2.0})
    assert find_parts(now, CENTRE_MM, RADIUS_MM, settings=anyhow) is not None


def test_tissue_that_is_brighter_than_the_lesion_is_free():
    """Darker tissue on one side of the parts, and as much brighter on the other, is in the mean as the lesion is."""
    dark = scan_of(PARTS)
    z_mm = np.indices(dark.shape)[2] * AFFINE[2, 2] + AFFINE[2, 3] - CENTRE_MM[2]
    is_bright = (z_mm > 4.0) & (dark.array != LESION_HU)
    mixed = Volume(np.where(is_bright, 2.0 * LESION_HU - TISSUE_HU, dark.array), AFFINE)
    now = TissueContrast(mixed, LESION_HU, TISSUE_HU)
    assert find_parts(now, CENTRE_MM, RADIUS_MM, settings=SETTINGS.splitting) is not None


def test_two_parts_round_the_place_are_taken_before_two_clearer_ones_beside_it():
    near = [(0.85 * side * RADIUS_MM * ALONG_MM, 0.5 * RADIUS_MM) for side in (1, -1)]
    beside = [(RADIUS_MM * np.array([0.6, 0.0, 0.85 * side]), 0.5 * RADIUS_MM) for side in (1, -1)]
    fainter = TISSUE_HU + 0.8 * (LESION_HU - TISSUE_HU)
    scan = Volume(np.where(scan_of(near).array == LESION_HU, fainter, scan_of(beside).array), AFFINE)
    now = TissueContrast(scan, LESION_HU, TISSUE_HU)
    found = find_parts(now, CENTRE_MM, RADIUS_MM, settings=SETTINGS.splitting)
    assert found is not None
    assert np.linalg.norm(found.mean(axis=0) - CENTRE_MM) < 0.4 * RADIUS_MM


def test_parts_move_to_the_middle_of_their_tissue_and_two_in_one_piece_are_none():
    now = TissueContrast(scan_of(PARTS), LESION_HU, TISSUE_HU)
    true_mm = CENTRE_MM + np.array([offset_mm for offset_mm, _ in PARTS])
    off_mm = np.array([2.0, 0.0, -2.0])
    found = tissue_of_parts(now, LOOK, true_mm + off_mm, RADIUS_MM, settings=SETTINGS.tissue)
    assert found is not None
    assert np.linalg.norm(found - true_mm, axis=1).max() < 1.0
    whole = TissueContrast(scan_of([(np.zeros(3), 0.7 * RADIUS_MM)]), LESION_HU, TISSUE_HU)
    ends_mm = CENTRE_MM + 0.6 * RADIUS_MM * np.array([ALONG_MM, -ALONG_MM])
    assert tissue_of_parts(whole, LOOK, ends_mm, RADIUS_MM, settings=SETTINGS.tissue) is None
