"""The descent below a voxel by the built program, against NumPy and fields that were made by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_descent import (
    control_grid,
    descend_field,
    near_body,
    on_fine_grid,
)
from anatomical_embedding.registration.field_doubt import strain
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.volumes.volume import Volume
from tests.deeds_files import write_registration
from tests.reference.field_descent_by_numpy import descend

SPACING_MM = 2.0
SHAPE = (36, 34, 32)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -20], [0, 0, 2, 5], [0, 0, 0, 1]])
MIDDLE = (slice(4, -4),) * 3
SHIFT_VOX = np.array([0.4, -0.4, 0.25])
DOUBT = {
    "scale": 1.0,
    "hold_power": 1.0,
    "step_power": 1.0,
    "step_floor_mm": 0.5,
    "strain_power": 0.0,
    "strain_floor": 1.0,
    "largest_mm": 1000.0,
    "min_agreement": 0.98,
}


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


@pytest.fixture
def descended(binary, tmp_path):
    """Return the descent by the program, from a field on control points."""

    def run(field, fixed, moving, *, chosen=None, body=None):
        write_registration(field, tmp_path / "deeds")
        return descend_field(
            binary,
            tmp_path / "deeds",
            fixed,
            moving,
            controls=Volume(field.displacements_mm[..., 0], field.affine),
            settings=chosen or settings(),
            body=body,
            folder=tmp_path,
            threads=1,
        )

    return run


def turned(image: np.ndarray) -> Volume:
    """Return an image of the grid with its axes stored in another order and direction."""
    stored = np.flip(image.transpose(2, 0, 1), axis=1)
    order = np.zeros((4, 4))
    order[0, 1], order[1, 2], order[2, 0], order[3, 3] = -1, 1, 1, 1
    order[0, 3] = SHAPE[0] - 1
    return Volume(stored, AFFINE @ order)


@pytest.mark.parametrize("roughness", [None, {"window_mm": 6.0, "wall_mm": 0.3}])
@pytest.mark.parametrize("has_body", [False, True])
def test_the_program_does_what_numpy_does(descended, has_body, roughness):
    """Two passes from a field that is not smooth, round a body, on a turned moving scan with noise."""
    random = np.random.default_rng(5)
    fixed = Volume(texture(), AFFINE)
    moving = turned(moved(texture(), SHIFT_VOX) + 20 * random.standard_normal(SHAPE))
    passes = [
        {"smooth_mm": 3.0, "window_mm": 10.0, "num_steps": 2},
        {"smooth_mm": 0.0, "window_mm": 5.0, "num_steps": 3},
    ]
    chosen = settings(passes=passes, start_smooth_mm=3.0, roughness=roughness, doubt=DOUBT)
    start = still()
    start.displacements_mm[:] = 0.5 * random.standard_normal(start.displacements_mm.shape)
    inside = np.linalg.norm(np.indices(SHAPE) - np.reshape([17.5, 16.5, 15.5], (3, 1, 1, 1)), axis=0) < 5
    body = Volume(inside.astype(np.uint8), AFFINE) if has_body else None
    controls = Volume(start.displacements_mm[..., 0], start.affine)
    is_wanted = np.ones(controls.shape, bool) if body is None else near_body(controls, body)
    expected = descend(
        start,
        on_fine_grid(controls, fixed, settings=chosen),
        moving,
        settings=chosen,
        is_wanted=is_wanted,
    )
    found = descended(start, fixed, moving, chosen=chosen, body=body)
    moves = found.field.displacements_mm - start.displacements_mm
    assert np.abs(moves).max() > 0.5
    np.testing.assert_allclose(found.field.displacements_mm, expected.displacements_mm, atol=2e-3)
    assert found.doubt is not None
    np.testing.assert_allclose(found.doubt.agreement.array, expected.agreement, atol=2e-3)
    radius_mm = (expected.last_step_mm + 0.5) / expected.hold
    np.testing.assert_allclose(found.doubt.radius_mm.array, radius_mm, rtol=5e-3, atol=1e-3)
    assert np.isnan(expected.agreement).any()


def test_control_points_count_up_to_twelve_millimetres_from_a_body_along_each_axis():
    """Points 4, 5 and 12 mm apart: three, three and one beside the only one in the body."""
    grid = Volume(np.zeros((11, 10, 7), np.uint8), np.diag([-4.0, 5.0, 12.0, 1.0]))
    body = Volume(grid.array.copy(), grid.affine)
    body.array[5, 4, 3] = 1
    expected = np.zeros(grid.shape, bool)
    expected[2:9, 1:8, 2:5] = True
    np.testing.assert_array_equal(near_body(grid, body), expected)


@pytest.mark.parametrize("contrast", [1.0, 1.4])
def test_a_shift_of_less_than_a_voxel_is_found(descended, contrast):
    moving = Volume(contrast * moved(texture(), SHIFT_VOX) + 30, AFFINE)
    found = descended(still(), Volume(texture(), AFFINE), moving).field
    in_voxels = found.displacements_mm[MIDDLE] / np.diag(AFFINE)[:3]
    assert np.abs(in_voxels.reshape(-1, 3).mean(axis=0) - SHIFT_VOX).max() < 0.02
    assert np.abs(in_voxels - SHIFT_VOX).max() < 0.15


def test_round_a_body_the_field_is_that_of_everywhere(descended):
    """Both images show noise around it. What the moving one shows far from the body is not looked at."""
    noise = np.random.default_rng(7).normal(40, 15, (2, *SHAPE))
    middle = np.reshape((17.5, 16.5, 15.5), (3, 1, 1, 1))
    inside = np.linalg.norm(np.indices(SHAPE) - middle, axis=0) < 5
    image = Volume(np.where(inside, texture(), noise[0]), AFFINE)
    moving = np.where(inside, moved(texture(), SHIFT_VOX), noise[1])
    other = moving.copy()
    other[0] = 3000
    body = Volume(inside.astype(np.uint8), AFFINE)
    everywhere, near, still_near = (
        descended(still(), image, Volume(array, AFFINE), body=mask).field.displacements_mm
        for array, mask in ((moving, None), (moving, body), (other, body))
    )
    controls = np.indices(near.shape[:3]) * 2 + 0.5
    in_body = np.linalg.norm(controls - middle, axis=0) < 5
    assert np.linalg.norm(near[in_body], axis=-1).min() > 0.3
    assert np.linalg.norm(near - everywhere, axis=-1)[in_body].max() < 0.05
    np.testing.assert_array_equal(still_near, near)


def test_a_field_of_the_search_stays_where_the_images_show_nothing(descended):
    uniform = Volume(np.full(SHAPE, 40.0), AFFINE)
    found = descended(still(3.0), uniform, uniform, chosen=settings(doubt=DOUBT))
    np.testing.assert_allclose(found.field.displacements_mm, 3.0, atol=1e-4)
    np.testing.assert_allclose(strain(found.field), 0.0, atol=1e-4)
    assert np.isnan(found.doubt.agreement.array).all()


def test_the_field_lies_on_its_control_points(descended):
    """Pairs of voxels of 2 mm: the first control point lies 1 mm behind the first voxel."""
    found = descended(still(), Volume(texture(), AFFINE), Volume(texture(), AFFINE)).field
    assert found.displacements_mm.shape == (18, 17, 16, 3)
    np.testing.assert_allclose(found.affine[:3, 3], [29, -19, 6])
    np.testing.assert_allclose(np.diag(found.affine), [-4, 4, 4, 1])


def test_slices_of_another_orientation_end_at_the_same_places(descended):
    """The moving scan is turned: its axes are stored in another order and direction."""
    found = descended(still(), Volume(texture(), AFFINE), turned(moved(texture(), SHIFT_VOX))).field
    in_voxels = found.displacements_mm[MIDDLE] / np.diag(AFFINE)[:3]
    assert np.abs(in_voxels.reshape(-1, 3).mean(axis=0) - SHIFT_VOX).max() < 0.02
