"""Two views of one volume: positives must be the same place in the world, by an independent route."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from anatomical_embedding.patches.augmentation import augment_intensity
from anatomical_embedding.patches.patch import sample_patch
from anatomical_embedding.patches.positives import cell_grid, find_coarse_positives, find_fine_positives
from anatomical_embedding.patches.views import View, draw_view_pair
from anatomical_embedding.settings.training import AugmentationSettings, ViewSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY

PATCH_SIZE = (48, 48, 32)
FINE_SIZE = (24, 24, 16)
STRIDE = (2, 2, 2)


def as_float(voxels):
    return voxels.astype(np.float32)


def view_settings(**changes):
    values = {
        "patch_size_vox": PATCH_SIZE,
        "scale_range": (0.8, 1.2),
        "axis_scale_range": (1.0, 1.0),
        "max_rotation_degrees": 5.0,
        "independent_probability": 0.0,
        "seed_in_body_probability": 0.5,
    }
    return ViewSettings(**(values | changes))


def world_ramp_volumes():
    """Return three volumes whose voxels hold their own world x, y and z, on an oblique anisotropic grid."""
    shape = (80, 90, 60)
    angle = np.deg2rad(12)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-2.0, -2.0, 2.5])
    affine[:3, 3] = (50, -20, 300)
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1)
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    body = Volume(np.ones(shape, dtype=np.uint8), affine)
    return [Volume(world[..., axis].astype(np.float32), affine) for axis in range(3)], body


def world_of_cells(ramps, view, flat):
    """Return (N, 3) world mm of fine cells, read off the resampled coordinate ramps."""
    patches = [sample_patch(ramp, view, normalise=as_float, outside_value=0.0).numpy() for ramp in ramps]
    z, y, x = np.unravel_index(flat, FINE_SIZE[::-1])
    centres = np.stack([z, y, x]) * 2 + 0.5  # centre of a cell of two voxels
    return np.stack([map_coordinates(patch, centres, order=1) for patch in patches], axis=-1)


@pytest.mark.parametrize("seed", range(6))
def test_positives_are_the_same_place_within_2_mm(seed):
    ramps, body = world_ramp_volumes()
    generator = np.random.default_rng(seed)
    views = draw_view_pair(ramps[0], body, settings=view_settings(), generator=generator)
    grids = [cell_grid(view, stride_vox=STRIDE, size=FINE_SIZE) for view in views]
    positives = find_fine_positives(
        *grids,
        body,
        max_distance_mm=2.0,
        num_candidates=2000,
        num_positives=100,
        is_limited_to_body=False,
        generator=generator,
    )
    num_cells = int(np.prod(FINE_SIZE))
    forward = positives.query < num_cells
    assert forward.sum() > 20
    assert (~forward).sum() > 20
    for own, other, chosen in ((0, 1, forward), (1, 0, ~forward)):
        query = world_of_cells(ramps, views[own], positives.query[chosen] % num_cells)
        partner = world_of_cells(ramps, views[other], positives.partner[chosen] % num_cells)
        ones = Volume(np.ones(body.shape, dtype=np.float32), body.affine)
        is_whole = np.all(
            [
                world_of_cells([ones], views[own], positives.query[chosen] % num_cells)[:, 0] > 0.9999,
                world_of_cells([ones], views[other], positives.partner[chosen] % num_cells)[:, 0] > 0.9999,
            ],
            axis=0,
        )  # at the border the ramps are mixed with what lies beyond the volume
        assert is_whole.mean() > 0.7
        assert np.linalg.norm(query - partner, axis=1)[is_whole].max() < 2.01


def test_partner_is_the_nearest_of_all_cells():
    _, body = world_ramp_volumes()
    generator = np.random.default_rng(3)
    views = draw_view_pair(body, body, settings=view_settings(), generator=generator)
    grids = [cell_grid(view, stride_vox=(8, 8, 8), size=(6, 6, 4)) for view in views]
    positives = find_coarse_positives(*grids, body, max_distance_mm=25.0, max_distance_z_mm=6.0)
    flat = np.arange(grids[0].num_cells)
    first, second = (
        grid.cells_from_flat(flat) @ grid.affine[:3, :3].T + grid.affine[:3, 3] for grid in grids
    )
    assert len(positives.query) > 10
    both = np.concatenate([first, second])
    for query, partner in zip(positives.query, positives.partner, strict=True):
        candidates = second if query < len(flat) else first
        distance = np.linalg.norm(candidates - both[query], axis=1)
        assert np.linalg.norm(both[query] - both[partner]) == pytest.approx(distance.min(), abs=1e-9)
        assert distance.min() < 25.0
        assert abs(both[query][2] - both[partner][2]) < 6.0


def test_positives_inside_the_body_only():
    _, whole = world_ramp_volumes()
    half = np.zeros_like(whole.array)
    half[:40] = 1
    body = Volume(half, whole.affine)
    generator = np.random.default_rng(0)
    views = draw_view_pair(
        body, body, settings=view_settings(seed_in_body_probability=1.0), generator=generator
    )
    grids = [cell_grid(view, stride_vox=STRIDE, size=FINE_SIZE) for view in views]
    positives = find_fine_positives(
        *grids,
        body,
        max_distance_mm=2.0,
        num_candidates=3000,
        num_positives=100,
        is_limited_to_body=True,
        generator=generator,
    )
    flat = np.arange(grids[0].num_cells)
    both = np.concatenate(
        [grid.cells_from_flat(flat) @ grid.affine[:3, :3].T + grid.affine[:3, 3] for grid in grids]
    )
    voxels = np.rint(body.voxel_from_world(both[positives.query])).astype(int)
    assert len(voxels) == 200  # 100 ask from each view
    assert (half[tuple(voxels.T)] == 1).all()


def test_views_without_overlap_are_their_own_partners():
    _, body = world_ramp_volumes()
    affines = [np.eye(4), np.eye(4)]
    affines[1][:3, 3] = 500.0
    grids = [cell_grid(View(PATCH_SIZE, affine), stride_vox=STRIDE, size=FINE_SIZE) for affine in affines]
    big = Volume(body.array, np.diag([20.0, 20.0, 20.0, 1.0]))
    positives = find_fine_positives(
        *grids,
        big,
        max_distance_mm=2.0,
        num_candidates=500,
        num_positives=50,
        is_limited_to_body=False,
        generator=np.random.default_rng(0),
    )
    assert len(positives.query) == 50
    np.testing.assert_array_equal(positives.query, positives.partner)


def test_patch_of_the_identity_view_is_the_volume():
    array = np.random.default_rng(0).integers(-1000, 1000, (10, 12, 8)).astype(np.int16)
    volume = Volume(array, np.diag([-2.0, -2.0, 3.0, 1.0]))
    patch = sample_patch(volume, View((10, 12, 8), volume.affine), normalise=as_float, outside_value=-1024.0)
    np.testing.assert_allclose(patch.numpy(), array.transpose(2, 1, 0), atol=0.01)


def test_patch_holds_the_networks_intensities():
    volume = Volume(np.full((6, 6, 4), 100, dtype=np.int16), np.eye(4))
    view = View((4, 4, 2), volume.affine)
    patch = sample_patch(volume, view, normalise=lambda voxels: as_float(voxels) / 4, outside_value=0.0)
    np.testing.assert_allclose(patch.numpy(), 25.0, atol=1e-4)


def test_patch_larger_than_the_volume_is_padded():
    volume = Volume(np.full((6, 6, 4), 100, dtype=np.int16), np.eye(4))
    affine = np.eye(4)
    affine[:3, 3] = (-5, -5, -4)
    patch = sample_patch(volume, View((16, 16, 12), affine), normalise=as_float, outside_value=-50.0)
    assert patch.shape == (12, 16, 16)
    assert patch[0].eq(-50.0).all()
    np.testing.assert_allclose(patch[4:8, 5:11, 5:11].numpy(), 100.0, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 90, 60), (80, 90, 9)])
def test_small_volumes_are_centred(shape):
    volume = Volume(np.ones(shape, dtype=np.uint8), np.eye(4))
    views = draw_view_pair(
        volume,
        volume,
        settings=view_settings(max_rotation_degrees=0.0),
        generator=np.random.default_rng(1),
    )
    for view in views:
        centre = view.affine[:3, :3] @ ((np.array(PATCH_SIZE) - 1) / 2) + view.affine[:3, 3]
        small = np.array(shape) < np.array(PATCH_SIZE) * 0.8
        np.testing.assert_allclose(centre[small], ((np.array(shape) - 1) / 2)[small], atol=1e-9)


def test_views_stay_inside_large_volumes():
    volume = Volume(np.ones((200, 200, 200), dtype=np.uint8), np.diag([-2.0, -2.0, 2.0, 1.0]))
    generator = np.random.default_rng(4)
    corners = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in PATCH_SIZE])).reshape(3, -1).T
    for _ in range(20):
        for view in draw_view_pair(
            volume, volume, settings=view_settings(max_rotation_degrees=0.0), generator=generator
        ):
            voxels = volume.voxel_from_world(corners @ view.affine[:3, :3].T + view.affine[:3, 3])
            assert voxels.min() >= -0.5 - 1e-9
            assert voxels.max() <= 199.5 + 1e-9


def test_same_seed_same_patch():
    _, body = world_ramp_volumes()
    first, second = (
        draw_view_pair(body, body, settings=view_settings(), generator=np.random.default_rng(9))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first[0].affine, second[0].affine)
    assert torch.equal(
        sample_patch(body, first[0], normalise=as_float, outside_value=0.0),
        sample_patch(body, second[0], normalise=as_float, outside_value=0.0),
    )


def test_a_blurred_patch_is_a_plain_tensor():
    """A subclass would follow every operation of the network, and custom ones refuse it."""
    settings = AugmentationSettings(
        contrast_range=(1.0, 1.0),
        brightness_range=(0.0, 0.0),
        noise_standard_deviation_range=(0.0, 0.0),
        blur_standard_deviation_range_vox=(1.0, 1.0),
    )
    patch = torch.zeros(9, 9, 9)
    patch[4, 4, 4] = 1.0
    blurred = augment_intensity(
        patch,
        lambda: patch > 0,
        settings=settings,
        intensity=IntensitySettings.model_validate(INTENSITY),
        generator=np.random.default_rng(0),
    )
    assert type(blurred) is torch.Tensor
    assert 0.0 < blurred[4, 4, 4] < 0.2
    assert blurred.sum().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_a_patch_equals_scipy_trilinear_interpolation_also_beyond_the_border(seed):
    generator = np.random.default_rng(seed)
    volume = Volume(generator.normal(size=(14, 11, 9)).astype(np.float32), np.diag([-4.0, 4.0, 5.0, 1.0]))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", generator.uniform(-40, 40, 3), degrees=True).as_matrix() * 4.5
    affine[:3, 3] = generator.uniform([-50, -15, -10], [-20, 5, 10])
    view = View((13, 12, 10), affine)
    patch = sample_patch(volume, view, normalise=as_float, outside_value=-3.0)
    places = np.stack(np.meshgrid(*[np.arange(size) for size in view.size_vox], indexing="ij"), axis=-1)
    world = places @ affine[:3, :3].T + affine[:3, 3]
    voxels = volume.voxel_from_world(world.reshape(-1, 3)).T
    expected = map_coordinates(volume.array, voxels, order=1, mode="grid-constant", cval=-3.0)
    expected = expected.reshape(view.size_vox).transpose(2, 1, 0)
    assert 0.05 < np.mean(expected == -3.0) < 0.99
    np.testing.assert_allclose(patch.numpy(), expected, atol=1e-4)
