"""Points as 3D Slicer (.fcsv), elastix and ANTs write them, each in its own system of coordinates."""

import numpy as np
import pytest

from anatomical_embedding.errors import UserError
from anatomical_embedding.points.points_file import read_points
from tests.unit.test_points_file import FCSV_HEAD, GRID, read, refusal


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("LPS", [-280, -250, 200]),
        ("RAS", [280, 250, 200]),
        ("0", [280, 250, 200]),
        ("1", [-280, -250, 200]),
        ("lps", [-280, -250, 200]),
    ],
)
def test_fcsv_is_read_in_its_own_system(tmp_path, system, expected):
    content = FCSV_HEAD.format(system=system) + '1,280,250,200,0,0,0,1,1,1,0,"A, ""left""",,,2,0\n'
    for coordinates in ("ras", "lps"):  # of tables, it does not matter here
        found = read(tmp_path, content, name="slicer.fcsv", coordinates=coordinates)
        np.testing.assert_allclose(found.points_mm, [expected], atol=1e-6)
        assert (found.names, found.remarks) == (('A, "left"',), ())


def test_fcsv_of_old_and_new_versions(tmp_path):
    old = (
        "# Markups fiducial file version = 4.10\n# CoordinateSystem = 0\nid_0,1,2,3,0,0,0,1,1,1,0,A,,vol\n\n"
    )
    assert read(tmp_path, old, name="old.fcsv").names == ("A",)
    other_columns = "# CoordinateSystem = RAS\n# columns = label,x,y,z,sel,vis\nA,1,2,3,1,1\n"
    found = read(tmp_path, other_columns, name="three.fcsv")
    np.testing.assert_allclose(found.points_mm, [[1, 2, 3]], atol=1e-6)
    rows = "".join(f"{n},{n},2,3,0,0,0,1,1,1,0,P{n},,,{n},0\n" for n in range(4))
    found = read(tmp_path, FCSV_HEAD.format(system="RAS") + rows, name="new.fcsv")
    assert found.names == ("P2",)
    assert [remark.rsplit(", its ")[1] for remark in found.remarks] == [
        "position is undefined",
        "position is preview",
        "position is missing",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,1,2,3,0,0,0,1,1,1,0,A,,\n", "does not say its coordinate system"),
        (FCSV_HEAD.format(system="IJK") + "1,1,2,3\n", "'IJK', expected LPS or RAS"),
        (FCSV_HEAD.format(system="LPS") + "1,1,2\n", "line 4: expected x, y and z in mm"),
        (FCSV_HEAD.format(system="LPS") + "1,1,2,nan,0\n", "line 4: expected x, y and z in mm"),
        (FCSV_HEAD.format(system="LPS"), "holds no point"),
    ],
)
def test_malformed_fcsv_is_refused(tmp_path, content, message):
    assert message in refusal(tmp_path, content, name="slicer.fcsv")


"""World of voxel (1, 2, 3): x = -2 * 2 + 5, y = 1.5 * 1 - 7, z = 3 * 3 + 11."""


@pytest.mark.parametrize("name", ["points.txt", "points.pts"])
def test_elastix_points_are_lps(tmp_path, name):
    found = read(tmp_path, "point\n2\n-280.5 -250 200\n10 0.5 3\n", name=name, coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[280.5, 250, 200], [-10, -0.5, 3]])
    assert found.names == ("1", "2") and found.remarks == ()


@pytest.mark.parametrize("word", ["index\n", ""])
def test_elastix_indices_are_voxels_of_the_scan(tmp_path, word):
    path = tmp_path / "points.txt"
    path.write_text(f"{word}1\n1 2 3\n", encoding="utf-8")
    found = read_points(path, coordinates="ras", grid=lambda: GRID)
    np.testing.assert_allclose(found.points_mm, [[1.0, -5.5, 20.0]])
    assert bool(found.remarks) == (word == "")
    with pytest.raises(UserError, match="points in voxels belong to a scan"):
        read_points(path, coordinates="ras")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("point\n3\n1 2 3\n", "counts 3 points and holds 1"),
        ("point\n1\n1 2\n", "point 1: expected three numbers, got '1 2'"),
        ("point\n1\n1 2 nan\n", "point 1: expected three numbers"),
        ("anything else\n", "is not a point file of elastix"),
        ("", "is not a point file of elastix"),
    ],
)
def test_faulty_elastix_files_are_refused(tmp_path, content, problem):
    assert problem in refusal(tmp_path, content, name="points.txt")


def test_points_of_ants_are_lps_whatever_is_told(tmp_path):
    found = read(tmp_path, "x,y,z,t,label\n-280.5,-250,200,0,A\n", coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[280.5, 250, 200]])
    assert found.names == ("A",) and "those of ANTs, taken as LPS mm" in found.remarks[0]
