"""The planes of a structure set's outlines: which go together, and how far each reaches."""

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import read_label_file
from tests.label_objects import (
    ANGLES,
    CENTRE,
    OBLIQUE,
    SHAPE,
    disc_contours,
    disc_voxels,
    scan,
    write_structures,
)


@pytest.mark.parametrize("off_mm", [0.02, 0.2])
def test_outlines_of_one_slice_that_lie_a_little_off_each_other_go_together(tmp_path, off_mm):
    """Heights are often rounded to 0.1 mm, and not alike for all: holes stay open, and parts keep their thickness."""
    beside = CENTRE + np.array([-13.0, 18.0])
    others = [*disc_contours(5.0), *disc_contours(4.0, centre=beside)]
    contours = [*disc_contours(), *(corners + np.array([0, 0, off_mm]) for corners in others)]
    path = write_structures(tmp_path / "rs.dcm", {"ring and part": contours})
    expected = (disc_voxels() & ~disc_voxels(5.0)) | disc_voxels(4.0, centre=beside)
    found = read_label_file(path, scan=scan()).volume.array
    np.testing.assert_array_equal(found, 3 * expected)


def test_corners_of_oblique_outlines_may_be_rounded_to_a_tenth_of_a_millimetre(tmp_path):
    lps = np.diag([-1, -1, 1, 1.0]) @ OBLIQUE
    box, hole = (
        np.array([[low, low], [high, low], [high, 20.3], [low, 20.3]])
        for low, high in ((5.2, 25.3), (10.2, 15.3))
    )
    contours = [
        np.round(np.c_[corners, np.full(4, z)] @ lps[:3, :3].T + lps[:3, 3], 1)
        for corners in (box, hole - [0, 3])
        for z in range(3, 9)
    ]
    path = write_structures(tmp_path / "rs.dcm", {"frame": contours})
    expected = np.zeros(SHAPE, dtype=bool)
    expected[6:26, 6:21, 3:9] = True
    expected[11:16, 8:18, 3:9] = False
    np.testing.assert_array_equal(read_label_file(path, scan=scan(OBLIQUE)).volume.array, 3 * expected)


@pytest.mark.parametrize("apart_mm", [0.1, 0.2, 0.25, 0.3])
def test_outlines_on_slices_of_a_much_finer_scan_lie_in_planes_of_their_own(tmp_path, apart_mm):
    """Two neighbours that were taken as of one slice would leave out all but the rim between them.

    Their radii differ by more than outlines that count as one drawn twice.
    """
    radii_mm = (9.3, 10.4)
    slices = np.arange(3, 5 + 1e-6, apart_mm / 3.0)
    contours = [disc_contours(radii_mm[k % 2], slices=[z])[0] for k, z in enumerate(slices)]
    path = write_structures(tmp_path / "rs.dcm", {"disc": contours})
    found = read_label_file(path, scan=scan()).volume.array
    expected = np.zeros(SHAPE, dtype=bool)
    for z in (3, 4):
        expected |= disc_voxels(radii_mm[round((z - 3) * 3.0 / apart_mm) % 2], slices=[z])
    np.testing.assert_array_equal(found[:, :, :5], 3 * expected[:, :, :5])


def test_outlines_on_every_other_slice_reach_half_way(tmp_path):
    """Drawn 6 mm apart on slices of 3 mm: slices between two drawings belong to both, the ends reach 3 mm on."""
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[3, 5, 7])})
    found = read_label_file(path, scan=scan()).volume.array > 0
    np.testing.assert_array_equal(found, disc_voxels(slices=range(2, 9)))


def test_outlines_far_from_each_other_count_for_their_own_slices(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[1, 6])})
    found = read_label_file(path, scan=scan())
    np.testing.assert_array_equal(found.volume.array > 0, disc_voxels(slices=[1, 6]))
    assert (
        found.remarks[0] == f"{path}: the outlines of 'disc' lie 15 mm apart; each counts for its own slice"
    )


def test_a_gap_between_two_parts_thickens_neither(tmp_path):
    """Three planes, 3 and 9 mm apart: the median of both would reach over the slices between, and beyond the ends."""
    path = write_structures(tmp_path / "rs.dcm", {"disc": disc_contours(slices=[3, 4, 7])})
    found = read_label_file(path, scan=scan()).volume.array > 0
    np.testing.assert_array_equal(found, disc_voxels(slices=[3, 4, 7]))


def test_outlines_in_planes_of_their_own_direction(tmp_path):
    """A disc drawn in coronal planes is a cylinder from front to back."""
    circle = np.array([8.31, -33.7]) + 8.2 * np.c_[np.cos(ANGLES), np.sin(ANGLES)]
    heights = np.arange(-10.0, 10.1, 2.0)
    contours = [np.c_[circle[:, 0], np.full(len(circle), height), circle[:, 1]] for height in heights]
    found = read_label_file(write_structures(tmp_path / "rs.dcm", {"x": contours}), scan=scan()).volume
    x, y, z = (found.world_from_voxel(np.indices(SHAPE).reshape(3, -1).T) * [-1, -1, 1]).T.reshape(3, *SHAPE)
    expected = (np.hypot(x - 8.31, z + 33.7) < 8.2) & (np.abs(y) <= 11.0)
    np.testing.assert_array_equal(found.array > 0, expected)


def test_an_outline_that_is_not_flat_is_refused(tmp_path):
    (bent,) = disc_contours(slices=[4])
    bent[::2, 2] += 2.0
    path = write_structures(tmp_path / "rs.dcm", {"bent": [*disc_contours(12.0, slices=[6]), bent]})
    with pytest.raises(InputFileError, match="an outline of 'bent' with corners 1 mm off its plane"):
        read_label_file(path, scan=scan())
