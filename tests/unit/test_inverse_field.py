"""The inverse of a deformation against maps whose inverse is known, and against interpolation by scipy."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.inverse_field import inverse_deformation
from anatomical_embedding.registration.itk_transform import faded
from tests.unit.samples import oblique_affine
from tests.unit.test_displacement_field import smooth_field

PLACES_VOX = [0, 5, 15, 20, 30, 35]
SHIFTS_VOX = {"to half": [0, 0, 5, 5, 0, 0], "to three times": [0, 0, -5, 5, 0, 0]}
"""How far the voxels at these places along one axis are moved: tissue is squeezed to half the size, or stretched."""


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shifts_vox", SHIFTS_VOX.values(), ids=SHIFTS_VOX)
def test_along_one_axis_the_inverse_is_that_of_a_monotonic_curve(binary, axis, shifts_vox):
    affine = oblique_affine(angles_deg=(20.0, -10.0, 35.0), spacing_mm=(4.0, 5.0, 6.0))
    along = np.arange(PLACES_VOX[-1] + 1)
    shift = np.interp(along, PLACES_VOX, shifts_vox)
    back = np.interp(along, np.add(PLACES_VOX, shifts_vox), PLACES_VOX) - along

    def field(shift_vox):
        shape = np.ones(3, dtype=int)
        shape[axis] = len(along)
        direction_mm = affine[:3, axis]
        lines = shift_vox.reshape(shape)[..., np.newaxis] * direction_mm
        return np.broadcast_to(lines, (*np.where(shape > 1, shape, 7), 3)).copy()

    inner = tuple(slice(None) if each == axis else slice(1, -1) for each in range(3))
    displacements, expected = field(shift), field(back)
    found = inverse_deformation(DisplacementField(displacements.astype(np.float32), affine), program=binary)
    np.testing.assert_array_equal(found.affine, affine)
    np.testing.assert_allclose(found.displacements_mm[inner], expected[inner], atol=0.01)


def test_there_and_back_ends_within_a_hundredth_of_a_millimetre(binary):
    field = faded(smooth_field(largest_mm=4.0))
    inverse = inverse_deformation(field, program=binary)
    to_voxels = np.linalg.inv(field.affine[:3, :3])
    back_vox = np.einsum("ij,xyzj->ixyz", to_voxels, inverse.displacements_mm)
    places = np.indices(back_vox.shape[1:]) + back_vox
    there_mm = [
        map_coordinates(field.displacements_mm[..., axis], places, order=1, mode="constant")
        for axis in range(3)
    ]
    left_mm = np.linalg.norm(np.moveaxis(there_mm, 0, -1) + inverse.displacements_mm, axis=-1)
    assert np.abs(field.displacements_mm).max() > 3.0
    assert left_mm.max() < 0.01


def test_places_without_an_inverse_are_said(binary, capsys):
    """A field of a fold: what is moved by ten voxels lies beside what is not."""
    displacements = np.zeros((12, 12, 12, 3), np.float32)
    displacements[5:7, 4:8, 4:8, 0] = 10.0
    inverse_deformation(DisplacementField(displacements, np.eye(4)), program=binary)
    assert " of 1728 places" in capsys.readouterr().err
