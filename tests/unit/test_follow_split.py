"""Whether a lesion is in two parts now, by what a scan shows beside its surroundings, in scans of balls."""

import numpy as np
import pytest

from anatomical_embedding.follow.grown import grown_mask
from anatomical_embedding.follow.look import Look
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.split import find_parts
from anatomical_embedding.follow.surroundings import Comparison, Way, balls, compare, half_sphere
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.volume import Volume

SETTINGS, LIKELY = delivered_follow_settings().splitting, delivered_follow_settings().present_probability
RADIUS_MM = 9.0
CENTRE_MM = np.array([3.0, -2.0, 5.0])
AFFINE = np.array([[-2.0, 0, 0, 43.0], [0, -2.0, 0, 38.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1.0]])
LESION_HU, TISSUE_HU = 60.0, -100.0
LOOK = Look(LESION_HU, LESION_HU - TISSUE_HU, LESION_HU - TISSUE_HU, 10.0)
ALONG_MM = np.array([0.0, 1.0, 0.0])
PARTS = [(0.85 * RADIUS_MM * side * ALONG_MM, 0.6 * RADIUS_MM) for side in (1, -1)]
WHOLE = [(np.zeros(3), RADIUS_MM)]
CAPS = [(1.4 * RADIUS_MM * side * ALONG_MM, 0.8 * RADIUS_MM) for side in (1, -1)]


def inside(found_balls):
    """Return the voxels of a scan in balls, each an offset from the middle and a radius in mm."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (44, 44, 40)], indexing="ij"), axis=-1)
    offsets_mm = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM
    covered = np.zeros(offsets_mm.shape[:3], bool)
    for offset_mm, radius_mm in found_balls:
        covered |= np.linalg.norm(offsets_mm - offset_mm, axis=-1) < radius_mm
    return covered


def scan_of(found_balls, share=1.0):
    """Return a scan with balls of lesion, with a share of its contrast."""
    return Volume(TISSUE_HU + share * (LESION_HU - TISSUE_HU) * inside(found_balls), AFFINE)


def parts_of(
    now,
    *,
    before=(),
    off_mm=(0.0, 0.0, 0.0),
    radius_mm=RADIUS_MM,
    others_mm=(),
    with_mask=True,
    share=1.0,
    last=None,
):
    """Return the two parts of a lesion that was a ball, beside others in `before`, and lies in balls now.

    None where it is not likely to be in two parts.
    """
    whole = [(np.zeros(3), radius_mm)]
    mask = Volume(inside(whole), AFFINE) if with_mask else None
    source = Source("given", CENTRE_MM, radius_mm, mask)
    way = Way(CENTRE_MM, CENTRE_MM + off_mm, np.eye(3))
    scans = scan_of([*whole, *before]), scan_of(now, share)
    parts = find_parts(*scans, way, (source, LOOK), others_mm, last=last, settings=SETTINGS)
    return None if parts is None or parts.probability < LIKELY else parts


def test_directions_and_their_opposites_cover_the_sphere_evenly():
    ways = half_sphere(40)
    assert np.linalg.norm(ways, axis=1) == pytest.approx(np.ones(40))
    both = np.vstack([ways, -ways])
    nearest = np.sort(np.linalg.norm(both[:, None] - both, axis=-1), axis=1)[:, 1]
    # Each of 80 directions has 4 pi / 80 of the sphere, a disc of radius 0.4.
    assert nearest.min() > 0.2 and nearest.max() < 0.8


@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize("size", [1.0, 1.1])
def test_a_lesion_in_two_parts_beside_its_place_has_split_and_both_are_found(size, with_mask):
    found = parts_of(
        [(size * offset_mm, size * radius_mm) for offset_mm, radius_mm in PARTS], with_mask=with_mask
    )
    offsets = found.middles_mm - CENTRE_MM
    true_mm = size * np.array([offset for offset, _ in PARTS])
    if offsets[0] @ ALONG_MM < 0:
        true_mm = true_mm[::-1]
    assert np.linalg.norm(offsets - true_mm, axis=1).max() < 0.25 * RADIUS_MM


@pytest.mark.parametrize(
    "now",
    [
        WHOLE,
        [(np.zeros(3), 1.5 * RADIUS_MM)],  # grown
        [(np.zeros(3), 0.6 * RADIUS_MM)],  # shrunken
        [],  # gone
        PARTS[:1],  # moved
        [(PARTS[0][0], 0.9 * RADIUS_MM)],
        [*PARTS, (np.zeros(3), 0.5 * RADIUS_MM)],  # grown along one line, without a gap
    ],
)
def test_a_lesion_that_is_whole_gone_or_moved_has_not_split(now):
    assert parts_of(now) is None


def test_two_pieces_like_it_that_lay_beside_a_lesion_before_are_no_parts_where_it_has_gone():
    assert parts_of(CAPS, before=CAPS) is None
    assert parts_of(CAPS) is not None  # they are new


def test_a_lesion_that_splits_beside_tissue_like_it_is_told():
    beside = [(1.7 * RADIUS_MM * np.array([1.0, 0.0, 0.0]), 0.8 * RADIUS_MM)]
    assert parts_of([*PARTS, *beside], before=beside) is not None


def test_parts_are_found_though_the_place_lies_at_one_of_them():
    found = parts_of(PARTS, off_mm=0.5 * RADIUS_MM * ALONG_MM)
    assert np.linalg.norm(found.middles_mm.mean(axis=0) - CENTRE_MM) < 0.2 * RADIUS_MM


def test_weak_parts_are_likelier_where_the_lesion_was_in_two_parts_before_and_less_so_where_it_was_gone():
    source = Source("given", CENTRE_MM, RADIUS_MM, None)
    scans, way = (scan_of(WHOLE), scan_of(PARTS, 0.5)), Way(CENTRE_MM, CENTRE_MM, np.eye(3))
    told = [
        find_parts(*scans, way, (source, LOOK), last=last, settings=SETTINGS).probability
        for last in ("split", None, "present", "gone")
    ]
    assert told[0] > told[1] == told[2] > told[3]


def test_a_part_that_is_another_lesion_is_none():
    place_mm, radius_mm = CENTRE_MM + PARTS[0][0], 1.5 * PARTS[0][1]
    assert parts_of(PARTS, others_mm=[(place_mm, radius_mm)]) is None
    assert parts_of(PARTS, others_mm=[(CENTRE_MM + 3.0 * RADIUS_MM * ALONG_MM, radius_mm)]) is not None


def test_parts_that_are_too_small_to_be_measured_are_not_looked_for():
    small_mm = 6.0
    assert parts_of([(small_mm / RADIUS_MM * off, 3.6) for off, _ in PARTS], radius_mm=small_mm) is None


def test_what_surrounds_a_lesion_now_is_told_by_like_values_before_and_goes_on_where_it_was():
    """An enhanced half of the body has 80 HU more now: away from the lesion nothing differs, within it all does."""
    half = np.indices((44, 44, 40))[1] * AFFINE[1, 1] + AFFINE[1, 3] > CENTRE_MM[1]
    empty = np.where(half, 20.0, TISSUE_HU)
    covered = inside(WHOLE)
    before, now = np.where(covered, LESION_HU, empty), np.where(half, 100.0, TISSUE_HU)
    source = Source("given", CENTRE_MM, RADIUS_MM, Volume(covered, AFFINE))
    way = Way(CENTRE_MM, CENTRE_MM, np.eye(3))
    seen = compare(
        Volume(before, AFFINE),
        Volume(now, AFFINE),
        way,
        [(source, LOOK)],
        unit_mm=RADIUS_MM,
        step=0.2,
        reach=1.9,
    )
    assert isinstance(seen, Comparison)
    away = np.abs(seen.points[:, 1]) > 0.4  # from where the halves meet
    assert np.quantile(np.abs(seen.seen[away]), 0.95) < 0.1
    # It differs by 40 HU from one half of what would lie in its place and by 160 from the other, by 100 in the mean.
    expected = np.where(seen.points[:, 1] > 0.0, -40.0, 150.0) / 100.0  # 1.5 at most
    assert np.quantile(np.abs(seen.expected - expected)[away], 0.95) < 0.1
    assert not seen.is_outside[np.linalg.norm(seen.points, axis=1) < 1.0].any()


def test_nothing_is_compared_outside_a_scan():
    source = Source("given", CENTRE_MM, RADIUS_MM, None)
    way = Way(CENTRE_MM, CENTRE_MM + 900.0, np.eye(3))
    scan = scan_of(WHOLE)
    assert compare(scan, scan, way, [(source, LOOK)], unit_mm=RADIUS_MM, step=0.2, reach=1.9) is None


def test_a_ball_explains_what_it_covers_and_its_strength_is_that_of_what_is_there():
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, 11)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    (ball,) = balls(points, np.zeros((1, 3)), np.array([0.5]))
    assert ball.sum() == (np.linalg.norm(points, axis=1) <= 0.5).sum()
    ones = np.ones(len(points), dtype=np.float32)
    seen = Comparison(points, 0.7 * ball, ones, ones > 0.0)
    fit = seen.fit_balls(np.zeros((1, 3)), 0.5)
    assert fit.share[0] == pytest.approx(0.7, abs=1e-6)
    assert fit.gain[0] == pytest.approx(0.49 * ball.sum(), rel=1e-5)
    # One that is a tenth as strong as the lesion looked is put in at six tenths, which explains nothing.
    assert Comparison(points, 0.1 * ball, ones, ones > 0.0).fit_balls(np.zeros((1, 3)), 0.5).gain[0] < 0.0


@pytest.mark.parametrize("factor", [0.74, 1.26])
def test_how_much_a_lesion_has_grown_is_told_by_all_its_voxels_together(factor):
    covered = inside(WHOLE)
    source = Source("given", CENTRE_MM, RADIUS_MM, Volume(covered, AFFINE))
    way = Way(CENTRE_MM, CENTRE_MM, np.eye(3))
    off_mm = np.array([0.0, 2.0, 0.0])
    now = scan_of([(off_mm, factor * RADIUS_MM)])
    scale, middle_mm = grown_mask(scan_of(WHOLE), now, way, (source, LOOK), smallest_share=0.4)
    assert scale == pytest.approx(factor, rel=0.08)
    assert np.linalg.norm(middle_mm - CENTRE_MM - off_mm) < 0.2 * RADIUS_MM
    gone = scan_of([])
    assert grown_mask(scan_of(WHOLE), gone, way, (source, LOOK), smallest_share=0.4) is None
    point = Source("given", CENTRE_MM, RADIUS_MM, None)
    assert grown_mask(scan_of(WHOLE), now, way, (point, LOOK), smallest_share=0.4) is None
