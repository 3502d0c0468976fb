"""Markups for 3D Slicer: LPS in the file, RAS in the program."""

import json

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.slicer_markups import read_markups, write_markups

POINTS = np.array([[1.0, 2.0, 3.0], [-4.5, 5.0, -6.0]])


def test_file_states_lps_and_holds_it(tmp_path):
    path = tmp_path / "lesion.mrk.json"
    write_markups(POINTS, ["query", "match"], path)
    markup = json.loads(path.read_text(encoding="utf-8"))["markups"][0]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == (
        "Fiducial",
        "LPS",
        "mm",
    )
    assert [point["position"] for point in markup["controlPoints"]] == [[-1.0, -2.0, 3.0], [4.5, -5.0, -6.0]]
    found = read_markups(path)
    np.testing.assert_array_equal(found.points_mm, POINTS)
    assert (found.names, found.remarks) == (("query", "match"), ())


def test_no_point_at_all(tmp_path):
    write_markups(np.empty((0, 3)), [], tmp_path / "a.mrk.json")
    found = read_markups(tmp_path / "a.mrk.json")
    assert (found.points_mm.shape, found.names, found.remarks) == ((0, 3), (), ())


def test_faults_are_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"does not end in \.mrk\.json"):
        write_markups(POINTS, ["a", "b"], tmp_path / "a.json")
    with pytest.raises(InputFileError, match="point 'b' is not finite"):
        write_markups([[1, 2, 3], [np.nan, 0, 0]], ["a", "b"], tmp_path / "a.mrk.json")
    with pytest.raises(ValueError, match="zip"):
        write_markups(POINTS, ["a"], tmp_path / "a.mrk.json")


# What 3D Slicer writes


def write_lists(path, *lists, **properties):
    """Write lists of control points with the properties of a list."""
    markups = [{"type": "Fiducial", **properties, "controlPoints": points} for points in lists]
    path.write_text(json.dumps({"markups": markups}), encoding="utf-8")
    return path


def control(label, position, **more):
    return {"label": label, "position": position, **more}


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ({"coordinateSystem": "LPS"}, [-1.0, -2.0, 3.0]),
        ({"coordinateSystem": "RAS"}, [1.0, 2.0, 3.0]),
        ({}, [-1.0, -2.0, 3.0]),
        ({"coordinateSystem": "0"}, [1.0, 2.0, 3.0]),
        ({"coordinateSystem": 1}, [-1.0, -2.0, 3.0]),
    ],
    ids=["LPS", "RAS", "none means LPS", "0 is RAS", "1 is LPS"],
)
def test_coordinate_systems(tmp_path, system, expected):
    found = read_markups(write_lists(tmp_path / "a.mrk.json", [control("a", [1, 2, 3])], **system))
    np.testing.assert_allclose(found.points_mm, [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mm", 1.0), (["mm", "UCUM", "millimeter"], 1.0), ("cm", 10.0), ("um", 0.001), ("m", 1000.0)],
    ids=str,
)
def test_units_are_converted_and_said(tmp_path, unit, factor):
    path = write_lists(tmp_path / "a.mrk.json", [control("a", [-1.5, 2, 3])], coordinateUnits=unit)
    found = read_markups(path)
    np.testing.assert_allclose(found.points_mm, [[1.5 * factor, -2 * factor, 3 * factor]], atol=1e-6)
    assert len(found.remarks) == (factor != 1.0)


@pytest.mark.parametrize("status", ["undefined", "preview", "missing"])
@pytest.mark.parametrize("position", ["", [7, 8, 9]], ids=["empty", "with a position"])
def test_a_point_that_was_never_placed_is_left_out_and_named(tmp_path, status, position):
    points = [control("A", [1, 2, 3]), control("B", position, positionStatus=status), control("", [4, 5, 6])]
    path = write_lists(tmp_path / "a.mrk.json", points)
    found = read_markups(path)
    np.testing.assert_allclose(found.points_mm, [[-1, -2, 3], [-4, -5, 6]], atol=1e-6)
    assert found.names == ("A", "3")  # a point without a name is called by its place in the list
    assert found.remarks == (f"{path}: the point 'B' is left out, its position is {status}",)


def test_a_point_without_position_is_left_out_whatever_it_says(tmp_path):
    points = [control("A", [1, 2, 3]), {"label": "B"}, control("C", None, positionStatus="defined")]
    found = read_markups(write_lists(tmp_path / "a.mrk.json", points))
    assert found.names == ("A",)
    assert [remark.rsplit("the point ")[1] for remark in found.remarks] == [
        "'B' is left out, it has no position",
        "'C' is left out, it has no position",
    ]


def test_all_lists_are_read_whatever_they_hold(tmp_path):
    path = write_lists(tmp_path / "a.mrk.json", [control("A", [1, 2, 3])], [], [control("B", [4, 5, 6])])
    content = json.loads(path.read_text(encoding="utf-8"))
    content["markups"][2] |= {"type": "Curve", "coordinateSystem": "RAS"}
    content["markups"].append({"type": "ROI", "center": [0, 0, 0]})
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read_markups(path)
    np.testing.assert_allclose(found.points_mm, [[-1, -2, 3], [4, 5, 6]], atol=1e-6)
    assert found.names == ("A", "B")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is not a markups file"),
        ("[]", "is not a markups file"),
        ("no JSON", "is not a markups file"),
        ('{"markups": [1]}', "is not a markups file"),
        ('{"markups": [{"coordinateSystem": "IJK", "controlPoints": []}]}', "'IJK', expected LPS or RAS"),
        ('{"markups": [{"coordinateUnits": "voxel", "controlPoints": []}]}', "positions in 'voxel'"),
        (
            '{"markups": [{"controlPoints": [{"label": "A", "position": [1, 2]}]}]}',
            "point 'A': expected a position",
        ),
        ('{"markups": [{"controlPoints": [{"position": [1, 2, NaN]}]}]}', "point 1: expected a position"),
        ('{"markups": [{"controlPoints": [{"position": [1, 2, "3"]}]}]}', "point 1: expected a position"),
        ('{"markups": [{"controlPoints": [[1, 2, 3]]}]}', "point 1: expected an object"),
        (
            '{"markups": [{"controlPoints": [{"label": "A", "position": "", "positionStatus": "missing"}]}]}',
            "no point was placed \\('A': its position is missing\\)",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "b.mrk.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=message) as caught:
        read_markups(path)
    assert str(path) in str(caught.value)
