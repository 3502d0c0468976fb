"""The map of a registration against the true one, SimpleITK, scipy and the program's other commands."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from run_deeds import FAST, carried, lattice, load, phantom, refused, run, save, smooth_noise
from scipy import ndimage


@pytest.mark.slow
def test_registration_recovers_the_map_and_lies_on_the_fixed_grid(plain):
    fixed, moving, displacement = phantom((56, 52, 48))
    out = nibabel.load(plain / "out_deformed.nii.gz")
    assert np.allclose(out.affine, nibabel.load(plain / "fixed.nii.gz").affine)
    inner = (slice(6, -6),) * 3
    assert (
        np.abs(load(plain / "out_deformed.nii.gz") - fixed)[inner].mean()
        < 0.5 * np.abs(moving - fixed)[inner].mean()
    )
    image = nibabel.load(plain / "fixed.nii.gz")
    world = lattice(image)
    voxels = np.round(nibabel.affines.apply_affine(np.linalg.inv(image.affine), world)).astype(int)
    found = (carried(plain, plain / "out", world) - world) / 2
    expected = displacement[:, voxels[:, 0], voxels[:, 1], voxels[:, 2]].T
    body = fixed[tuple(voxels.T)] > -800
    assert np.linalg.norm(found - expected, axis=1)[body].mean() < 0.7


def test_apply_equals_the_deformed_image_and_keeps_labels(plain):
    run("apply", "-M", plain / "moving.nii.gz", "-O", plain / "out", "-D", plain / "applied.nii.gz")
    assert np.abs(load(plain / "applied.nii.gz") - load(plain / "out_deformed.nii.gz")).max() < 0.05
    run(
        "apply",
        "-M",
        plain / "labels.nii.gz",
        "-O",
        plain / "out",
        "-D",
        plain / "carried.nii.gz",
        "--labels",
    )
    result = nibabel.load(plain / "carried.nii.gz")
    assert result.get_data_dtype() == np.int16
    assert set(np.unique(result.dataobj)) <= set(np.unique(load(plain / "labels.nii.gz")))


def test_published_displacements_without_sidecar(plain, tmp_path):
    """The .dat alone, with -G and -F, maps as with its sidecar; blocks are j, i, k and the grid is zero-aligned."""
    (tmp_path / "old_displacements.dat").write_bytes((plain / "out_displacements.dat").read_bytes())
    common = ["apply", "-M", plain / "moving.nii.gz", "-O", tmp_path / "old", "-D", tmp_path / "old.nii.gz"]
    run(*common, "-F", plain / "fixed.nii.gz", "-G", 3)
    result = load(tmp_path / "old.nii.gz")
    assert np.abs(result - load(plain / "out_deformed.nii.gz")).max() < 0.05
    refused(*common, "-F", plain / "fixed.nii.gz", "-G", 4, names=["old_displacements.dat", "58752", "26208"])
    refused(*common, names=["old_displacements.json", "--grid-spacing"])

    control = tuple(n // 3 for n in result.shape)
    blocks = (
        np.fromfile(tmp_path / "old_displacements.dat", "<f4")
        .reshape(3, *control[::-1])
        .transpose(0, 3, 2, 1)[[1, 0, 2]]
    )
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in result.shape], indexing="ij"))
    at = [grid[d] * control[d] / result.shape[d] for d in range(3)]
    dense = [ndimage.map_coordinates(block.astype(float), at, order=1, mode="nearest") for block in blocks]
    expected = ndimage.map_coordinates(
        load(plain / "moving.nii.gz").astype(float), grid + dense, order=1, mode="nearest"
    )
    assert np.abs(result - expected).max() < 0.05


def test_simpleitk_applies_the_field_as_apply_does(plain):
    run("field", "-O", plain / "out", "-D", plain / "field.nii.gz", "--jacobian", plain / "jacobian.nii.gz")
    run(
        "apply",
        "-M",
        plain / "moving.nii.gz",
        "-O",
        plain / "out",
        "-D",
        plain / "ours.nii.gz",
        "--background",
        -1024,
    )
    field = SimpleITK.Cast(SimpleITK.ReadImage(str(plain / "field.nii.gz")), SimpleITK.sitkVectorFloat64)
    transform = SimpleITK.DisplacementFieldTransform(field)
    fixed, moving = (
        SimpleITK.ReadImage(str(plain / f"{n}.nii.gz"), SimpleITK.sitkFloat32) for n in ("fixed", "moving")
    )
    theirs = SimpleITK.Resample(moving, fixed, transform, SimpleITK.sitkLinear, -1024.0)
    difference = np.abs(SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0) - load(plain / "ours.nii.gz"))
    # a point within rounding of the moving image's border may fall to either side
    assert (difference > 0.5).sum() < 5
    jacobian = load(plain / "jacobian.nii.gz")
    assert 0.5 < jacobian.mean() < 1.5 and jacobian.std() > 0


def test_points_and_fields_are_inverse(plain):
    world = lattice(nibabel.load(plain / "fixed.nii.gz"))
    there = carried(plain, plain / "out", world)
    assert np.abs(carried(plain, plain / "out", there, "moving-to-fixed") - world).max() < 0.01
    flip = np.array([-1, -1, 1])
    assert np.abs(carried(plain, plain / "out", world * flip, axes="lps") * flip - there).max() < 1e-5
    run("field", "-O", plain / "out", "--inverse", plain / "inverse.nii.gz")
    inverse = nibabel.load(plain / "inverse.nii.gz")
    vectors = np.asarray(inverse.dataobj)[:, :, :, 0] * np.array([-1, -1, 1])
    voxel = np.array([20, 25, 30])
    start = nibabel.affines.apply_affine(inverse.affine, voxel)
    there = carried(plain, plain / "out", (start + vectors[tuple(voxel)])[None].repeat(2, 0))[0]
    assert np.abs(there - start).max() < 0.01


def test_simpleitk_agrees_on_a_native_oblique_grid(plain, tmp_path):
    """A native moving image, oblique and anisotropic, and an oblique output grid, each with its own geometry."""
    turn = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.25, -0.2, 0.15), [3, -5, 4])
    native_affine = turn @ np.diag([1.5, 1.5, 3.5, 1]) + np.array(
        [[0, 0, 0, -48], [0, 0, 0, 22], [0, 0, 0, 6], [0] * 4]
    )
    output_affine = nibabel.affines.from_matvec(
        nibabel.eulerangles.euler2mat(-0.1, 0.3, 0.2) @ np.diag([1.2, 1.8, 3.0]), [-25, 45, 35]
    )
    native_values = smooth_noise(np.random.default_rng(8), (70, 66, 26), 2) * 400
    save(tmp_path / "native.nii.gz", native_values.astype(np.float32), native_affine)
    save(tmp_path / "grid.nii.gz", np.zeros((40, 34, 18), np.float32), output_affine)
    common = ["-O", plain / "out", "-F", tmp_path / "grid.nii.gz"]
    outside = ["--background", -1024]
    run("apply", "-M", tmp_path / "native.nii.gz", *common, "-D", tmp_path / "ours.nii.gz", *outside)
    run("field", *common, "-D", tmp_path / "field.nii.gz")
    field = SimpleITK.Cast(SimpleITK.ReadImage(str(tmp_path / "field.nii.gz")), SimpleITK.sitkVectorFloat64)
    grid, native_image = (
        SimpleITK.ReadImage(str(tmp_path / f"{name}.nii.gz"), SimpleITK.sitkFloat32)
        for name in ("grid", "native")
    )
    transform = SimpleITK.DisplacementFieldTransform(field)
    theirs = SimpleITK.Resample(native_image, grid, transform, SimpleITK.sitkLinear, -1024.0)
    theirs = SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0)
    difference = np.abs(theirs - load(tmp_path / "ours.nii.gz"))
    assert (theirs > -1000).mean() > 0.5
    # a point within rounding of the moving image's border may fall to either side
    assert (difference > 0.5).sum() < 5


def test_the_field_alone_is_the_same_field(plain, tmp_path):
    pair = ("-F", plain / "fixed.nii.gz", "-M", plain / "moving.nii.gz", "-O", tmp_path / "out")
    run("register", *pair, *FAST, "--without-image")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out_displacements.dat",
        "out_displacements.json",
    ]
    field = "out_displacements.dat"
    assert (tmp_path / field).read_bytes() == (plain / field).read_bytes()
