"""Image files that are read alike, and those that are refused by name."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from run_deeds import load, refused, run, save


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
