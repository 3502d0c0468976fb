"""Displacement fields as ITK programs read them: points, composition with a matrix, resampling, folding."""

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.registration.landmark_errors import (
    jacobian_determinant,
    measure_errors,
    read_registration_errors,
    write_registration_errors,
)
from anatomical_embedding.registration.displacement_field import (
    DisplacementField,
    Sampling,
    read_field,
    resample_all_through,
    resample_through,
    write_field,
)
from anatomical_embedding.registration.itk_transform import affine_transform, write_transform
from anatomical_embedding.registration.registered_volume import (
    RegisteredPairRow,
    body_in_both,
    read_registered_pairs,
    registered_grid,
    write_registered_pairs,
)
from anatomical_embedding.registration.shared_view import body_both_show, seen_from, shared_box
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from tests.prepared_volumes import lps_affine
from tests.unit.samples import oblique_affine

SHAPE = (20, 17, 23)
AFFINE = oblique_affine((10.0, -20.0, 35.0), (2.0, 3.0, 2.5), (-30.0, 40.0, 100.0))
MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_euler("xyz", [8, -4, 12], degrees=True).as_matrix() * 1.1
MATRIX[:3, 3] = (20.0, -35.0, 12.0)
LPS = np.array([-1.0, -1.0, 1.0])


def smooth_field(seed=0, *, largest_mm=6.0):
    generator = np.random.default_rng(seed)
    shifts = np.stack([gaussian_filter(generator.standard_normal(SHAPE), 4) for _ in range(3)], axis=-1)
    return DisplacementField((shifts * largest_mm / np.abs(shifts).max()).astype(np.float32), AFFINE)


def points_inside(number=50, *, seed=1):
    voxels = np.random.default_rng(seed).uniform(1, np.array(SHAPE) - 2, (number, 3))
    return voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def by_itk(transform, points_mm):
    """Return where an ITK transform takes RAS points."""
    return np.array([np.array(transform.TransformPoint((point * LPS).tolist())) * LPS for point in points_mm])


def itk_transform(path):
    return SimpleITK.DisplacementFieldTransform(SimpleITK.ReadImage(str(path), SimpleITK.sitkVectorFloat64))


def test_points_move_as_itk_moves_them(tmp_path):
    field = smooth_field()
    write_field(field, tmp_path / "field.nii.gz")
    expected = by_itk(itk_transform(tmp_path / "field.nii.gz"), points_inside())
    assert np.linalg.norm(expected - points_inside(), axis=1).max() > 2.0
    np.testing.assert_allclose(field.moving_points(points_inside()), expected, atol=1e-3)


def test_field_is_read_as_it_was_written(tmp_path):
    field = smooth_field()
    write_field(field, tmp_path / "field.nii.gz")
    again = read_field(tmp_path / "field.nii.gz")
    np.testing.assert_array_equal(again.displacements_mm, field.displacements_mm)
    np.testing.assert_allclose(again.affine, field.affine, atol=1e-4)


def test_what_a_killed_job_would_leave_of_a_field_has_the_name_of_a_part(tmp_path, monkeypatch):
    seen = []
    read = SimpleITK.ReadImage

    def read_after_a_look(*arguments):
        seen.extend(entry.name for entry in tmp_path.iterdir())
        return read(*arguments)

    monkeypatch.setattr(SimpleITK, "ReadImage", read_after_a_look)
    write_field(smooth_field(), tmp_path / "field.nii.gz")
    assert seen
    assert all(name.startswith(".") and ".partial.field.nii.gz" in name for name in seen)
    assert [entry.name for entry in tmp_path.iterdir()] == ["field.nii.gz"]


def test_a_field_before_a_matrix_is_itks_composite(tmp_path):
    write_field(smooth_field(), tmp_path / "field.nii.gz")
    write_transform(affine_transform(MATRIX), tmp_path / "start.tfm")
    affine = SimpleITK.ReadTransform(str(tmp_path / "start.tfm"))
    # ITK applies the last transform of a composite first.
    composite = SimpleITK.CompositeTransform([affine, itk_transform(tmp_path / "field.nii.gz")])
    found = smooth_field().before(MATRIX).moving_points(points_inside())
    np.testing.assert_allclose(found, by_itk(composite, points_inside()), atol=1e-3)


@pytest.mark.parametrize("is_label", [False, True])
def test_resampling_once_is_itks(tmp_path, is_label):
    generator = np.random.default_rng(2)
    moving_affine = lps_affine(spacing_mm=(1.5, 1.5, 3.0), origin_mm=(20.0, 110.0, 70.0))
    shape = (60, 50, 30)
    array = generator.integers(0, 5, shape).astype(np.int16)
    if not is_label:
        array = gaussian_filter(generator.standard_normal(shape) * 500, 1).astype(np.float32)
    moving = Volume(array, moving_affine)
    field = smooth_field()
    grid = registered_grid(field, spacing_mm=np.array([1.5, 1.5, 3.0]))
    found = resample_through(field, moving, grid=grid, is_label=is_label, fill_value=-7)
    write_volume(moving, tmp_path / "moving.nii")
    write_volume(Volume(np.zeros(grid.shape, np.int16), grid.affine), tmp_path / "grid.nii")
    write_field(field, tmp_path / "field.nii.gz")
    expected = SimpleITK.Resample(
        SimpleITK.ReadImage(str(tmp_path / "moving.nii")),
        SimpleITK.ReadImage(str(tmp_path / "grid.nii")),
        itk_transform(tmp_path / "field.nii.gz"),
        SimpleITK.sitkNearestNeighbor if is_label else SimpleITK.sitkLinear,
        -7,
    )
    expected = SimpleITK.GetArrayFromImage(expected).transpose(2, 1, 0)
    inner = (slice(3, -3),) * 3  # ITK's field is nought beyond the outermost voxel centres
    differs = np.abs(found.array.astype(float) - expected)[inner] > (0 if is_label else 0.05)
    assert (found.array != -7)[inner].mean() > 0.5
    assert differs.mean() < 2e-3
    assert found.array.dtype == (np.int16 if is_label else np.float32)


def test_volumes_through_one_field_are_those_of_each_alone_and_say_where_they_reach():
    generator = np.random.default_rng(3)
    field = smooth_field()
    grid = registered_grid(field, spacing_mm=np.array([3.0, 3.0, 3.0]))
    fine = Volume(
        generator.standard_normal((30, 25, 30)).astype(np.float32),
        lps_affine(spacing_mm=(3.0, 3.0, 3.0), origin_mm=(20.0, 110.0, 70.0)),
    )
    coarse = Volume(
        generator.integers(1, 5, (8, 9, 7)).astype(np.uint8),
        lps_affine(spacing_mm=(9.0, 9.0, 9.0), origin_mm=(10.0, 100.0, 80.0)),
    )
    samplings = [Sampling(fine, False, -5.0), Sampling(coarse, True, 0)]
    for sampling, found in zip(samplings, resample_all_through(field, samplings, grid=grid), strict=True):
        alone = resample_through(
            field, sampling.moving, grid=grid, is_label=sampling.is_label, fill_value=sampling.fill_value
        )
        np.testing.assert_array_equal(found.volume.array, alone.array)
        ones = Volume(np.ones(sampling.moving.shape, np.uint8), sampling.moving.affine)
        reached = resample_through(field, ones, grid=grid, is_label=True, fill_value=0)
        np.testing.assert_array_equal(found.is_reached, reached.array > 0)
        assert 0 < found.is_reached.mean() < 1


@pytest.mark.parametrize("shape", [(9, 5, 6), (4, 1, 3), (5, 2, 2), (1, 6, 4)])
def test_jacobian_is_that_of_differences_between_neighbours(shape):
    """Voxel by voxel, between the planes that are taken together as within them."""
    generator = np.random.default_rng(3)
    field = DisplacementField(generator.normal(0.0, 2.0, (*shape, 3)).astype(np.float32), AFFINE)
    found = jacobian_determinant(field)
    assert found.shape == shape
    from_mm = np.linalg.inv(AFFINE[:3, :3])
    for voxel in np.ndindex(*shape):
        by_index = np.zeros((3, 3))
        for axis in range(3):
            low, high = (np.array(voxel) + np.eye(3, dtype=int)[axis] * step for step in (-1, 1))
            low[axis], high[axis] = max(low[axis], 0), min(high[axis], shape[axis] - 1)
            if high[axis] > low[axis]:
                difference = field.displacements_mm[tuple(high)] - field.displacements_mm[tuple(low)].astype(
                    float
                )
                by_index[:, axis] = difference / (high[axis] - low[axis])
        assert found[voxel] == pytest.approx(np.linalg.det(np.eye(3) + by_index @ from_mm), abs=1e-6)


def test_other_files_are_no_fields(tmp_path):
    write_volume(Volume(np.zeros((4, 4, 4), np.float32), np.eye(4)), tmp_path / "scalar.nii")
    with pytest.raises(InputFileError, match=r"scalar\.nii: holds no vectors of three components"):
        read_field(tmp_path / "scalar.nii")
    (tmp_path / "text.nii").write_text("no image", encoding="utf-8")
    with pytest.raises(InputFileError, match=r"text\.nii: cannot be read as a displacement field"):
        read_field(tmp_path / "text.nii")


def test_jacobian_of_linear_maps_is_their_determinant():
    still = DisplacementField(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    np.testing.assert_allclose(jacobian_determinant(still), 1.0)
    moved = still.before(MATRIX)
    np.testing.assert_allclose(jacobian_determinant(moved), np.linalg.det(MATRIX[:3, :3]), rtol=1e-4)
    mirrored = still.before(np.diag([-1.0, 1.0, 1.0, 1.0]))
    none = np.zeros((0, 3))
    folded = measure_errors(mirrored, before={}, fixed_mm=none, moving_mm=none, is_headline=np.zeros(0, bool))
    assert folded.folding_share == pytest.approx(1.0)


def test_errors_by_hand_and_back_from_their_file(tmp_path):
    still = DisplacementField(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    shift = np.eye(4)
    shift[:3, 3] = (3.0, 4.0, 0.0)
    fixed = points_inside(3)
    moving = fixed + np.array([[0.0, 0, 0], [0, 0, 2.0], [6.0, 8.0, 0]])
    errors = measure_errors(
        still,
        before={"affine": shift},
        fixed_mm=fixed,
        moving_mm=moving,
        is_headline=np.array([True, True, False]),
    )
    assert errors.points["deformable"].median_mm == pytest.approx(2.0)
    assert errors.points["deformable"].mean_mm == pytest.approx(4.0)
    assert errors.points["deformable"].max_mm == pytest.approx(10.0)
    assert errors.points["affine"].median_mm == pytest.approx(5.0)
    assert (errors.num_landmarks, errors.num_headline) == (3, 2)
    assert errors.headline["deformable"].max_mm == pytest.approx(2.0)
    assert errors.shown == errors.headline
    write_registration_errors(errors, tmp_path / "errors.json")
    assert read_registration_errors(tmp_path / "errors.json") == errors
    (tmp_path / "errors.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputFileError, match=r"errors\.json: holds no errors of a registered pair"):
        read_registration_errors(tmp_path / "errors.json")


def test_the_body_that_both_show_ends_at_the_other_field_of_view_and_a_margin():
    """Voxels of 2 mm; the other volume begins 5 voxels on and ends behind; a start that shifts by 4 mm gains two."""
    body = Volume(np.ones((10, 4, 3), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    body.array[9] = 0
    other = Volume(np.zeros((20, 8, 8), np.uint8), np.diag([1.0, 1.0, 1.0, 1.0]))
    other.affine[0, 3] = 10.0
    shift = np.eye(4)
    for shift_mm, margin_mm, first in ((0.0, 0.5, 5), (0.0, 2.0, 4), (4.0, 0.5, 3), (100.0, 0.5, 10)):
        shift[0, 3] = shift_mm
        both = body_both_show(body, other, shift, margin_mm=margin_mm)
        expected = body.array.copy()
        expected[:first] = 0
        np.testing.assert_array_equal(both.array, expected)
        np.testing.assert_array_equal(both.affine, body.affine)


def test_shared_box_is_what_the_moving_volume_reaches():
    fixed = Volume(np.zeros((20, 20, 20), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    moving = Volume(np.zeros((10, 30, 30), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    there = np.eye(4)
    there[:3, 3] = (-10.0, 6.0, 0.0)  # fixed x = 10 lies at moving x = 0
    box = shared_box(fixed, seen_from(moving, there))
    assert [(part.start, part.stop) for part in box] == [(5, 15), (0, 20), (0, 20)]
    there[0, 3] = 500.0
    assert shared_box(fixed, seen_from(moving, there)) is None


def test_registered_grid_fills_the_box_of_the_field():
    grid = registered_grid(smooth_field(), spacing_mm=np.array([1.0, 1.5, 5.75]))
    assert grid.shape == (40, 34, 10)
    corner = grid.affine @ [-0.5, -0.5, -0.5, 1.0]
    np.testing.assert_allclose(corner, AFFINE @ [-0.5, -0.5, -0.5, 1.0], atol=1e-9)


def test_body_in_both_needs_both():
    still = DisplacementField(np.zeros((10, 10, 10, 3), np.float32), np.eye(4))
    masks = []
    for start, stop in ((0, 6), (4, 10)):
        mask = np.zeros((10, 10, 10), np.uint8)
        mask[start:stop] = 1
        masks.append(Volume(mask, np.eye(4)))
    both = body_in_both(still, *masks, grid=VolumeHeader((10, 10, 10), np.eye(4)))
    assert both.array[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]


def pair_row(folder, number, *, status="found", reason=""):
    return RegisteredPairRow(
        f"ct_{number}",
        f"mr_{number}",
        status,
        reason,
        0.5,
        folder / f"{number}" / "image.nii",
        folder / f"{number}" / "mask.nii",
    )


def test_list_of_pairs_is_read_as_it_was_written(tmp_path):
    rows = [pair_row(tmp_path, 2, status="failed", reason='5 agree, "expected" 8'), pair_row(tmp_path, 1)]
    write_registered_pairs(rows, tmp_path / "pairs.csv")
    assert read_registered_pairs(tmp_path / "pairs.csv") == rows[::-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,b,found,,high,x.nii,y.nii", "line 2, confidence: expected a finite number, got 'high'"),
        ("a,b,found,,1.0,x.nii", "line 2: has 6 cells, expected 7"),
        ("a,b,maybe,,1.0,x.nii,y.nii", "line 2, status: expected one of found, failed, got 'maybe'"),
    ],
)
def test_wrong_lists_of_pairs_name_the_line(tmp_path, line, message):
    path = tmp_path / "pairs.csv"
    write_registered_pairs([], path)
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_registered_pairs(path)
    path.write_text("other\n", encoding="utf-8")
    with pytest.raises(InputFileError, match="line 1: expected the columns fixed_id,"):
        read_registered_pairs(path)


def test_a_written_field_opens_with_nibabel_and_itk(tmp_path):
    write_field(smooth_field(), tmp_path / "field.nii.gz")
    assert SimpleITK.ReadImage(str(tmp_path / "field.nii.gz")).GetSize() == SHAPE
    nibabel_image = pytest.importorskip("nibabel").load(tmp_path / "field.nii.gz")
    assert nibabel_image.shape == (*SHAPE, 1, 3)
    np.testing.assert_allclose(nibabel_image.affine, AFFINE, atol=1e-4)
