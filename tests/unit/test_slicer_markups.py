"""Markups for 3D Slicer: LPS in the file, RAS in the program."""

import json

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.slicer_markups import read_markups, write_markups

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
    points, names = read_markups(path)
    np.testing.assert_array_equal(points, POINTS)
    assert names == ["query", "match"]


def test_ras_files_are_read_as_they_state(tmp_path):
    path = tmp_path / "a.mrk.json"
    markup = {"coordinateSystem": "RAS", "controlPoints": [{"label": "a", "position": [1, 2, 3]}]}
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    np.testing.assert_array_equal(read_markups(path)[0], [[1.0, 2.0, 3.0]])


def test_no_point_at_all(tmp_path):
    write_markups(np.empty((0, 3)), [], tmp_path / "a.mrk.json")
    points, names = read_markups(tmp_path / "a.mrk.json")
    assert (points.shape, names) == ((0, 3), [])


def test_faults_are_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"does not end in \.mrk\.json"):
        write_markups(POINTS, ["a", "b"], tmp_path / "a.json")
    with pytest.raises(InputFileError, match="point 'b' is not finite"):
        write_markups([[1, 2, 3], [np.nan, 0, 0]], ["a", "b"], tmp_path / "a.mrk.json")
    with pytest.raises(ValueError, match="zip"):
        write_markups(POINTS, ["a"], tmp_path / "a.mrk.json")
    path = tmp_path / "b.mrk.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputFileError, match="is not a markups file"):
        read_markups(path)
    path.write_text('{"markups": [{"coordinateSystem": "IJK", "controlPoints": []}]}', encoding="utf-8")
    with pytest.raises(InputFileError, match="expected LPS or RAS"):
        read_markups(path)
