"""Volume, diameters and intensities of masks, against shapes known by hand and a search of all pairs of points."""

import numpy as np
import pytest
from matplotlib.path import Path
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.measurements import (
    axial_axis,
    measure_lesions,
    measurement_row,
)
from anatomical_embedding.follow.record_tables import read_measurements, write_measurements
from anatomical_embedding.volumes.volume import Volume

SHAPE = (40, 36, 14)
SPACING_MM = np.array([0.8, 1.1, 3.0])


def straight():
    return np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])


def oblique():
    """Return an affine turned by 25 degrees about an axis of no plane, far from the origin."""
    turn = Rotation.from_rotvec(
        np.deg2rad(25.0) * np.array([0.6, 0.7, 0.39]) / np.linalg.norm([0.6, 0.7, 0.39])
    )
    affine = straight()
    affine[:3, :3] = turn.as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (120.0, -33.0, 410.0)
    return affine


def blob(seed):
    """Return a mask of irregular parts, none near an edge."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), (3, 3, 1.5))
    noise[:4] = noise[-4:] = noise[:, :4] = noise[:, -4:] = -1.0
    noise[..., :2] = noise[..., -2:] = -1.0
    return noise > np.quantile(noise, 0.93)


def all_pairs(mask, affine):
    """Return the longest distance between outline points of a plane by looking at all pairs, one part alone."""
    longest = 0.0
    for k in range(mask.shape[2]):
        points = [
            affine[:3, :3] @ [i + di / 2.0, j + dj / 2.0, k]
            for i, j in np.argwhere(mask[:, :, k])
            for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1))
            if not mask[i + di, j + dj, k]
        ]
        longest = max(longest, pdist(points).max() if points else 0.0)
    return longest


def widest_chord(mask, affine, longest):
    """Return the longest stretch of a plane's hull at a right angle to its longest line, by fine sampling of lines."""
    inverse = np.linalg.inv(affine)
    ends = [inverse[:3] @ [*point, 1.0] for point in (longest.start_mm, longest.end_mm)]
    k = round(ends[0][2])
    scale = SPACING_MM[:2]
    points = np.array(
        [
            [(i + di / 2.0) * scale[0], (j + dj / 2.0) * scale[1]]
            for i, j in np.argwhere(mask[:, :, k])
            for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1))
        ]
    )
    hull = Path(points[ConvexHull(points).vertices])
    start, end = (np.array(point[:2]) * scale for point in ends)
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    reach = np.arange(-40.0, 40.0, 0.01)
    widths = [
        hull.contains_points(start + at * along + reach[:, None] * across).sum() * 0.01
        for at in np.linspace(0.0, np.linalg.norm(end - start), 400)
    ]
    return max(widths)


def measure_mask(mask, scan):
    """Return what a boolean mask measures."""
    return measure_lesions(Volume(mask.array.astype(np.uint8), mask.affine), scan)[1]


@pytest.mark.parametrize("affine", [straight(), oblique()], ids=["straight", "oblique"])
def test_a_box_measures_what_a_ruler_says(affine):
    """6 x 4 x 3 voxels; the outline has no corners, so its diagonal is one voxel short in one direction."""
    array = np.zeros(SHAPE, dtype=bool)
    array[10:16, 10:14, 5:8] = True
    scan = np.zeros(SHAPE)
    scan[array] = np.arange(72)
    found = measure_mask(Volume(array, affine), Volume(scan, affine))
    assert found.num_vox == 72 and not found.is_cut
    assert found.volume_mm3 == pytest.approx(72 * 0.8 * 1.1 * 3.0)
    longest = max(np.hypot(6 * 0.8, 3 * 1.1), np.hypot(5 * 0.8, 4 * 1.1))
    assert found.longest.length_mm == pytest.approx(longest)
    centre = (affine @ [12.5, 11.5, 6.0, 1.0])[:3]
    np.testing.assert_allclose(found.centre_mm, centre)
    assert found.mean == pytest.approx(35.5)
    # The variance of 0 to n - 1 is (n² - 1) / 12.
    assert found.standard_deviation == pytest.approx(np.sqrt((72**2 - 1) / 12))


@pytest.mark.parametrize("affine", [straight(), oblique()], ids=["straight", "oblique"])
@pytest.mark.parametrize("seed", range(4))
def test_diameters_are_those_of_a_search_of_all_pairs(seed, affine):
    parts, _ = label(blob(seed), structure=np.ones((3, 3, 3)))
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    # One part in each plane, since parts of a plane are measured apart.
    for k in range(SHAPE[2]):
        of_plane, count = label(largest[:, :, k], structure=np.ones((3, 3)))
        if count > 1:
            largest[:, :, k] = of_plane == np.bincount(of_plane.ravel())[1:].argmax() + 1
    found = measure_mask(Volume(largest, affine), Volume(largest.astype(float), affine))
    assert found.longest.length_mm == pytest.approx(all_pairs(largest, affine), rel=1e-9)
    assert found.short.length_mm == pytest.approx(widest_chord(largest, affine, found.longest), rel=0.01)
    along, across = (line.end_mm - line.start_mm for line in (found.longest, found.short))
    assert abs(along @ across) < 1e-9 * np.linalg.norm(along) * np.linalg.norm(across) + 1e-9
    inverse = np.linalg.inv(affine)
    for line in (found.longest, found.short):
        for point in (line.start_mm, line.end_mm):
            assert (inverse @ [*point, 1.0])[2] == pytest.approx(found.plane)
    assert found.volume_mm3 == pytest.approx(largest.sum() * np.prod(SPACING_MM), rel=1e-9)


def test_an_ellipsoid_has_its_own_axes():
    """Half axes of 12, 7 and 9 mm, turned by 30 degrees in the plane, on voxels of 0.25 x 0.25 x 1 mm."""
    affine = np.diag([-0.25, -0.25, 1.0, 1.0])
    shape = (120, 120, 24)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) - np.array([60, 60, 12])
    x, y, z = np.moveaxis(place * np.array([0.25, 0.25, 1.0]), -1, 0)
    angle = np.deg2rad(30.0)
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    mask = (u / 12) ** 2 + (v / 7) ** 2 + (z / 9) ** 2 <= 1.0
    found = measure_mask(Volume(mask, affine), Volume(mask.astype(float), affine))
    assert found.longest.length_mm == pytest.approx(24.0, rel=0.01)
    assert found.short.length_mm == pytest.approx(14.0, rel=0.01)
    assert found.plane == 12
    assert found.volume_mm3 == pytest.approx(4.0 / 3.0 * np.pi * 12 * 7 * 9, rel=0.01)


def test_one_voxel_is_as_long_as_its_longer_side():
    array = np.zeros(SHAPE, dtype=bool)
    array[5, 5, 5] = True
    found = measure_mask(Volume(array, straight()), Volume(array.astype(float), straight()))
    assert found.longest.length_mm == pytest.approx(1.1)
    assert found.short.length_mm == pytest.approx(0.8)


def test_parts_that_do_not_touch_are_measured_apart():
    """A row of 5 and a row of 3 voxels of 0.8 mm, 10 voxels from each other in one plane."""
    array = np.zeros(SHAPE, dtype=bool)
    array[5:10, 5, 5] = True
    array[20:23, 5, 5] = True
    found = measure_mask(Volume(array, straight()), Volume(array.astype(float), straight()))
    assert found.longest.length_mm == pytest.approx(5 * 0.8)
    assert found.num_vox == 8
    assert [longest.length_mm for longest, _ in found.parts] == pytest.approx([5 * 0.8, 3 * 0.8])
    assert [short.length_mm for _, short in found.parts] == pytest.approx([1.1, 1.1])


def test_parts_touch_across_planes_and_corners_too():
    """Two rows in two planes, one voxel's corner at the other's; with a plane between they are parts."""
    for plane, num_parts in ((6, 0), (7, 2)):
        array = np.zeros(SHAPE, dtype=bool)
        array[5:10, 5, 5], array[10:13, 6, plane] = True, True
        found = measure_mask(Volume(array, oblique()), Volume(array.astype(float), oblique()))
        assert len(found.parts) == num_parts
        assert found.longest.length_mm == pytest.approx(5 * 0.8)


def test_a_sagittal_scan_is_measured_in_its_axial_planes():
    """Array axes run down, back and left: the planes are those of a fixed first index."""
    affine = np.array([[0, 0, -4.0, 0], [0, -1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    array = np.zeros((30, 30, 8), dtype=bool)
    array[5:25, 10:12, 3] = True
    volume = Volume(array, affine)
    assert axial_axis(volume) == 0
    found = measure_mask(volume, Volume(array.astype(float), affine))
    assert found.longest.length_mm == pytest.approx(np.hypot(4.0, 1.0))
    assert found.longest.start_mm[2] == found.longest.end_mm[2]


def test_a_map_is_measured_label_by_label_and_the_edge_is_said():
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[0:2, 5, 5], labels[10:14, 5, 5] = 2, 7
    found = measure_lesions(Volume(labels, straight()), Volume(labels.astype(float), straight()))
    assert {number: (each.num_vox, each.is_cut) for number, each in found.items()} == {
        2: (2, True),
        7: (4, False),
    }
    assert (found[7].mean, found[7].standard_deviation) == (7.0, 0.0)


def test_what_cannot_be_measured_is_named():
    scan = Volume(np.zeros(SHAPE), straight())
    with pytest.raises(UserError, match=r"shape \(2, 2, 2\), its scan \(40, 36, 14\)"):
        measure_mask(Volume(np.ones((2, 2, 2), dtype=bool), straight()), scan)


def test_a_measurement_is_a_row_of_the_file(tmp_path):
    """In ml, with the ends of both lines."""
    array = np.zeros(SHAPE, dtype=bool)
    array[10:20, 10:14, 5:8] = True
    found = measure_mask(Volume(array, oblique()), Volume(array.astype(float), oblique()))
    row = measurement_row(3, "week8", found)
    write_measurements([row], tmp_path / "measurements.csv")
    (read,) = read_measurements(tmp_path / "measurements.csv")
    assert (read.lesion, read.visit) == (3, "week8")
    assert read.volume_ml == pytest.approx(120 * 0.8 * 1.1 * 3.0 / 1000.0)
    for name, line in (("long", found.longest), ("short", found.short)):
        for end in ("start", "end"):
            point = getattr(read, f"{name}_{end}_mm")
            np.testing.assert_allclose(point, getattr(line, f"{end}_mm"), rtol=1e-5)
    assert read.long_axis_mm == pytest.approx(np.hypot(10 * 0.8, 3 * 1.1), rel=1e-5)
