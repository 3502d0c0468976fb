"""The middle of the tissue of a lesion round its place, on scans made of balls."""

import numpy as np
import pytest

from anatomical_embedding.follow.lesion_tissue import middle_of_tissue
from anatomical_embedding.follow.look import Look
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.volume import Volume

SETTINGS = delivered_follow_settings()
RADIUS_MM = 9.0
CENTRE_MM = np.array([3.0, -2.0, 5.0])
AFFINE = np.array([[-2.0, 0, 0, 43.0], [0, -2.0, 0, 38.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1.0]])
LESION_HU, TISSUE_HU = 60.0, -100.0
LOOK = Look(LESION_HU, LESION_HU - TISSUE_HU, LESION_HU - TISSUE_HU, 10.0)
WHOLE = [(np.zeros(3), RADIUS_MM)]


def scan_of(balls):
    """Return a scan with balls of lesion, each an offset from the middle and a radius in mm."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (44, 44, 40)], indexing="ij"), axis=-1)
    offsets_mm = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM
    inside = np.zeros(offsets_mm.shape[:3], bool)
    for offset_mm, radius_mm in balls:
        inside |= np.linalg.norm(offsets_mm - offset_mm, axis=-1) < radius_mm
    return Volume(np.where(inside, LESION_HU, TISSUE_HU), AFFINE)


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
