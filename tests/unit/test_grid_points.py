"""A lattice matched to and fro between two embeddings whose anatomy is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anatomical_embedding.matching.grid_points import lattice_in_body, match_grid
from anatomical_embedding.matching.nearest import similarity_map
from anatomical_embedding.registration.guided_start import find_start
from anatomical_embedding.settings.registration import GridMatchSettings, MatchGridSettings
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume
from tests.reference.synthetic_embeddings import synthetic_volume
from tests.unit.samples import oblique_affine
from tests.unit.test_nearest import EXACT
from tests.unit.test_robust_fit import fit_settings

FIXED_SHAPE, MOVING_SHAPE = (48, 40, 40), (48, 40, 32)
FIXED_AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])
MOVING_AFFINE = oblique_affine((0, 0, 20.0), (4.0, 4.0, 4.0), (-300.0, 50.0, 20.0))
MOVE = np.eye(4)  # fixed to moving world
MOVE[:3, :3] = Rotation.from_euler("z", 25, degrees=True).as_matrix()


def bodies():
    return [
        Volume(np.ones(shape, np.uint8), affine)
        for shape, affine in ((FIXED_SHAPE, FIXED_AFFINE), (MOVING_SHAPE, MOVING_AFFINE))
    ]


def true_map():
    """Return the map that lays the middles of the two volumes on one another."""
    matrix = MOVE.copy()
    middles = [body.world_from_voxel((np.array([body.shape]) - 1) / 2)[0] for body in bodies()]
    matrix[:3, 3] = middles[1] - MOVE[:3, :3] @ middles[0]
    return matrix


def embeddings():
    fixed = synthetic_volume(FIXED_AFFINE, FIXED_SHAPE, volume_id="fixed")
    back = invert_affine(true_map())
    moving = synthetic_volume(
        MOVING_AFFINE,
        MOVING_SHAPE,
        anatomy_of=lambda points: transform_points(back, points.reshape(-1, 3)).reshape(points.shape),
        volume_id="moving",
    )
    return fixed, moving


def grid_settings(**changes):
    values = {"spacing_mm": (24.0, 24.0, 24.0), "min_similarity": 0.6, "max_return_distance_mm": 16.0}
    return MatchGridSettings(grid=GridMatchSettings(**(values | changes)), matching=EXACT)


def matched(**changes):
    fixed_body, moving_body = bodies()
    return match_grid(
        *embeddings(), fixed_body=fixed_body, moving_body=moving_body, settings=grid_settings(**changes)
    )


def test_lattice_lies_in_the_body_at_its_spacing():
    body = np.zeros((20, 20, 20), np.uint8)
    body[5:15] = 1
    points = lattice_in_body(Volume(body, np.diag([2.0, 2.0, 2.0, 1.0])), spacing_mm=(8.0, 10.0, 12.0))
    for axis, step in enumerate((8.0, 10.0, 12.0)):
        values = np.unique(points[:, axis])
        np.testing.assert_allclose(np.diff(values), step)
    assert points[:, 0].min() >= 9.0 and points[:, 0].max() <= 29.0
    middle = (np.unique(points[:, 1]).min() + np.unique(points[:, 1]).max()) / 2
    assert middle == pytest.approx(19.0)


def test_kept_correspondences_follow_the_true_map_and_give_it_back():
    found = matched()
    kept = found.is_kept
    assert kept.sum() > 60
    errors = np.linalg.norm(
        transform_points(true_map(), found.fixed_mm[kept]) - found.moving_mm[kept], axis=1
    )
    assert np.median(errors) < 5.0
    fixed_body, moving_body = bodies()
    start = find_start(found, fixed_body=fixed_body, moving_body=moving_body, settings=fit_settings())
    assert start.status == "found"
    corners = transform_points(FIXED_AFFINE, [[0, 0, 0], [47, 39, 39]])
    off = np.linalg.norm(
        transform_points(start.matrix, corners) - transform_points(true_map(), corners), axis=1
    )
    assert off.max() < 4.0


def test_the_smaller_volume_is_asked():
    """The moving volume is the smaller one here, so its points form the lattice."""
    found = matched()
    lattice = lattice_in_body(bodies()[1], spacing_mm=(24.0, 24.0, 24.0))
    assert {tuple(point) for point in found.moving_mm.round(6)} <= {
        tuple(point) for point in lattice.round(6)
    }


def test_answers_are_the_best_cells_that_touch_the_body():
    """By brute force; the body of the fixed volume, which is searched, ends at half its length."""
    fixed, moving = embeddings()
    fixed_body, moving_body = bodies()
    fixed_body.array[21:] = 0
    matching = EXACT.model_copy(update={"query_interpolation": "trilinear"})  # which knows no ties
    settings = grid_settings().model_copy(update={"matching": matching})
    found = match_grid(fixed, moving, fixed_body=fixed_body, moving_body=moving_body, settings=settings)
    for number in range(0, len(found.moving_mm), 30):
        scores = similarity_map(moving, fixed, found.moving_mm[number], settings=matching)
        scores.array[
            11:
        ] = -1.0  # cells of two voxels: the eleventh begins with voxel 20, the last of the body
        cell = tuple(np.rint(scores.voxel_from_world(found.fixed_mm[number])).astype(int))
        assert found.similarity[number] == pytest.approx(scores.array.max(), abs=1e-5)
        assert scores.array[cell] == pytest.approx(scores.array.max(), abs=1e-5)


def test_limits_decide_what_is_kept():
    loose = matched(min_similarity=-1.0, max_return_distance_mm=None)
    assert loose.is_kept.all()
    strict = matched(min_similarity=0.95, max_return_distance_mm=6.0)
    expected = (strict.similarity >= 0.95) & (strict.return_distance_mm <= 6.0)
    np.testing.assert_array_equal(strict.is_kept, expected)
    assert 0 < strict.is_kept.sum() < len(strict.is_kept)
