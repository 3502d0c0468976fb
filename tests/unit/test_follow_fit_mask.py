"""Masks of followed lesions, fitted to balls of known size."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.follow.fit_mask import HARDLY_DIFFER, ball_radius_mm, fit_mask
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.volumes.volume import Volume
from tests.followed_ball import AFFINE, CENTRE_MM, scan_with_ball

SETTINGS = delivered_follow_settings()


@pytest.mark.parametrize("radius_mm", [7.0, 10.0])
def test_a_mask_in_a_blurred_scan_is_as_large_as_the_lesion(radius_mm):
    sharp, truth = scan_with_ball(radius_mm)
    blurred = gaussian_filter(sharp.array, 2.0 / np.array([2.0, 2.0, 2.5]))  # of 2 mm, as many scans have
    fit = fit_mask(
        Volume(blurred, AFFINE),
        CENTRE_MM,
        truth,
        CENTRE_MM,
        np.eye(3),
        radius_mm=radius_mm,
        settings=SETTINGS.masks,
    )
    assert fit.is_fitted
    assert fit.radius_mm == pytest.approx(radius_mm, abs=0.4)


@pytest.mark.parametrize("radius_mm", [7.0, 9.0, 12.0])
def test_a_mask_grows_and_shrinks_with_the_lesion(radius_mm):
    _, before = scan_with_ball(9.0)
    scan, truth = scan_with_ball(radius_mm, seed=1)
    fit = fit_mask(
        scan,
        CENTRE_MM + np.array([1.0, 0.5, -1.0]),
        before,
        CENTRE_MM,
        np.eye(3),
        radius_mm=9.0,
        settings=SETTINGS.masks,
    )
    mask = np.zeros(scan.shape, dtype=bool)
    mask[tuple(fit.voxels_on(scan).T)] = True
    assert fit.is_fitted and fit.note == ""
    assert 2.0 * (mask & truth.array).sum() / (mask.sum() + truth.array.sum()) > 0.9
    assert mask.sum() == pytest.approx(truth.array.sum(), rel=0.15)
    assert np.linalg.norm(fit.centre_mm - CENTRE_MM) < 1.0


@pytest.mark.parametrize(("radius_mm", "doubt"), [(0.0, ""), (6.0, HARDLY_DIFFER)])
def test_the_carried_mask_stands_where_lesion_and_surroundings_do_not_differ(radius_mm, doubt):
    _, before = scan_with_ball(9.0)
    scan, _ = scan_with_ball(radius_mm)
    fit = fit_mask(
        scan,
        CENTRE_MM,
        before,
        CENTRE_MM,
        np.eye(3),
        radius_mm=9.0,
        doubt=doubt,
        settings=SETTINGS.masks,
    )
    assert not fit.is_fitted
    assert fit.note == HARDLY_DIFFER or fit.note.startswith("its volume would change")
    assert fit.radius_mm == pytest.approx(9.0, rel=0.05)


def test_a_carried_mask_is_turned_with_its_surroundings():
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (40, 40, 36)], indexing="ij"), axis=-1)
    offsets = np.abs(voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM)
    bar = Volume((offsets < [14.0, 5.0, 5.0]).all(axis=-1), AFFINE)
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    flat = Volume(np.zeros(bar.shape), AFFINE)
    fit = fit_mask(
        flat,
        CENTRE_MM,
        bar,
        CENTRE_MM,
        quarter_turn,
        radius_mm=9.0,
        settings=SETTINGS.masks,
    )
    reach_mm = np.abs(fit.patch.offsets_mm[fit.mask]).max(axis=0)
    assert reach_mm == pytest.approx([5.0, 14.0, 5.0], abs=2.5)  # a voxel


def test_the_radius_of_a_ball():
    assert ball_radius_mm(4.0 / 3.0 * np.pi * 27.0) == pytest.approx(3.0)


@pytest.mark.slow
def test_a_lesion_as_large_as_a_body_takes_no_more_samples_than_a_large_one():
    """A ball of 160 mm radius: at 1.2 mm its cube would have 16 million samples, at each of which it is fitted."""
    spacing_mm, radius_mm = 8.0, 160.0
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    voxels = np.stack(np.meshgrid(*[np.arange(64)] * 3, indexing="ij"), axis=-1)
    centre_mm = np.full(3, spacing_mm * 31.5)
    inside = np.linalg.norm(voxels * spacing_mm - centre_mm, axis=-1) <= radius_mm
    scan = Volume(
        np.where(inside, 100.0, 0.0) + np.random.default_rng(0).normal(0.0, 5.0, inside.shape), affine
    )
    fit = fit_mask(
        scan,
        centre_mm,
        Volume(inside, affine),
        centre_mm,
        np.eye(3),
        radius_mm=radius_mm,
        settings=SETTINGS.masks,
    )
    assert fit.mask.size <= (2 * 81 + 1) ** 3
    assert fit.is_fitted
    assert fit.radius_mm == pytest.approx(radius_mm, rel=0.03)
