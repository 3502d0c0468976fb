"""The verbs `apply` and `transform-points`, and the files for elastix: by maps whose effect is known by hand."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.points.points_file import read_points
from anatomical_embedding.registration.elastix_files import write_elastix_files
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import VolumeHeader
from tests.command import refusal_of, run
from tests.shifted_scans import SHIFT_VOX, fixture_folder  # noqa: F401
from tests.unit.samples import LPS_AFFINE

KINDS = pytest.mark.parametrize("transform", ["shift.tfm", "shift.h5", "shift.nii.gz"])


@KINDS
@pytest.mark.parametrize(("name", "options"), [("moving", []), ("labels", ["--labels"])])
def test_an_image_is_shifted_by_whole_voxels(folder, transform, name, options):
    """The value of a fixed voxel is that of the moving voxel where its place is led to."""
    output = folder / "out.nii.gz"
    arguments = ["--onto", folder / "fixed.nii.gz", "--output", output, "--modality", "ct", *options]
    assert run(["apply", folder / transform, folder / f"{name}.nii.gz", *arguments]) == 0
    found, moving = read_volume(output), read_volume(folder / f"{name}.nii.gz")
    assert found.array.dtype == moving.array.dtype
    np.testing.assert_array_equal(found.affine, LPS_AFFINE)
    x, y, z = SHIFT_VOX
    np.testing.assert_array_equal(found.array[:-x, -y:, :-z], moving.array[x:, :y, z:])
    assert (found.array[-x:] == moving.array.min()).all()


@KINDS
@pytest.mark.parametrize("output", ["out.csv", "out.mrk.json"])
def test_points_are_shifted(folder, transform, output):
    arguments = ["--output", folder / output]
    assert run(["transform-points", folder / transform, folder / "points.csv", *arguments]) == 0
    found = read_points(folder / output, coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[-16.0, -16.0, 10.0]], atol=1e-5)
    assert found.names == ("liver",)


NO_LOCKS = """
#include <errno.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_transform_is_read_where_files_cannot_be_locked(folder):
    """As on network file systems without a lock service, where HDF5 refuses to open a file."""
    (folder / "locks.c").write_text(NO_LOCKS, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "locks.so", "locks.c"], cwd=folder, check=True)
    words = ["transform-points", "shift.h5", "points.csv", "--output", "out.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "anatomical_embedding.cli.main", *words],
        cwd=folder,
        env={**os.environ, "LD_PRELOAD": str(folder / "locks.so")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "out.csv\n"), done.stderr


def test_points_of_itk_are_taken_and_given_as_they_are(folder):
    arguments = ["--output", folder / "out.csv", "--coordinates", "lps"]
    assert run(["transform-points", folder / "shift.tfm", folder / "points.csv", *arguments]) == 0
    found = read_points(folder / "out.csv", coordinates="lps")
    np.testing.assert_allclose(found.points_mm, [[4.0, 24.0, 10.0]], atol=1e-5)


def test_what_is_no_transform_is_refused(folder, capsys):
    one = (folder / "shift.tfm").read_text(encoding="utf-8").replace("CompositeTransform_double_3_3", "")
    several = "#Insight Transform File V1.0\n" + 2 * (
        "#Transform 0\nTransform: TranslationTransform_double_3_3\nParameters: 1 2 3\nFixedParameters:\n"
    )
    for name, content in (("several.tfm", several), ("text.tfm", one[:20]), ("notes.md", "text")):
        (folder / name).write_text(content, encoding="utf-8")
    refused = {
        "several.tfm": "holds several transforms that are no composite",
        "text.tfm": "cannot be read as a transform of ITK",
        "notes.md": "expected a transform: .h5",
        "moving.nii.gz": "holds no vectors of three components in mm but 16-bit signed integer",
    }
    for name, message in refused.items():
        arguments = ["transform-points", folder / name, folder / "points.csv", "--output", folder / "out.csv"]
        said = refusal_of(capsys, arguments)
        assert f"{name}: " in said
        assert message in said
    assert not (folder / "out.csv").exists()


def test_files_of_elastix_name_each_other_in_the_order_in_which_they_are_applied(folder):
    """Directions column by column, numbers in LPS; `make test-peers` has transformix read them."""
    start = SimpleITK.AffineTransform(3)
    start.SetMatrix([0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    start.SetTranslation([5.0, 6.0, 7.0])
    vectors = SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorFloat64)
    transform = SimpleITK.CompositeTransform([start, SimpleITK.DisplacementFieldTransform(vectors)])
    affine = np.array([[0.0, 3.0, 0, 10], [-2.0, 0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])
    last = write_elastix_files(
        transform, VolumeHeader((6, 7, 8), affine), folder / "elastix", fill_value=-1024.0
    )
    first = folder / "elastix" / "TransformParameters.0.txt"
    assert last == folder / "elastix" / "TransformParameters.1.txt"
    whole, deformation = (
        dict(re.fullmatch(r"\((\S+) (.*)\)", line).groups() for line in path.read_text("utf-8").splitlines())
        for path in (last, first)
    )
    assert whole["Transform"] == '"AffineTransform"'
    assert whole["TransformParameters"] == "0 -1 0 1 0 0 0 0 1 5 6 7"
    assert whole["InitialTransformParameterFileName"] == f'"{first}"'
    assert deformation["Transform"] == '"DeformationFieldTransform"'
    assert deformation["DeformationFieldFileName"] == f'"{folder}/elastix/field.0.nii.gz"'
    assert deformation["InitialTransformParameterFileName"] == '"NoInitialTransform"'
    for parameters in (whole, deformation):
        assert parameters["Size"] == "6 7 8"
        assert parameters["Spacing"] == "2 3 4"
        assert parameters["Origin"] == "-10 -20 30"
        assert [float(part) for part in parameters["Direction"].split()] == [0, 1, 0, -1, 0, 0, 0, 0, 1]
        assert parameters["DefaultPixelValue"] == "-1024"
