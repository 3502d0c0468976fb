"""Options and files that are missing or wrong."""

import re

import nibabel
import numpy as np
import pytest
from run_deeds import FAST, assert_takes, load, refused, run, save

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


def test_apply_counts_the_memory_of_both_grids_and_the_field(plain, tmp_path):
    command = ("apply", "-O", plain / "out", "-M", plain / "moving.nii.gz", "-D", tmp_path / "out.nii")
    mib = (2 * 56 * 52 * 48 + 3 * 18 * 17 * 16) * 4 / 2**20
    refused(*command, "--memory-limit", mib - 0.01, names=["--memory-limit", "56x52x48", "needs 2 MiB"])
    assert not list(tmp_path.iterdir())
    run(*command, "--memory-limit", mib + 0.01)


def test_apply_takes_the_memory_that_is_counted(tmp_path):
    shape = (160, 128, 112)
    moving = save(tmp_path / "moving.nii", np.zeros(shape, np.float32), np.eye(4))
    np.savetxt(tmp_path / "matrix.txt", np.eye(4))
    command = ("apply", "-A", tmp_path / "matrix.txt", "-F", moving, "-M", moving, "-D", tmp_path / "out.nii")
    counted = 2 * np.prod(shape) * 4 / 2**20
    assert_takes(counted, *command, "--memory-limit", counted + 0.1)


@pytest.mark.parametrize(
    ("outputs", "bytes_of_voxel"),
    [
        (["-D"], 12),
        (["--inverse"], 12),
        (["--jacobian"], 4),
        (["-D", "--inverse", "--jacobian"], 12),
    ],
)
def test_field_takes_the_memory_that_is_counted(tmp_path, outputs, bytes_of_voxel):
    shape = (160, 128, 112)
    image = save(tmp_path / "image.nii", np.zeros(shape, np.float32), np.eye(4))
    np.savetxt(tmp_path / "matrix.txt", np.eye(4))
    asked = [word for name in outputs for word in (name, tmp_path / f"{name.strip('-')}.nii")]
    command = ("field", "-A", tmp_path / "matrix.txt", "-F", image, "-M", image, *asked)
    counted = np.prod(shape) * bytes_of_voxel / 2**20
    refused(*command, "--memory-limit", counted - 0.1, names=["--memory-limit", "a field on 160x128x112"])
    assert {path.name for path in tmp_path.iterdir()} == {"image.nii", "matrix.txt"}
    assert_takes(counted, *command, "--memory-limit", counted + 0.1)


def test_field_counts_the_larger_grid_and_the_field(plain, tmp_path):
    command = (
        "field",
        "-O",
        plain / "out",
        "--inverse",
        tmp_path / "inverse.nii",
        "--jacobian",
        tmp_path / "j.nii",
    )
    mib = (3 * 56 * 52 * 48 + 3 * 18 * 17 * 16) * 4 / 2**20
    refused(*command, "--memory-limit", mib - 0.01, names=["--memory-limit", "56x52x48"])
    assert not list(tmp_path.iterdir())
    run(*command, "--memory-limit", mib + 0.01)


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
