"""Two scans registered coarsely: where points are carried, and where nothing is."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.matching.coarse_registration import CoarseRegistration, register_coarsely
from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.registration.deeds_program import RefusedScansError
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.settings.usage import UsageSettings
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import usage_sections

SPACING_MM = 4.0
SHAPE = (44, 40, 48)
SHIFT_MM = np.array([30.0, -70.0, 200.0])
"""Between the worlds of the two scans."""
USAGE = UsageSettings.model_validate_json(json.dumps(usage_sections()))


def displaced_mm(points_mm):
    """Return where a smooth wave of up to 8 mm along each axis moves (N, 3) points."""
    x, y, z = points_mm.T
    wave = 8.0 * np.column_stack([np.sin(z / 24.0), np.sin(x / 22.0), np.cos(y / 20.0)])
    return points_mm + wave


@pytest.fixture(scope="module", name="pair")
def fixture_pair():
    """Return a scan, that of the same body bent by the wave in another world, and points in the body."""
    noise = gaussian_filter(np.random.default_rng(3).standard_normal(SHAPE), 2.0)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    body = np.where(np.hypot(x, y) < 0.75, 40 + 3000 * noise, -1000.0)
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    template = Volume(body.astype(np.float32), affine)
    # The target shows at displaced_mm(x) what the template shows at x: pull back by the inverse, by fixed-point steps.
    places_mm = np.indices(SHAPE).reshape(3, -1).T * SPACING_MM
    sources_mm = places_mm.copy()
    for _ in range(30):
        sources_mm = places_mm - (displaced_mm(sources_mm) - sources_mm)
    seen = map_coordinates(body, sources_mm.T / SPACING_MM, order=1, mode="nearest").reshape(SHAPE)
    moved = affine.copy()
    moved[:3, 3] = SHIFT_MM
    inside = np.argwhere((np.hypot(x, y) < 0.6) & (np.abs(z) < 0.6))[::37]
    return template, Volume(seen.astype(np.float32), moved), inside * SPACING_MM


def registered(binary, pair, anchors):
    """Return the pair registered with the delivered settings."""
    return register_coarsely(
        binary,
        *pair[:2],
        anchors,
        modalities=("ct", "ct"),
        settings=USAGE.coarse_registration(),
        threads=1,
    )


def test_points_are_carried_by_a_map_that_no_anchor_knew(binary, pair, capfd):
    _, _, points_mm = pair
    truth_mm = displaced_mm(points_mm) + SHIFT_MM
    rough_mm = truth_mm + np.random.default_rng(1).normal(0.0, 5.0, truth_mm.shape)
    found = registered(binary, pair, Anchors(points_mm, rough_mm))
    asked_mm = points_mm + 7.0
    carried_mm = found.carried(asked_mm)
    error_mm = np.linalg.norm(carried_mm - (displaced_mm(asked_mm) + SHIFT_MM), axis=1)
    start_mm = asked_mm @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    start_error_mm = np.linalg.norm(start_mm - (displaced_mm(asked_mm) + SHIFT_MM), axis=1)
    for share in (50, 95):  # beside what the anchors alone know
        assert np.percentile(error_mm, share) < 0.6 * np.percentile(start_error_mm, share)
    assert capfd.readouterr().err == ""  # no line on what is no command of the user


def test_nothing_is_carried_outside_what_both_show():
    field = DisplacementField(np.full((4, 4, 4, 3), 1.0), np.diag([2.0, 2.0, 2.0, 1.0]))
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT_MM
    inside, border, outside = [3.0, 3.0, 3.0], [6.9, -0.9, 0.0], [7.1, 3.0, 3.0]
    carried_mm = CoarseRegistration(matrix, field).carried(
        np.array([inside, border, outside, [np.nan, 3.0, 3.0]])
    )
    np.testing.assert_allclose(carried_mm[:2], np.array([inside, border]) + 1.0 + SHIFT_MM)
    assert np.isnan(carried_mm[2:]).all()


def test_anchors_that_agree_on_no_start_register_nothing(pair):
    _, _, points_mm = pair
    scattered_mm = np.random.default_rng(0).permutation(points_mm)
    no_program = None  # none is asked
    for anchors in (Anchors(points_mm[:3], points_mm[:3]), Anchors(points_mm, scattered_mm)):
        assert registered(no_program, pair, anchors) is None


def test_a_slice_that_lies_across_the_scan_is_refused(binary, pair):
    template, target, points_mm = pair
    turned = target.affine @ np.array([[1, 0, 0, 0], [0, 0.8, -0.6, 20], [0, 0.6, 0.8, 8], [0, 0, 0, 1.0]])
    slice_alone = Volume(target.array[:, :, 20:21], turned)
    with pytest.raises(RefusedScansError, match="two-dimensional"):
        registered(binary, (template, slice_alone), Anchors(points_mm, points_mm + SHIFT_MM))


def test_scans_that_share_no_place_after_the_start_are_not_registered(pair):
    _, _, points_mm = pair
    far_mm = points_mm + np.array([5000.0, 0.0, 0.0])
    assert registered(None, pair, Anchors(points_mm, far_mm)) is None
