"""`deeds descend` against files: what it writes and what it refuses."""

import nibabel
import numpy as np
import pytest
from run_deeds import FAST, assert_takes, load, phantom, refused, run, save

AFFINE = np.diag([2.0, 2, 2.5, 1])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return the folder of two images of 56 x 48 x 40 voxels and their registration."""
    folder = tmp_path_factory.mktemp("descend")
    fixed, moving, _ = phantom((56, 48, 40))
    for name, array in (("fixed", fixed), ("moving", moving)):
        save(folder / f"{name}.nii", array, AFFINE)
    images = ("-F", folder / "fixed.nii", "-M", folder / "moving.nii")
    run("register", *images, "-O", folder / "out", *FAST, "--without-image")
    return folder


def options(pair, folder, **changes):
    """Return the words of a descent of the pair; an option of None is left out."""
    chosen = {
        "field": pair / "out",
        "fixed": pair / "fixed.nii",
        "moving": pair / "moving.nii",
        "displacements": folder / "field.nii",
    }
    return [
        word
        for name, value in (chosen | changes).items()
        if value is not None
        for word in (f"--{name}", value)
    ]


def test_the_images_agree_better_at_the_control_points(pair, tmp_path):
    run("descend", *options(pair, tmp_path, evidence=tmp_path / "seen"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "field.nii",
        "seen_agreement.nii",
        "seen_hold.nii",
        "seen_step.nii",
    ]
    found = nibabel.load(tmp_path / "field.nii")
    assert found.shape == (28, 24, 20, 1, 3)
    np.testing.assert_allclose(found.affine, [[4, 0, 0, 1], [0, 4, 0, 1], [0, 0, 5, 1.25], [0, 0, 0, 1]])
    run("descend", *options(pair, tmp_path, evidence=tmp_path / "still", **{"largest-step": "1e-6"}))
    body = (slice(8, -8), slice(6, -6), slice(4, -4))
    before, after = (load(tmp_path / f"{name}_agreement.nii")[body] for name in ("still", "seen"))
    assert 1 - np.nanmean(after) < 0.5 * (1 - np.nanmean(before))
    assert load(tmp_path / "still_step.nii").max() < 2e-6


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"fixed": None}, ["--fixed"]),
        ({"field": "none"}, ["none_displacements"]),
        ({"control-step": 3}, ["fixed.nii", "56x48x40", "multiples of 3 from 6 on"]),
        ({"control-step": 0}, ["--control-step", "0 is not in 1 to 16"]),
        ({"steps": "3x4x2"}, ["--steps", "3 passes", "--smooth 2"]),
        ({"smooth": "3x-1"}, ["--smooth", "-1 is less than 0"]),
        ({"window": "10x0"}, ["--window", "0 is not greater than 0"]),
        ({"window": "10x"}, ["--window", "is not a number"]),
        ({"noise": "0"}, ["--noise", "0"]),
        ({"rough-window": "-1"}, ["--rough-window", "-1 is less than 0"]),
        ({"wall": "0"}, ["--wall", "0 is not greater than 0"]),
        ({"displacements": "field.txt"}, ["field.txt", ".nii"]),
        ({"displacements": "no/field.nii"}, ["no/field.nii"]),
    ],
)
def test_wrong_options_are_refused(pair, tmp_path, changes, names):
    refused("descend", *options(pair, tmp_path, **changes), names=names)
    assert not list(tmp_path.iterdir())


def test_a_region_of_other_control_points_is_refused(pair, tmp_path):
    region = save(tmp_path / "region.nii", np.ones((28, 24, 19), np.uint8), AFFINE)
    names = [region, "28x24x19", "28x24x20"]
    refused("descend", *options(pair, tmp_path, region=region), names=names)


def test_skewed_axes_are_refused(pair, tmp_path):
    skewed = AFFINE.copy()
    skewed[0, 1] = 0.3
    image = nibabel.Nifti1Image(load(pair / "fixed.nii"), None)
    image.set_sform(skewed, 1)
    image.set_qform(None, 0)
    image.to_filename(tmp_path / "skewed.nii")
    refused(
        "descend",
        *options(pair, tmp_path, fixed=tmp_path / "skewed.nii"),
        names=["skewed.nii", "right angles"],
    )


@pytest.mark.parametrize(
    ("changes", "bytes_of_voxel"),
    [
        ({}, 64.0),
        ({"control-step": 4}, 46.75),
        ({"region": "everywhere.nii"}, 64.5),
        ({"steps": "1x1x1", "smooth": "3x2x1", "window": "6x6x6"}, 64.0),
        ({"steps": 3, "smooth": 2, "window": 6}, 46.0),
        ({"steps": 1, "smooth": 2, "window": 6}, 40.0),
    ],
)
def test_the_memory_that_is_counted_is_what_it_takes(tmp_path, changes, bytes_of_voxel):
    shape = (160, 128, 112)
    random = np.random.default_rng(0)
    for name in ("fixed", "moving"):
        save(tmp_path / f"{name}.nii", random.normal(size=shape).astype(np.float32), AFFINE)
    images = ("-F", tmp_path / "fixed.nii", "-M", tmp_path / "moving.nii")
    level = ("-G", 8, "-L", 1, "-Q", 1)
    run("register", *images, "-O", tmp_path / "out", *level, "--without-image")
    everywhere = np.ones([size // 2 for size in shape], np.uint8)
    if "region" in changes:
        changes = {"region": save(tmp_path / "everywhere.nii", everywhere, AFFINE @ np.diag([2, 2, 2, 1]))}
    command = ("descend", *options(tmp_path, tmp_path, **changes))
    counted = np.prod(shape) * bytes_of_voxel / 2**20
    refused(*command, "--memory-limit", counted - 0.1, names=["--memory-limit", "160x128x112 voxels needs"])
    assert not (tmp_path / "field.nii").exists()
    assert_takes(counted, *command, "--memory-limit", counted + 0.1)
