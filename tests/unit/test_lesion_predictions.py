"""Predictions: every form is read, every pair has one answer, and nothing is dropped."""

import numpy as np
import pytest

from anatomical_embedding.datasets.lesion_annotations import read_annotations
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.lesions.frames import write_frames
from anatomical_embedding.evaluation.lesions.predictions import read_predictions
from tests.lesion_examples import annotation_rows, write

HEADER = "pair_id,x_vox,y_vox,z_vox,status,reason\n"


@pytest.fixture
def rows():
    return annotation_rows(num_patients=1)


@pytest.fixture
def pairs(tmp_path, rows):
    return read_annotations(write(tmp_path / "annotations.json", rows))


def read(path, pairs, *, count=False, frames=None):
    return read_predictions(path, pairs, count_missing_as_failed=count, frames_path=frames)


def read_csv(tmp_path, pairs, body, *, count=False, header=HEADER):
    path = tmp_path / "predictions.csv"
    path.write_text(header + body, encoding="utf-8")
    return read(path, pairs, count=count)


def test_annotation_file_is_its_affine_start(tmp_path, pairs):
    predictions = read(tmp_path / "annotations.json", pairs)
    np.testing.assert_array_equal(predictions.points_vox, [[114.0, 95.0, 12.0]] * 2)
    assert predictions.reasons == ("", "")


def test_listed_rows_find_their_pair_in_any_order(tmp_path, rows, pairs):
    rows["0001"]["predict target center"] = [1, 2, 3]
    listed = {"results": [rows["0002"], rows["0001"]]}
    predictions = read(write(tmp_path / "p.json", listed), pairs)
    np.testing.assert_array_equal(predictions.points_vox, [[1, 2, 3], [114, 95, 12]])


def test_unrounded_truth_replaces_the_rounded_one_only(tmp_path, rows, pairs):
    rows["0001"] |= {"target center": [110.04, 94.96, 12.0], "target recist diameter": [20.03, 16.0]}
    truth = read(write(tmp_path / "p.json", rows), pairs).truth
    assert truth.target_center_vox.tolist() == [[110.04, 94.96, 12.0], [110.0, 95.0, 12.0]]
    assert truth.radius_mm.tolist() == [20.03 / 4, 5.0]

    unrounded = read_annotations(tmp_path / "p.json")
    kept = read(tmp_path / "annotations.json", unrounded).truth
    assert kept.target_center_vox.tolist() == [[110.04, 94.96, 12.0], [110.0, 95.0, 12.0]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target center", [110.2, 95.0, 12.0]),
        ("target center", [None, 95.0, 12.0]),
        ("target recist diameter", [21.0, 16.0]),
        ("target spacing", [0.5, 0.5, 2.5]),
        ("target box", [100.0, 85.0, 10.0, 20.0, 20.0, 5.0]),
    ],
)
def test_another_truth_is_refused(tmp_path, rows, pairs, key, value):
    rows["0002"][key] = value
    with pytest.raises(InputFileError, match=f"row 2, pair '0002': carries '{key}'"):
        read(write(tmp_path / "p.json", rows), pairs, count=True)


def test_csv_in_voxels_with_a_failed_row(tmp_path, pairs):
    predictions = read_csv(tmp_path, pairs, "0002,,,,failed,out of view\n0001,1.5,2,3,found,\n")
    np.testing.assert_array_equal(predictions.points_vox, [[1.5, 2.0, 3.0], [np.nan] * 3])
    assert predictions.reasons == ("", "out of view")


def test_csv_in_world_mm(tmp_path, pairs):
    path, frames = tmp_path / "p.csv", tmp_path / "frames.csv"
    affine = np.diag([-0.5, -0.5, -2.0, 1.0])
    affine[:3, 3] = [10.0, 20.0, 300.0]
    path.write_text(
        "pair_id,x_mm,y_mm,z_mm,similarity\n0001,0,0,280,0.9\n0002,10,20,300,0.8\n", encoding="utf-8"
    )
    with pytest.raises(InputFileError, match="holds world mm; give the affines"):
        read(path, pairs)
    write_frames({pairs.target_files[0]: affine}, frames)
    np.testing.assert_allclose(read(path, pairs, frames=frames).points_vox, [[20, 40, 10], [0, 0, 0]])


@pytest.mark.parametrize(
    ("body", "message", "reason"),
    [
        ("0001,1,2,3,found,\n", "pair '0002' has no row", "no row"),
        (
            "0001,1,2,3,found,\n0002,1,2,3,found,\n0002,1,2,3,found,\n",
            "'0002' has 2 rows: line 3, line 4",
            "2 rows",
        ),
        (
            "0001,1,2,3,found,\n0002,1,nan,3,found,\n",
            "line 3, pair '0002': coordinates .* not finite",
            "not finite",
        ),
        (
            "0001,1,2,3,found,\n0002,1,inf,3,found,\n",
            "line 3, pair '0002': coordinates .* not finite",
            "not finite",
        ),
        (
            "0001,1,2,3,found,\n0002,,,,found,\n",
            "line 3, pair '0002': coordinates .* not finite",
            "not finite",
        ),
    ],
)
def test_unusable_pairs_are_refused_or_counted(tmp_path, pairs, body, message, reason):
    with pytest.raises(InputFileError, match=message) as caught:
        read_csv(tmp_path, pairs, body)
    assert "--count-missing-as-failed" in str(caught.value)
    predictions = read_csv(tmp_path, pairs, body, count=True)
    assert predictions.reasons[0] == ""
    assert reason in predictions.reasons[1]
    assert np.isnan(predictions.points_vox[1]).all()


def test_several_unusable_pairs_are_told(tmp_path, pairs):
    with pytest.raises(InputFileError, match=r"pair '0001' has no row \(and 1 more such pairs\)"):
        read_csv(tmp_path, pairs, "")


@pytest.mark.parametrize("value", [None, [None, 1, 2], [float("nan"), 1, 2]])
def test_unusable_json_centres_are_refused_or_counted(tmp_path, rows, pairs, value):
    rows["0001"]["predict target center"] = value
    path = write(tmp_path / "p.json", rows)
    with pytest.raises(InputFileError, match="row 1, pair '0001': coordinates"):
        read(path, pairs)
    assert read(path, pairs, count=True).reasons[0] == "coordinates are not finite"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("0009,1,2,3,found,\n", "line 2: the annotations know no pair '0009'"),
        ("0001,1,2,x,found,\n", "line 2, z_vox: expected a number, or nothing, got 'x'"),
        ("0001,1,2,3,lost,\n", "line 2, status: expected one of found, failed, got 'lost'"),
        ("0001,1,2,3,failed,\n", "failed, yet has coordinates"),
        ("0001,1,2,3\n", "line 2: has 4 cells"),
    ],
)
def test_malformed_csv_rows_are_refused_whatever_is_counted(tmp_path, pairs, body, message):
    with pytest.raises(InputFileError, match=message):
        read_csv(tmp_path, pairs, body, count=True)


@pytest.mark.parametrize(
    "header", ["pair_id,x_vox,y_vox\n", "x_vox,y_vox,z_vox\n", "pair_id,x_vox,y_vox,z_vox,x_mm,y_mm,z_mm\n"]
)
def test_csv_headers_must_name_one_kind_of_coordinates(tmp_path, pairs, header):
    with pytest.raises(InputFileError, match="expected pair_id and either"):
        read_csv(tmp_path, pairs, "", header=header)


def test_unknown_and_malformed_json_rows_are_refused_whatever_is_counted(tmp_path, rows, pairs):
    def message_of(content):
        with pytest.raises(InputFileError) as caught:
            read(write(tmp_path / "p.json", content), pairs, count=True)
        return str(caught.value)

    row = rows["0001"]
    assert "row 1: the annotations know no pair '0099'" in message_of({"0099": row})
    assert "'target' is 'b_1'" in message_of({"0001": row | {"target": "b_1"}})
    assert "'predict target center' is missing" in message_of(
        {"0001": {key: value for key, value in row.items() if not key.startswith("predict")}}
    )
    assert "expected 3 numbers" in message_of({"0001": row | {"predict target center": [1, 2]}})
    assert "row 1: the annotations know no pair" in message_of(
        {"results": [row | {"source center": [1, 2, 3]}]}
    )
    assert "row 1: the annotations know no pair" in message_of({"results": [row | {"source": ["a"]}]})
    assert "row 1: 'source center' is None" in message_of({"results": [{"source": "a_1"}]})


def test_a_source_centre_of_two_pairs_is_refused(tmp_path, rows, pairs):
    rows["0002"]["source center"] = rows["0001"]["source center"]
    ambiguous = read_annotations(write(tmp_path / "ambiguous.json", rows))
    with pytest.raises(InputFileError, match="row 1: the annotations know 2 pairs"):
        read(write(tmp_path / "p.json", {"results": [rows["0001"]]}), ambiguous)


def test_other_suffixes_are_refused(tmp_path, pairs):
    with pytest.raises(InputFileError, match=r"neither \.json nor \.csv"):
        read(tmp_path / "p.txt", pairs)
