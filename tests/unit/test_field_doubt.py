"""How far a registered place may be off, worked out by hand, and whether that is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.phantom.synthetic_body import make_subject
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_descent import control_grid, descend_field
from anatomical_embedding.registration.field_doubt import (
    FieldDoubt,
    agreement_in,
    doubt_at,
    doubt_mm,
    strain,
    within_body,
)
from anatomical_embedding.settings.field_descent import FieldDescentSettings, FieldDoubtSettings
from anatomical_embedding.volumes.volume import Volume
from tests.deeds_files import write_registration
from tests.packaged_model import usage_sections
from tests.phantom_settings import phantom_settings

SHAPE = (9, 8, 7)


def settings(**changes) -> FieldDoubtSettings:
    section = {
        "scale": 3.0,
        "hold_power": 2.0,
        "step_power": 1.0,
        "step_floor_mm": 1.0,
        "strain_power": 0.5,
        "strain_floor": 4.0,
        "largest_mm": 25.0,
        "min_agreement": 0.98,
    }
    return FieldDoubtSettings(**section | changes)


def field(displacements_mm) -> DisplacementField:
    return DisplacementField(np.asarray(displacements_mm, np.float32), np.diag([6.0, 6, 6, 1]))


def doubt(hold=2.0, **changes):
    """Return the doubt of a smooth field that is held by `hold`/mm at least and was moved by 5 mm."""
    still = field(np.ones((*SHAPE, 3)))
    return doubt_mm(np.full(SHAPE, hold), np.full(SHAPE, 5.0), still, settings=settings(**changes))


def test_the_doubt_is_a_product_of_powers():
    """3 / 2^2 * (5 + 1) * (0 + 4)^0.5 = 9."""
    np.testing.assert_allclose(doubt(), 9.0, rtol=1e-5)


def test_no_doubt_is_larger_than_the_largest():
    np.testing.assert_array_equal(doubt(largest_mm=6.5), 6.5)


def test_where_nothing_holds_the_field_along_a_direction_the_doubt_is_the_largest():
    np.testing.assert_array_equal(doubt(hold=0.0), 25.0)


def test_strain_of_a_stretch_and_a_shear():
    """0.3 along x for every mm of x and 0.4 along z for every mm of y: a root of 0.09 + 0.16."""
    x, y, _ = np.indices(SHAPE) * 6.0
    stretched = field(np.stack([0.3 * x, np.zeros(SHAPE), 0.4 * y], axis=-1))
    np.testing.assert_allclose(strain(stretched), 0.5, rtol=1e-5)


def test_outside_the_body_the_doubt_is_the_largest():
    """Voxels of 4 mm at 0, 4, ..., 36 mm, of which those at 12 to 24 are body; control points at 0, 6, ..., 36 mm."""
    mask = np.zeros((10, 2, 2), np.uint8)
    mask[3:7] = 1
    body = Volume(mask, np.diag([4.0, 4, 4, 1]))
    values = Volume(np.full((7, 1, 1), 1.5, np.float32), np.diag([6.0, 6, 6, 1]))
    found = within_body(values, body, largest_mm=20.0).array[:, 0, 0]
    np.testing.assert_array_equal(found, [20, 20, 1.5, 1.5, 1.5, 20, 20])


def test_doubt_between_control_points_and_beyond_them():
    values = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    map_of_doubt = Volume(values, np.array([[-6.0, 0, 0, 1], [0, 6, 0, 2], [0, 0, 6, 3], [0, 0, 0, 1]]))
    points = np.array([[1.0, 2, 3], [-2, 2, 3], [1, 2, 4.5], [1, 2, 12.5]])
    np.testing.assert_allclose(doubt_at(map_of_doubt, points), [0, 2, 0.25, np.nan])


def test_agreement_is_the_median_in_the_body():
    affine = np.diag([6.0, 6, 6, 1])
    values = np.array([0.1, 0.5, np.nan, 0.9, 0.8, 0.2], np.float32).reshape(6, 1, 1)
    mask = np.array([0, 1, 1, 1, 1, 0], np.uint8).reshape(6, 1, 1)
    doubt = FieldDoubt(Volume(values, affine), Volume(values, affine))
    assert agreement_in(doubt, Volume(mask, affine)) == pytest.approx(0.8)
    assert np.isnan(agreement_in(doubt, Volume(0 * mask, affine)))


@pytest.mark.slow
def test_scans_of_one_body_agree_enough_and_those_of_two_do_not(binary, tmp_path):
    """One body moved by 4 mm (standard deviation) with noise of 20 HU; another one from the true correspondence."""
    chosen = FieldDescentSettings.model_validate(
        usage_sections()["scan_registration"]["deeds"]["descent"], strict=False
    )
    subjects = phantom_settings({"modalities": ["ct"]})
    first, second = (make_subject(subjects, subject_index=index).ct for index in range(2))
    assert first is not None
    assert second is not None
    shape, affine = first.volume.shape, first.volume.affine
    random = np.random.default_rng(1)
    moves = np.stack([gaussian_filter(random.standard_normal(shape), 6) for _ in range(3)])
    places = np.indices(shape) + moves / moves.std()
    again = map_coordinates(first.volume.array.astype(float), places, order=1, mode="nearest")
    again += 20 * random.standard_normal(shape)

    controls = control_grid(first.volume, settings=chosen)
    still = np.zeros((*controls.shape, 3), np.float32)
    coarse = np.indices(
        [size // 8 + 2 for size in controls.shape]
    )  # every eighth control point; linear between
    points = Volume(still[..., 0], controls.affine).world_from_voxel(8 * coarse.reshape(3, -1).T)
    true = (second.world_from_atlas(first.atlas_from_world(points)) - points).T.reshape(coarse.shape)
    eighths = np.indices(controls.shape) / 8
    true = np.stack([map_coordinates(part, eighths, order=1, mode="nearest") for part in true], axis=-1)
    body = Volume((first.labels.array > 0).astype(np.uint8), affine)

    def agreement(moving: Volume, start_mm: np.ndarray) -> float:
        start = DisplacementField(start_mm.reshape(still.shape).astype(np.float32), controls.affine)
        write_registration(start, tmp_path / "deeds")
        found = descend_field(
            binary,
            tmp_path / "deeds",
            first.volume,
            moving,
            controls=controls,
            settings=chosen,
            body=None,
            folder=tmp_path,
            threads=1,
        )
        assert found.doubt is not None
        return agreement_in(found.doubt, body)

    assert chosen.doubt is not None
    assert agreement(Volume(again.astype(np.float32), affine), still) > chosen.doubt.min_agreement
    assert agreement(second.volume, true) < chosen.doubt.min_agreement
