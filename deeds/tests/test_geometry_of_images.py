"""Orientation, obliqueness and spacing in the headers of images."""

import nibabel
import numpy as np
import pytest
from run_deeds import FAST, carried, lattice, load, phantom, run, save
from scipy import ndimage


def stored_otherwise(source, target, orientation):
    image = nibabel.load(source)
    change = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(orientation)
    )
    other = image.as_reoriented(change)
    save(target, np.asarray(other.dataobj), other.affine)
    return target


@pytest.mark.slow
@pytest.mark.parametrize(("fixed_order", "moving_order"), [("LPS", "LPS"), ("ASR", "PIL"), ("RAS", "LPI")])
def test_storage_order_does_not_change_the_mapping(plain, tmp_path, fixed_order, moving_order):
    fixed = stored_otherwise(plain / "fixed.nii.gz", tmp_path / "fixed.nii.gz", fixed_order)
    moving = stored_otherwise(plain / "moving.nii.gz", tmp_path / "moving.nii.gz", moving_order)
    run("register", "-F", fixed, "-M", moving, "-O", tmp_path / "out", *FAST)
    world = lattice(nibabel.load(plain / "fixed.nii.gz"))
    assert (
        np.abs(carried(tmp_path, tmp_path / "out", world) - carried(plain, plain / "out", world)).max()
        < 0.1 * 2
    )
    result = nibabel.load(tmp_path / "out_deformed.nii.gz")
    assert np.allclose(result.affine, nibabel.load(fixed).affine)
    back = stored_otherwise(tmp_path / "out_deformed.nii.gz", tmp_path / "back.nii.gz", "RAS")
    assert np.abs(load(back) - load(plain / "out_deformed.nii.gz")).max() < 0.05


def test_oblique_headers_turn_the_mapping_with_them(plain, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = nibabel.eulerangles.euler2mat(0.2, 0.15, -0.3)
    turn[:3, 3] = [5, -40, 12]
    for name in ("fixed", "moving"):
        image = nibabel.load(plain / f"{name}.nii.gz")
        save(tmp_path / f"{name}.nii.gz", np.asarray(image.dataobj), turn @ image.affine)
    run(
        "register",
        "-F",
        tmp_path / "fixed.nii.gz",
        "-M",
        tmp_path / "moving.nii.gz",
        "-O",
        tmp_path / "out",
        *FAST,
    )
    world = lattice(nibabel.load(plain / "fixed.nii.gz"))
    turned = nibabel.affines.apply_affine(turn, carried(plain, plain / "out", world))
    assert (
        np.abs(carried(tmp_path, tmp_path / "out", nibabel.affines.apply_affine(turn, world)) - turned).max()
        < 0.1 * 2
    )


def native(array):
    """160x144x21 voxels of 1 x 1 x 6.1 mm over the box of 80x72x64 voxels of 2 mm, and their affine."""
    size, spacing = np.array([160, 144, 21]), np.array([1, 1, 128 / 21])
    axes = [(np.arange(n) + 0.5) * s / 2 - 0.5 for n, s in zip(size, spacing, strict=True)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = spacing / 2 - 1
    return ndimage.map_coordinates(array, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest"), affine


@pytest.mark.slow
def test_anisotropic_native_images_are_carried_at_their_own_spacing(tmp_path):
    fixed, moving, _ = phantom((80, 72, 64), seed=5, amplitude=5)
    iso = np.diag([2.0, 2, 2, 1])
    save(tmp_path / "fixed.nii.gz", fixed, iso)
    save(tmp_path / "moving.nii.gz", moving, iso)
    run(
        "register",
        "--linear",
        "-F",
        tmp_path / "fixed.nii.gz",
        "-M",
        tmp_path / "moving.nii.gz",
        "-O",
        tmp_path / "out",
        *FAST,
    )
    (native_fixed, affine), (native_moving, _) = native(fixed), native(moving)
    save(tmp_path / "native_fixed.nii.gz", native_fixed, affine)
    save(tmp_path / "native_moving.nii.gz", native_moving, affine)
    run(
        "apply",
        "-F",
        tmp_path / "native_fixed.nii.gz",
        "-M",
        tmp_path / "native_moving.nii.gz",
        "-O",
        tmp_path / "out",
        "-D",
        tmp_path / "native_out.nii.gz",
    )
    result = nibabel.load(tmp_path / "native_out.nii.gz")
    assert result.shape == (160, 144, 21) and np.allclose(result.affine, affine, atol=1e-4)
    before = np.abs(native_moving - native_fixed).mean()
    after = np.abs(load(tmp_path / "native_out.nii.gz") - native_fixed).mean()
    print(f"anisotropic case: mean absolute error {before:.1f} HU before, {after:.1f} HU after")
    assert after <= 21.5 and after < 0.4 * before
