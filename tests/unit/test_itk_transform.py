"""Registrations as ITK transforms: stock SimpleITK applies them as we do, points go both ways."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.errors import OutputFileError
from anatomical_embedding.evaluation.registration.landmark_errors import jacobian_determinant
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.inverse_field import inverse_deformation
from anatomical_embedding.registration.itk_transform import (
    FADE_MM,
    affine_transform,
    faded,
    forward_transform,
    inverse_transform,
    resample_by_itk,
    sampled_displacements,
    transform_by_itk,
    write_transform,
)
from anatomical_embedding.volumes.affine import spacing_from_affine, transform_points
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from tests.unit.samples import oblique_affine
from tests.unit.test_displacement_field import AFFINE, MATRIX, points_inside, smooth_field


def test_read_again_by_simpleitk_a_transform_moves_points_as_field_and_start_do(tmp_path):
    field = smooth_field()
    write_transform(forward_transform(MATRIX, faded(field)), tmp_path / "forward.h5")
    stock = SimpleITK.ReadTransform(str(tmp_path / "forward.h5"))
    found = transform_by_itk(stock, points_inside())
    np.testing.assert_allclose(found, field.before(MATRIX).moving_points(points_inside()), atol=0.01)


def test_a_file_that_gives_other_numbers_back_counts_as_not_written(tmp_path, monkeypatch):
    """As many numbers as there were, the last of them lost."""
    written = affine_transform(MATRIX)
    lost = SimpleITK.AffineTransform(written)
    lost.SetParameters((*written.GetParameters()[:-1], 0.0))
    monkeypatch.setattr(SimpleITK, "ReadTransform", lambda path: lost)
    with pytest.raises(OutputFileError, match=r"start\.h5: could not be written whole"):
        write_transform(written, tmp_path / "start.h5")
    assert list(tmp_path.iterdir()) == []


def test_far_from_what_was_registered_the_start_alone_holds():
    far = np.array([[900.0, -700.0, 1200.0]])
    found = transform_by_itk(forward_transform(MATRIX, faded(smooth_field())), far)
    np.testing.assert_allclose(found, transform_points(MATRIX, far), atol=1e-6)


def test_the_way_back_ends_where_it_began(binary, tmp_path):
    field = smooth_field(largest_mm=4.0)
    inverse = inverse_deformation(faded(field), program=binary)
    write_transform(inverse_transform(MATRIX, inverse), tmp_path / "inverse.h5")
    there = transform_by_itk(forward_transform(MATRIX, faded(field)), points_inside())
    back = transform_by_itk(SimpleITK.ReadTransform(str(tmp_path / "inverse.h5")), there)
    assert np.linalg.norm(back - points_inside(), axis=1).max() < 0.1


def test_a_transform_is_sampled_at_the_voxels_of_an_oblique_grid():
    field = sampled_displacements(affine_transform(MATRIX), VolumeHeader((4, 5, 3), AFFINE))
    places = transform_points(AFFINE, np.indices((4, 5, 3)).reshape(3, -1).T)
    expected = transform_points(MATRIX, places) - places
    np.testing.assert_allclose(field.displacements_mm.reshape(-1, 3), expected, atol=1e-4)


def test_a_field_fades_out_beyond_its_grid():
    """Over the same distance, whatever the spacing of the grid: a steeper end would fold."""
    grown = faded(smooth_field())
    margin = [round(FADE_MM / spacing) for spacing in spacing_from_affine(AFFINE)]
    assert len(set(margin)) > 1
    inner = tuple(slice(size, -size) for size in margin)
    np.testing.assert_array_equal(grown.displacements_mm[inner], smooth_field().displacements_mm)
    assert (grown.displacements_mm[0] == 0).all()
    assert (grown.displacements_mm[:, :, -1] == 0).all()


def test_a_field_grows_where_it_is_long_alone():
    field = smooth_field(largest_mm=6.0)
    field.displacements_mm[0, 3, 3] = [0, 80.0, 0]
    grown = faded(field)
    spacings = spacing_from_affine(AFFINE)
    added = np.array(grown.displacements_mm.shape[:3]) - field.displacements_mm.shape[:3]
    expected = 2 * np.rint(FADE_MM / spacings)
    expected[0] = round(160.0 / spacings[0]) + round(FADE_MM / spacings[0])
    np.testing.assert_array_equal(added, expected)
    places = transform_points(AFFINE, np.argwhere(np.ones(field.displacements_mm.shape[:3])))
    np.testing.assert_allclose(grown.moving_points(places), field.moving_points(places), atol=1e-3)


@pytest.mark.parametrize("shift_mm", [[30.0, 0, 0], [0, -60.0, 0], [35.0, 35.0, -35.0]])
def test_a_field_that_is_long_at_its_border_does_not_fold_where_it_fades(shift_mm):
    field = DisplacementField(np.full((9, 10, 11, 3), shift_mm, dtype=np.float32), AFFINE)
    assert jacobian_determinant(faded(field)).min() > 0.1


@pytest.mark.parametrize(
    ("data_type", "low", "high", "written"),
    [
        (np.int8, -100, 100, np.int16),
        (np.int32, -1024, 3000, np.int16),
        (np.uint32, 0, 60000, np.uint16),
        (np.int32, -100000, 2**24, np.float32),
        (np.uint32, 0, 2**32 - 1, np.float64),
        (np.int64, -(2**40), 2**40, np.float64),
        (np.uint64, 0, 2**50, np.float64),
        (np.uint64, 0, 3000, np.int16),
    ],
)
def test_a_moving_scan_of_any_integers_is_warped_and_written_with_its_values(
    tmp_path, data_type, low, high, written
):
    """By no map at all onto its own grid, so that every value has to come back."""
    array = np.linspace(low, high, 6 * 5 * 4).astype(np.float64).astype(data_type).reshape(6, 5, 4)
    moving = Volume(array, AFFINE)
    zero = DisplacementField(np.zeros((6, 5, 4, 3), np.float32), AFFINE)
    warped = resample_by_itk(forward_transform(np.eye(4), zero), moving, VolumeHeader((6, 5, 4), AFFINE))
    write_volume(warped, tmp_path / "warped.nii.gz")
    image = nibabel.load(tmp_path / "warped.nii.gz")
    assert image.get_data_dtype() == written
    # ITK finds a voxel's place within 1e-14 of a voxel, which is a unit in values of 2**40.
    np.testing.assert_allclose(
        np.asarray(image.dataobj, dtype=float), array.astype(float), rtol=1e-12, atol=0.5
    )


def test_the_warped_scan_is_simpleitks(tmp_path):
    generator = np.random.default_rng(0)
    moving = Volume(
        generator.integers(-500, 500, (40, 36, 30)).astype(np.int16),
        oblique_affine((5.0, 10.0, -15.0), (3.0, 3.0, 4.0), (-60.0, -40.0, 60.0)),
    )
    fixed = Volume(np.zeros((30, 28, 26), np.int16), AFFINE)
    transform = forward_transform(MATRIX, faded(smooth_field()))
    warped = resample_by_itk(transform, moving, fixed)
    write_volume(moving, tmp_path / "moving.nii")
    write_volume(fixed, tmp_path / "fixed.nii")
    stock = SimpleITK.Resample(
        SimpleITK.ReadImage(str(tmp_path / "moving.nii"), SimpleITK.sitkFloat32),
        SimpleITK.ReadImage(str(tmp_path / "fixed.nii")),
        transform,
        SimpleITK.sitkLinear,
        float(moving.array.min()),
    )
    expected = np.rint(SimpleITK.GetArrayFromImage(stock).transpose(2, 1, 0))
    assert warped.array.dtype == np.int16
    assert (np.abs(warped.array - expected) > 1).mean() < 1e-3  # float32 affines of the files
    assert (warped.array != moving.array.min()).mean() > 0.1
