"""The built program against files: geometry, anisotropic images, SimpleITK, bad input.

The binary is the one of `conftest.py`. Needs nibabel, scipy and SimpleITK.
"""

import gzip
import os
import re
import struct
import subprocess

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

FAST = ["-G", "5x4x3", "-L", "5x4x3", "-Q", "2x2x1"]


def run(*arguments, status=0):
    """Completed process of `deeds arguments`; its exit status must be `status`."""
    done = subprocess.run(
        [os.environ["DEEDS_BINARY"], *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def refused(*arguments, names):
    """Exit status 2 and one line that contains every one of `names`."""
    done = run(*arguments, status=2)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for name in names:
        assert str(name) in lines[0]


def save(path, array, affine):
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.to_filename(path)
    return path


def load(path):
    return np.asarray(nibabel.load(path).dataobj, np.float32)


def smooth_noise(random, shape, sigma):
    noise = ndimage.gaussian_filter(random.standard_normal(shape).astype(np.float32), sigma)
    return noise / np.abs(noise).max()


def phantom(shape, seed=3, amplitude=2.5):
    """Return CT-like fixed and moving arrays and the displacements (3, X, Y, Z) in voxels between them."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    centred = [2 * grid[d] / (shape[d] - 1) - 1 for d in range(3)]
    moving = np.full(shape, -1000, np.float32)
    texture = sum(smooth_noise(random, shape, sigma) for sigma in (2, 4, 7))
    body = (centred[0] / 0.85) ** 2 + (centred[1] / 0.8) ** 2 < 1
    moving[body] = 100 * np.round(4 * texture[body])
    moving = ndimage.gaussian_filter(moving, 0.6)
    displacement = np.stack([amplitude * smooth_noise(random, shape, 9) for _ in range(3)])
    fixed = ndimage.map_coordinates(moving, grid + displacement, order=1, mode="nearest")
    noisy = [a + 10 * random.standard_normal(shape).astype(np.float32) for a in (fixed, moving)]
    return noisy[0], noisy[1], displacement


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Folder with a registered pair of 56x52x48 voxels of 2 mm: fixed.nii.gz, moving.nii.gz, out_..."""
    folder = tmp_path_factory.mktemp("plain")
    fixed, moving, _ = phantom((56, 52, 48))
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = [-50, 20, 7]
    save(folder / "fixed.nii.gz", fixed, affine)
    save(folder / "moving.nii.gz", moving, affine)
    labels = (np.round((moving + 1000) / 400) + 1).astype(np.int16)
    save(folder / "labels.nii.gz", labels, affine)
    run(
        "register", "-F", folder / "fixed.nii.gz", "-M", folder / "moving.nii.gz", "-O", folder / "out", *FAST
    )
    return folder


def carried(folder, stem, points, direction="fixed-to-moving", axes="ras"):
    """World points (N, 3) carried by `deeds points`."""
    np.savetxt(folder / "points.csv", points, delimiter=",", header="x_mm,y_mm,z_mm", comments="", fmt="%.9f")
    run(
        "points",
        "-O",
        stem,
        "--input",
        folder / "points.csv",
        "--output",
        folder / "carried.csv",
        "--direction",
        direction,
        "--axes",
        axes,
    )
    return np.loadtxt(folder / "carried.csv", delimiter=",", skiprows=1)


def lattice(image, step=6, margin=8):
    """World points on a lattice of voxels inside the image."""
    voxels = np.stack(
        np.meshgrid(*[np.arange(margin, n - margin, step) for n in image.shape], indexing="ij"), -1
    ).reshape(-1, 3)
    return nibabel.affines.apply_affine(image.affine, voxels)


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


def damaged(folder, name, change):
    """File `name` in `folder`: the bytes of a small float32 image after `change`."""
    rng = np.random.default_rng(1)
    save(folder / "good.nii", rng.normal(0, 100, (40, 40, 40)).astype(np.float32), np.eye(4))
    content = change(bytearray((folder / "good.nii").read_bytes()))
    path = folder / name
    path.write_bytes(gzip.compress(bytes(content), 1) if name.endswith(".gz") else bytes(content))
    return path


def with_bytes(offset, form, *values):
    def change(content):
        struct.pack_into(form, content, offset, *values)
        return content

    return change


DAMAGE = {
    "nan.nii.gz": (with_bytes(352, "<2f", np.nan, np.inf), "2 voxels are NaN or infinite"),
    "constant.nii.gz": (lambda content: content[:352] + bytes(4 * 40**3), "is constant"),
    "short.nii.gz": (lambda content: content[:-1000], "truncated"),
    "short.nii": (lambda content: content[:-1000], "truncated"),
    "slice.nii.gz": (with_bytes(46, "<h", 1), "two-dimensional"),
    "four.nii.gz": (lambda c: with_bytes(48, "<h", 2)(with_bytes(40, "<h", 4)(c)) + c[352:], "2 volumes"),
    "type.nii.gz": (with_bytes(70, "<h", 128), "datatype 128"),
    "singular.nii.gz": (with_bytes(280, "<4f", 0, 1, 0, 0), "singular"),
    "spacing.nii.gz": (
        lambda c: with_bytes(76, "<4f", 1, 0, 1, 1)(with_bytes(252, "<2h", 1, 0)(c)),
        "spacing",
    ),
    "text.nii": (lambda content: b"hello world" * 100, "not a NIfTI-1"),
    "huge.nii": (with_bytes(40, "<4h", 3, 32767, 32767, 32767), "truncated"),
}


# a constant image can be carried, but not registered
DAMAGE_CASES = [
    (c, n) for c in ("linear", "register", "apply") for n in DAMAGE if (c, n) != ("apply", "constant.nii.gz")
]


@pytest.mark.parametrize(("command", "name"), DAMAGE_CASES)
def test_damaged_images_are_named(plain, tmp_path, name, command):
    change, problem = DAMAGE[name]
    bad = damaged(tmp_path, name, change)
    target = ["-D", tmp_path / "out.nii"] if command == "apply" else ["-F", plain / "fixed.nii.gz"]
    stem = plain / "out" if command == "apply" else tmp_path / "out"
    before = sorted(tmp_path.iterdir())
    extra = [] if command == "apply" else ["--resample", "--align-centres"]
    refused(command, "-M", bad, "-O", stem, *target, *extra, names=[bad, problem])
    assert sorted(tmp_path.iterdir()) == before


def test_truncated_and_mislabelled_gzip(plain, tmp_path):
    packed = (plain / "moving.nii.gz").read_bytes()
    for name, content, problem in [
        ("half.nii.gz", packed[: len(packed) // 2], "half.nii.gz"),
        ("plain.nii.gz", gzip.decompress(packed), "not gzip-compressed"),
        ("text.nii.gz", b"hello world" * 100, "not gzip-compressed"),
        ("empty.nii.gz", b"", "is empty"),
    ]:
        (tmp_path / name).write_bytes(content)
        for command in ("linear", "register"):
            refused(
                command,
                "-F",
                plain / "fixed.nii.gz",
                "-M",
                tmp_path / name,
                "-O",
                tmp_path / "out",
                names=[problem],
            )
    assert len(list(tmp_path.iterdir())) == 4


def test_supported_variants_give_the_same_result(plain, tmp_path):
    raw = gzip.decompress((plain / "moving.nii.gz").read_bytes())
    extended = bytearray(raw[:352] + bytes(16) + raw[352:])
    struct.pack_into("<f", extended, 108, 368)
    scaled = bytearray(raw)
    struct.pack_into("<2f", scaled, 112, 0.5, 100)
    scaled[352:] = ((np.frombuffer(raw[352:], "<f4") - 100) * 2).astype("<f4").tobytes()
    header = nibabel.Nifti1Header.from_fileobj(gzip.open(plain / "moving.nii.gz")).as_byteswapped(">")
    swapped = header.binaryblock + bytes(4) + np.frombuffer(raw[352:], "<f4").astype(">f4").tobytes()
    for content in (extended, scaled, swapped, raw):
        (tmp_path / "variant.nii").write_bytes(content)
        run("apply", "-M", tmp_path / "variant.nii", "-O", plain / "out", "-D", tmp_path / "out.nii")
        assert np.abs(load(tmp_path / "out.nii") - load(plain / "out_deformed.nii.gz")).max() < 0.05


BAD_OPTIONS = [
    (["-Q", "1", "-G", "5x4x3", "-L", "5x4x3"], ["--quantization", "3 levels"]),
    (["-G", "0x0x0"], ["-G", "0x0x0"]),
    (["-a", "abc"], ["-a", "abc"]),
    (["-a", "0"], ["-a"]),
    (["-a", "-1"], ["-a", "-1"]),
    (["--colour"], ["--colour"]),
    (["-A", "no_such_matrix.txt"], ["no_such_matrix.txt"]),
    (["-S", "no_such_labels.nii"], ["no_such_labels.nii"]),
    (["--memory-limit", "3"], ["MiB"]),
    (["--threads", "0"], ["--threads"]),
    (["-G", "20", "-L", "2", "-Q", "1"], ["--grid-spacing: 20"]),
    (["-G", "5x4x3", "-L", "5x4x20", "-Q", "2x2x1"], ["--search-radius: 20"]),
    (["-G", "5x4x3", "-L", "5x4x3", "-Q", "2x2x17"], ["--quantization: 17"]),
    (["-a", "1e-50"], ["--alpha"]),
    (["--linear", "--linear-grid-spacing", "9x8x7x6"], ["--linear-grid-spacing: 9", "6x5x5"]),
    (["--linear", "--background", "5000"], ["fixed.nii.gz", "moving.nii.gz", "0 valid", "--background"]),
    (["-M", "again.nii"], ["-M", "twice"]),
]


@pytest.mark.parametrize(("options", "names"), BAD_OPTIONS)
def test_wrong_options_are_named(plain, tmp_path, options, names):
    lists = [] if "-G" in options else FAST
    refused(
        "register",
        "-F",
        plain / "fixed.nii.gz",
        "-M",
        plain / "moving.nii.gz",
        "-O",
        tmp_path / "out",
        *lists,
        *options,
        names=names,
    )
    assert not list(tmp_path.iterdir())


def test_labels_are_checked_before_the_work(plain, tmp_path):
    """A label map that is none is named, even where the registration itself could not succeed."""
    pair = ["-F", plain / "fixed.nii.gz", "-M", plain / "moving.nii.gz", "-O", tmp_path / "out"]
    impossible = ["--background", 5000]
    for command in (["linear"], ["register", "--linear", *FAST]):
        refused(
            *command, *pair, *impossible, "-S", plain / "fixed.nii.gz", names=["fixed.nii.gz", "label map"]
        )
    assert not list(tmp_path.iterdir())


def test_missing_things_are_named(plain, tmp_path):
    pair = ["-F", plain / "fixed.nii.gz", "-M", plain / "moving.nii.gz"]
    refused(names=["command"])
    refused("linear", *pair, names=["--output"])
    refused("linear", *pair, "-O", tmp_path / "no" / "folder", names=[tmp_path / "no" / "folder"])
    refused(
        "register",
        "-F",
        tmp_path / "absent.nii.gz",
        "-M",
        plain / "moving.nii.gz",
        "-O",
        tmp_path / "o",
        names=["absent.nii.gz"],
    )
    small = save(
        tmp_path / "small.nii.gz",
        load(plain / "moving.nii.gz")[:-8],
        nibabel.load(plain / "moving.nii.gz").affine,
    )
    refused(
        "register",
        "-F",
        plain / "fixed.nii.gz",
        "-M",
        small,
        "-O",
        tmp_path / "o",
        names=["fixed.nii.gz", "small.nii.gz", "56x52x48", "48x52x48"],
    )
    tiny = save(tmp_path / "tiny.nii.gz", load(plain / "moving.nii.gz")[25:31, 25:31, 25:31], np.eye(4))
    for command in ("linear", "register"):
        refused(command, "-F", tiny, "-M", tiny, "-O", tmp_path / "o", names=["6x6x6"])
    for text, problem in [
        ("1 0 0 0\n", "16"),
        ("nan " * 16, "nan"),
        ("1 0 0 0 0 1 0 0 0 0 -1 0 0 0 0 1", "determinant"),
    ]:
        (tmp_path / "bad.txt").write_text(text, encoding="utf-8")
        refused(
            "register", *pair, "-O", tmp_path / "o", "-A", tmp_path / "bad.txt", names=["bad.txt", problem]
        )
    apply = ["apply", "-M", plain / "moving.nii.gz", "-D", tmp_path / "o.nii"]
    refused(*apply, "-O", tmp_path / "none", names=["none_displacements.dat"])
    refused(*apply, "-O", plain / "out", "-A", tmp_path / "none.txt", names=["none.txt"])
    refused(*apply, "-O", plain / "out", "-G", 4, names=["--grid-spacing", "4", "3"])
    (tmp_path / "table.csv").write_text("x_mm,y_mm,z_mm\n1,2,three\n", encoding="utf-8")
    refused(
        "points",
        "-O",
        plain / "out",
        "--input",
        tmp_path / "table.csv",
        "--output",
        tmp_path / "t.csv",
        names=["line 2", "three"],
    )
    assert {p.name for p in tmp_path.iterdir()} == {"small.nii.gz", "tiny.nii.gz", "bad.txt", "table.csv"}


def test_help_and_version():
    assert re.fullmatch(r"deeds \d+\.\d+\.\d+\n", run("--version").stdout)
    for command in ("linear", "register", "apply", "points", "field", "descend"):
        assert f"deeds {command}" in run(command, "--help").stdout


def test_the_field_alone_is_the_same_field(plain, tmp_path):
    pair = ("-F", plain / "fixed.nii.gz", "-M", plain / "moving.nii.gz", "-O", tmp_path / "out")
    run("register", *pair, *FAST, "--without-image")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out_displacements.dat",
        "out_displacements.json",
    ]
    field = "out_displacements.dat"
    assert (tmp_path / field).read_bytes() == (plain / field).read_bytes()
