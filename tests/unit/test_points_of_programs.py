"""Points of MITK and of grand-challenge.org, at the place that they mean."""

import json

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.points_file import read_points
from tests.unit.test_points_file import GRID, refusal

# MITK


def write_mps(path, series):
    """Write series of points, each with the element of its geometry, as MITK's writer lays them out."""
    parts = [
        f"<time_series><time_series_id>{time}</time_series_id>{geometry}"
        + "".join(
            f"<point><id>{number}</id><specification>0</specification><x>{x}</x><y>{y}</y><z>{z}</z></point>"
            for number, (x, y, z) in points
        )
        + "</time_series>"
        for time, geometry, points in series
    ]
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n<point_set_file><file_version>0.1</file_version>'
    path.write_text(f"{head}<point_set>{''.join(parts)}</point_set></point_set_file>", encoding="utf-8")
    return path


def geometry_of_mitk(matrix, offset):
    numbers = " ".join(f'm_{row}_{column}="{matrix[row][column]}"' for row in range(3) for column in range(3))
    x, y, z = offset
    return (
        f'<Geometry3D ImageGeometry="false" FrameOfReferenceID="0"><IndexToWorld type="Matrix3x3" {numbers} />'
        f'<Offset type="Vector3D" x="{x}" y="{y}" z="{z}" /></Geometry3D>'
    )


def test_points_of_mitk_are_lps_whatever_is_told(tmp_path):
    """Without a geometry, as converters write them from ITK's physical points, and with that of a new set."""
    for geometry in ("", geometry_of_mitk(np.eye(3).tolist(), (0, 0, 0))):
        path = write_mps(tmp_path / "set.mps", [(0, geometry, [(0, (280.5, 250, 200)), (7, (1e-1, -2, 3))])])
        for told in ("ras", "lps", "voxel"):
            found = read_points(path, coordinates=told)
            np.testing.assert_allclose(found.points_mm, [[-280.5, -250, 200], [-0.1, 2, 3]])
            assert found.names == ("0", "7") and found.remarks == ()


def test_the_geometry_of_mitk_leads_its_points_to_the_world_as_itk_does(tmp_path):
    """Coefficients are those of row and column of a transform of ITK; the world is ITK's."""
    matrix, offset = [[0.0, -1.5, 0.25], [2.0, 0.0, 0.0], [0.0, 0.5, 3.0]], (10.0, -20.0, 30.0)
    itk = SimpleITK.AffineTransform(np.ravel(matrix).tolist(), offset)
    path = write_mps(tmp_path / "set.mps", [(0, geometry_of_mitk(matrix, offset), [(0, (4.0, 5.0, 6.0))])])
    x, y, z = itk.TransformPoint((4.0, 5.0, 6.0))
    np.testing.assert_allclose(read_points(path, coordinates="ras").points_mm, [[-x, -y, z]])


def test_an_empty_time_of_mitk_is_none_and_points_of_two_are_refused(tmp_path):
    one = (1, "", [(0, (1, 2, 3))])
    path = write_mps(tmp_path / "set.mps", [(0, "", []), one])
    assert read_points(path, coordinates="ras").names == ("0",)
    path = write_mps(path, [(0, "", [(0, (1, 2, 3))]), one])
    with pytest.raises(InputFileError, match="holds points of 2 times"):
        read_points(path, coordinates="ras")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("x_mm,y_mm", "is not XML"),
        ("<mesh/>", "is XML of <mesh>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><point_set_file/>', "declares a document type"),
        ("<point_set_file/>", "holds no point"),
        (
            "<point_set_file><point_set><point><id>3</id><x>1</x><y>2</y></point></point_set></point_set_file>",
            "'3'",
        ),
        (
            "<point_set_file><point_set><time_series><Geometry3D/><point/></time_series></point_set></point_set_file>",
            "its IndexToWorld: expected finite numbers m_0_0",
        ),
    ],
)
def test_faulty_point_sets_are_refused(tmp_path, content, problem):
    assert problem in refusal(tmp_path, content, name="set.mps")


# grand-challenge.org

CHALLENGE = {
    "name": "Points of interest",
    "type": "Multiple points",
    "points": [{"name": "A", "point": [1, 2, 3]}, {"point": [0.5, 2, 3], "probability": 0.2}],
    "version": {"major": 1, "minor": 0},
}


def test_points_of_a_challenge_are_what_is_told(tmp_path):
    path = tmp_path / "points.json"
    path.write_text(json.dumps(CHALLENGE), encoding="utf-8")
    found = read_points(path, coordinates="lps")
    np.testing.assert_allclose(found.points_mm, [[-1, -2, 3], [-0.5, -2, 3]])
    assert found.names == ("A", "2")
    found = read_points(path, coordinates="voxel", grid=lambda: GRID)
    np.testing.assert_allclose(found.points_mm, [GRID.affine[:3] @ [x, 2, 3, 1] for x in (1, 0.5)])
    path.write_text(json.dumps({"type": "Point", "name": "B", "point": [4, 5, 6]}), encoding="utf-8")
    found = read_points(path, coordinates="lps")
    np.testing.assert_allclose(found.points_mm, [[-4, -5, 6]])
    assert found.names == ("B",)


@pytest.mark.parametrize(
    ("coordinates", "edit", "problem"),
    [
        ("ras", {}, "do not say what their numbers are; say --coordinates lps"),
        ("lps", {"points": [{"point": [1, 2]}]}, r"point 1: expected three numbers, got \[1, 2\]"),
        ("lps", {"points": [{"point": [1, 2, True]}]}, "point 1: expected three numbers"),
        ("lps", {"points": [{"point": [1, 2, 10**400]}]}, "point 1: expected three numbers"),
        ("lps", {"points": [4]}, "point 1: expected three numbers, got None"),
        ("lps", {"points": []}, "holds no point"),
        ("lps", {"points": 3}, "holds no point"),
    ],
)
def test_points_of_a_challenge_that_say_too_little_are_refused(tmp_path, coordinates, edit, problem):
    path = tmp_path / "points.json"
    path.write_text(json.dumps(CHALLENGE | edit), encoding="utf-8")
    with pytest.raises(InputFileError, match=problem):
        read_points(path, coordinates=coordinates)
