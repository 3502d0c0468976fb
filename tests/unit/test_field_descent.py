"""The descent below a voxel, against shifts and fields that were made by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_descent import control_grid, descend_field, smallest_jacobian
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.volumes.volume import Volume

SPACING_MM = 2.0
SHAPE = (36, 34, 32)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -20], [0, 0, 2, 5], [0, 0, 0, 1]])
MIDDLE = (slice(4, -4),) * 3


def settings(**changes) -> FieldDescentSettings:
    section = {
        "spacing_mm": SPACING_MM,
        "control_step_vox": 2,
        "passes": [{"smooth_mm": 2.0, "window_mm": 8.0, "num_steps": 6}],
        "contrast_mm": 8.0,
        "noise": 10.0,
        "stiffness": 0.001,
        "start_smooth_mm": 0.0,
        "largest_step_mm": 4.0,
    }
    return FieldDescentSettings.model_validate(section | changes, strict=False)


def texture() -> np.ndarray:
    """Return smooth random tissue of 100 HU around 40."""
    values = gaussian_filter(np.random.default_rng(3).standard_normal(SHAPE), 2.5)
    return 40 + 100 * values / values.std()


def moved(image: np.ndarray, shift_vox) -> np.ndarray:
    """Return an image whose content lies `shift_vox` farther along the axes of its grid."""
    places = np.indices(SHAPE) - np.reshape(shift_vox, (3, 1, 1, 1))
    return map_coordinates(image, places, order=3, mode="nearest")


def still(shift_mm: float = 0.0) -> DisplacementField:
    controls = control_grid(Volume(np.zeros(SHAPE), AFFINE), settings=settings())
    return DisplacementField(np.full((*controls.shape, 3), shift_mm, np.float32), controls.affine)


@pytest.mark.parametrize("contrast", [1.0, 1.4])
def test_a_shift_of_less_than_a_voxel_is_found(contrast):
    image = texture()
    shift_vox = np.array([0.4, -0.4, 0.25])
    moving = Volume(contrast * moved(image, shift_vox) + 30, AFFINE)
    found = descend_field(still(), Volume(image, AFFINE), moving, settings=settings()).field
    in_voxels = found.displacements_mm[MIDDLE] / np.diag(AFFINE)[:3]
    assert np.abs(in_voxels.reshape(-1, 3).mean(axis=0) - shift_vox).max() < 0.02
    assert np.abs(in_voxels - shift_vox).max() < 0.15


def test_nothing_moves_where_the_images_show_nothing():
    """A field of the search stays in a uniform region."""
    uniform = Volume(np.full(SHAPE, 40.0), AFFINE)
    found = descend_field(still(3.0), uniform, uniform, settings=settings()).field
    np.testing.assert_allclose(found.displacements_mm, 3.0, atol=1e-4)


def test_round_a_body_the_field_is_that_of_everywhere():
    """Both images show noise around it. What the moving one shows far from the body is not looked at."""
    noise = np.random.default_rng(7).normal(40, 15, (2, *SHAPE))
    middle = np.reshape((17.5, 16.5, 15.5), (3, 1, 1, 1))
    inside = np.linalg.norm(np.indices(SHAPE) - middle, axis=0) < 5
    image = Volume(np.where(inside, texture(), noise[0]), AFFINE)
    moving = np.where(inside, moved(texture(), (0.4, -0.4, 0.25)), noise[1])
    other = moving.copy()
    other[0] = 3000
    body = Volume(inside.astype(np.uint8), AFFINE)
    everywhere, near, still_near = (
        descend_field(
            still(), image, Volume(array, AFFINE), settings=settings(), body=mask
        ).field.displacements_mm
        for array, mask in ((moving, None), (moving, body), (other, body))
    )
    controls = np.indices(near.shape[:3]) * 2 + 0.5
    in_body = np.linalg.norm(controls - middle, axis=0) < 5
    assert np.linalg.norm(near[in_body], axis=-1).min() > 0.3
    assert np.linalg.norm(near - everywhere, axis=-1)[in_body].max() < 0.05
    np.testing.assert_array_equal(still_near, near)


def test_unrelated_images_fold_nothing():
    """Weak stiffness and narrow windows would tear the field apart."""
    other = gaussian_filter(np.random.default_rng(5).standard_normal(SHAPE), 1.5)
    loose = settings(stiffness=1e-6, passes=[{"smooth_mm": 0.0, "window_mm": 2.0, "num_steps": 6}])
    found = descend_field(
        still(), Volume(texture(), AFFINE), Volume(1000 * other, AFFINE), settings=loose
    ).field
    along = np.moveaxis(found.displacements_mm, -1, 0) * np.sign(np.diag(AFFINE)[:3]).reshape(3, 1, 1, 1)
    assert np.abs(along).max() > 1.0
    assert smallest_jacobian(along, np.full(3, 2 * SPACING_MM)) > 0.0


def test_the_field_lies_on_its_control_points():
    """Pairs of voxels of 2 mm: the first control point lies 1 mm behind the first voxel."""
    uniform = Volume(np.full(SHAPE, 40.0), AFFINE)
    found = descend_field(still(), uniform, uniform, settings=settings()).field
    assert found.displacements_mm.shape == (18, 17, 16, 3)
    np.testing.assert_allclose(found.affine[:3, 3], [29, -19, 6])
    np.testing.assert_allclose(np.diag(found.affine), [-4, 4, 4, 1])


def test_jacobian_of_a_stretch():
    """Half of x along the first axis and -0.2 z along the third added keep 1.5 and 0.8 of the lengths."""
    x, _, z = np.indices((5, 4, 6)) * 3.0
    shift = np.stack([0.5 * x, np.zeros_like(x), -0.2 * z])
    assert smallest_jacobian(shift, np.full(3, 3.0)) == pytest.approx(1.2)


def test_slices_of_another_orientation_end_at_the_same_places():
    """The moving scan is turned: its axes are stored in another order and direction."""
    image = texture()
    shift_vox = np.array([0.4, -0.4, 0.25])
    stored = np.flip(moved(image, shift_vox).transpose(2, 0, 1), axis=1)
    order = np.zeros((4, 4))
    order[0, 1], order[1, 2], order[2, 0], order[3, 3] = -1, 1, 1, 1
    order[0, 3] = SHAPE[0] - 1
    found = descend_field(
        still(), Volume(image, AFFINE), Volume(stored, AFFINE @ order), settings=settings()
    ).field
    in_voxels = found.displacements_mm[MIDDLE] / np.diag(AFFINE)[:3]
    assert np.abs(in_voxels.reshape(-1, 3).mean(axis=0) - shift_vox).max() < 0.02
