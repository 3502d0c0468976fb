"""Lists of points come in as spreadsheets and 3D Slicer write them, at the place that they mean."""

import csv

import numpy as np
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.points_file import name_of_form, read_points, write_point_table, write_points
from anatomical_embedding.volumes.volume import Volume

FCSV_HEAD = (
    "# Markups fiducial file version = 5.4\n# CoordinateSystem = {system}\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
)


def read(tmp_path, content, *, name="points.csv", coordinates="ras"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_points(path, coordinates=coordinates)


def refusal(tmp_path, content, **more):
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, content, **more)
    assert str(caught.value).startswith(str(tmp_path / more.get("name", "points.csv")))
    return caught.value.problem


# Tables


@pytest.mark.parametrize(
    "content",
    [
        "x_mm,y_mm,z_mm,name\n-280.5,-250,200,A\n1e1,.5,+3,B\n",
        "x_mm;y_mm;z_mm;name\n-280,5;-250,0;200;A\n10;0,5;3;B\n",
        "x_mm;y_mm;z_mm;name\n-280.5;-250.0;200;A\n10;0.5;3;B\n",
        "x_mm\ty_mm\tz_mm\tname\n-280,5\t-250\t200\tA\n10\t0,5\t3\tB\n",
        "\ufeffx_mm;y_mm;z_mm;name\r\n-280,5;-250;200;A\r\n10;0,5;3;B\r\n;;;\r\n",
        "sep=;\r\nx_mm;y_mm;z_mm;name\r\n-280,5;-250;200;A\r\n10;0,5;3;B",
        "name, scan, X_mm, Y_mm, Z_mm\nA, s, -280.5, -250, 200\n\nB, s, 10, 0.5, 3\n",
        'x_mm,y_mm,z_mm,name\n"-280.5","-250","200","A"\n10,0.5,3,B\n',
        "x_mm;y_mm;z_mm;name\n-280,5;-250;200;A\n10;0,5;3;B\n".encode("utf-16"),
    ],
    ids=[
        "plain",
        "semicolons",
        "semicolons and points",
        "tabs",
        "mark and CRLF",
        "sep",
        "columns",
        "quoted",
        "utf-16",
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, content):
    found = read(tmp_path, content)
    np.testing.assert_allclose(found.points_mm, [[-280.5, -250, 200], [10, 0.5, 3]], atol=1e-6)
    assert (found.names, found.remarks) == (("A", "B"), ())


def test_names_hold_anything(tmp_path):
    found = read(
        tmp_path, 'x_mm,y_mm,z_mm,name\n1,2,3,"lesion 1, left"\n4,5,6,"two\nlines; ""x"""\n7,8,9,\n1,1,1\n'
    )
    assert found.names == ("lesion 1, left", 'two\nlines; "x"', "3", "4")
    np.testing.assert_allclose(found.points_mm[2], [7, 8, 9], atol=1e-6)


def test_lps_numbers_become_ras(tmp_path):
    found = read(tmp_path, "x_mm,y_mm,z_mm\n280,250,200\n", name="POINTS.CSV", coordinates="lps")
    np.testing.assert_allclose(found.points_mm, [[-280, -250, 200]], atol=1e-6)


def test_a_row_without_numbers_was_never_placed(tmp_path):
    """So do our own answers write a point that was not found."""
    found = read(tmp_path, "name,x_mm,y_mm,z_mm\nA,1,2,3\nB,,,\n")
    assert found.names == ("A",)
    path = tmp_path / "points.csv"
    assert found.remarks == (f"{path}: the point 'B' is left out, line 3 gives it no position",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column x_mm"),
        ("x_mm,y_mm\n1,2\n", "has no column z_mm"),
        ("x_mm|y_mm|z_mm\n1|2|3\n", "with commas, semicolons, tabs between"),
        ("x_mm,y_mm,z_mm\n", "holds no point"),
        ("x_mm,x_mm,y_mm,z_mm\n1,1,2,3\n", "names a column twice"),
        ("x_mm,y_mm,z_mm,name\n1,2,3,lesion 1, left\n", "line 2: has 5 cells, expected 4; put a name"),
        ("x_mm,y_mm,z_mm\n1,2,\n", "line 2: expected three numbers in mm, got ''"),
        ("x_mm,y_mm,z_mm\n1,2\n", "line 2: expected three numbers in mm, got ''"),
        ("x_mm,y_mm,z_mm\n1,2,3\n\n1,nan,3\n", "line 4: expected three numbers in mm, got 'nan'"),
        ("x_mm,y_mm,z_mm\n1,inf,3\n", "got 'inf'"),
        ("x_mm,y_mm,z_mm\n1,1e999,3\n", "got '1e999'"),
        ("x_mm,y_mm,z_mm\n1,1_0,3\n", "got '1_0'"),
        ("x_mm;y_mm;z_mm\n1;1.234,5;3\n", "got '1.234,5'"),
        ("x_mm;y_mm;z_mm\n1,5;2;3\n1;2.5;3\n", "line 3: '2.5' has the decimal mark '.', line 2 has ','"),
        ('x_mm,y_mm,z_mm,name\n1,2,3,"A\n', "line 2: is not a line of a table"),
        (b"x_mm,y_mm,z_mm,name\n1,2,3,M\xfcller\n", "is not text in UTF-8"),
        ("x_mm,y_mm,z_mm,name\n,,,A\n", "no point was placed"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, content, message):
    assert message in refusal(tmp_path, content)


def test_files_of_other_kinds_are_refused(tmp_path):
    assert "expected a list of points: .csv" in refusal(tmp_path, "x_mm", name="points.xlsx")
    other = bytes(128) + b"DICM"
    assert "is DICOM (unknown kind), expected points of a report" in refusal(tmp_path, other, name="a.dcm")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputFileError, match="cannot be read as a list of points"):
        read_points(tmp_path / "folder.csv", coordinates="ras")


@pytest.mark.parametrize("coordinates", ["ras", "lps"])
def test_what_is_written_is_read_again(tmp_path, coordinates):
    names = ("lesion 1, left", 'two\nlines and "quotes"', "return\rhere", "semi;colon", "M\u00fcller")
    points = np.random.default_rng(3).uniform(-500, 500, (5, 3))
    path = tmp_path / "points.csv"
    write_point_table(points, names, path, coordinates=coordinates)
    found = read_points(path, coordinates=coordinates)
    np.testing.assert_allclose(found.points_mm, points, atol=1e-6)
    assert found.names == names
    with path.open(newline="", encoding="utf-8") as stream:
        assert {len(row) for row in csv.reader(stream)} == {4 if coordinates == "ras" else 5}


# 3D Slicer


# elastix, ANTs, voxels

GRID = Volume(
    np.zeros((10, 10, 10)),
    np.array([[0.0, -2, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]]),
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lps.csv", "label,l,p,s,defined,selected,visible,locked,description\nA,280.5,250,200,1,1,1,0,\n"),
        ("ras.tsv", 'label\tr\ta\ts\tdefined\tdescription\n"A"\t-280.5\t-250\t200\ttrue\tan apex\n'),
    ],
)
@pytest.mark.parametrize("told", ["ras", "lps", "voxel"])
def test_tables_of_slicer_say_their_coordinates(tmp_path, name, content, told):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = read_points(tmp_path / name, coordinates=told)
    np.testing.assert_allclose(found.points_mm, [[-280.5, -250, 200]])
    assert found.names == ("A",) and found.remarks == ()


@pytest.mark.parametrize("word", ["0", "False"])
def test_a_point_that_a_table_of_slicer_calls_undefined_is_left_out_and_named(tmp_path, word):
    found = read(tmp_path, f"label,l,p,s,defined\nA,280.5,250,200,1\nB,0,0,0,{word}\n")
    np.testing.assert_allclose(found.points_mm, [[-280.5, -250, 200]])
    assert found.remarks[0].endswith("the point 'B' is left out, line 3 says that it is not defined")


def test_landmarks_of_a_run_have_their_names(tmp_path):
    found = read(tmp_path, "volume_id,landmark,x_mm,y_mm,z_mm\na,apex,1,2,3\na ,carina,4,5,6\n")
    assert found.names == ("apex", "carina")


def test_ids_name_points_where_nothing_else_does(tmp_path):
    assert read(tmp_path, "id,x_mm,y_mm,z_mm\n7,1,2,3\n8,4,5,6\n").names == ("7", "8")
    assert read(tmp_path, "id,label,x_mm,y_mm,z_mm\n7,apex,1,2,3\n").names == ("apex",)


SCANS = [
    "volume_id",
    "Patient",
    "PatientID",
    "Patient ID",
    "seriesuid",
    "SeriesInstanceUID",
    "target",
    "visit",
    "file name",
]


@pytest.mark.parametrize("column", SCANS)
def test_points_of_several_scans_in_one_table_are_refused(tmp_path, column):
    told = refusal(tmp_path, f"{column},landmark,x_mm,y_mm,z_mm\na_ct,apex,1,2,3\na_mr,apex,4,5,6\n")
    assert told.startswith(f"line 3: is a point of the {column.lower()} 'a_mr', those above are of 'a_ct'")


@pytest.mark.parametrize("words", [("yes", "no"), ("Target", "Non-Target"), ("TRUE", "FALSE")])
def test_lesions_that_are_targets_of_recist_and_others_are_of_one_scan(tmp_path, words):
    first, second = words
    found = read(tmp_path, f"name,target,x_mm,y_mm,z_mm\nliver,{first},1,2,3\nlung,{second},4,5,6\n")
    assert found.names == ("liver", "lung")


@pytest.mark.parametrize("names", [("0", "1"), ("T", "N")])
def test_scans_with_short_names_are_scans(tmp_path, names):
    first, second = names
    refused = refusal(tmp_path, f"name,target,x_mm,y_mm,z_mm\na,{first},1,2,3\na,{second},4,5,6\n")
    assert refused.startswith(f"line 3: is a point of the target '{second}'")


def test_a_scan_may_be_named_with_its_first_point_alone(tmp_path):
    """So spreadsheets leave cells that were merged."""
    table = "patient,name,x_mm,y_mm,z_mm\nP1,apex,1,2,3\n,carina,4,5,6\n"
    assert read(tmp_path, table).names == ("apex", "carina")
    assert refusal(tmp_path, f"{table}P2,apex,1,2,3\n,carina,4,5,6\n").startswith("line 4: is a point of")


def test_volumes_of_lesions_are_no_scans(tmp_path):
    found = read(tmp_path, "name,x_mm,y_mm,z_mm,volume,file\na,1,2,3,0.5,ct.nii\nb,4,5,6,0.7,ct.nii\n")
    assert found.names == ("a", "b")


@pytest.mark.parametrize("column", ["space", "frame", "Coord_Sys", "CoordinateSystem", "coordinates"])
def test_coordinates_that_a_table_states_count_whatever_the_column_is_called(tmp_path, column):
    found = read(tmp_path, f"name,x_mm,y_mm,z_mm,{column}\na,1,2,3,LPS\nb,4,5,6,LPS\n", coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[-1, -2, 3], [-4, -5, 6]])
    assert found.remarks[0].endswith("its points are LPS mm, as it says itself")
    mixed = f"name,x_mm,y_mm,z_mm,{column}\na,1,2,3,LPS\nb,4,5,6,RAS\n"
    assert refusal(tmp_path, mixed).startswith(
        f"line 3: says 'RAS' in the column {column.lower()}, expected LPS"
    )


def test_points_called_after_coordinates_are_names(tmp_path):
    assert read(tmp_path, "label,x_mm,y_mm,z_mm\nLPS,1,2,3\n").points_mm.tolist() == [[1, 2, 3]]


def test_columns_that_do_not_say_what_they_are_are_taken_as_told_and_that_is_said(tmp_path):
    found = read(tmp_path, "label;x;y;z\nA;-280,5;-250;200\n", coordinates="lps")
    np.testing.assert_allclose(found.points_mm, [[280.5, 250, 200]])
    assert found.names == ("A",) and "do not say what they are, taken as LPS mm" in found.remarks[0]


@pytest.mark.parametrize(
    ("content", "coordinates"),
    [("i,j,k,name\n1,2,3,A\n", "ras"), ("x_mm,y_mm,z_mm,name\n1,2,3,A\n", "voxel")],
)
def test_points_in_voxels_lie_in_their_scan(tmp_path, content, coordinates):
    (tmp_path / "points.csv").write_text(content, encoding="utf-8")
    found = read_points(tmp_path / "points.csv", coordinates=coordinates, grid=lambda: GRID)
    np.testing.assert_allclose(found.points_mm, [[1.0, -5.5, 20.0]])
    # Who gives numbers of ITK-SNAP would be a voxel off along each axis without a word.
    assert [("counted from 0" in remark) for remark in found.remarks] == [True] * content.startswith("i,j,k")


FORMS = {
    "points.csv": "x_mm,y_mm,z_mm,name\n-280.500000,-250.000000,200.000000,A\n",
    "points_ants.csv": "x,y,z,t,label\n280.500000,250.000000,200.000000,0,A\n",
    "points.txt": "point\n1\n280.500000 250.000000 200.000000\n",
    "points.fcsv": FCSV_HEAD.format(system="RAS").replace("5.4", "5.0")
    + "1,-280.500000,-250.000000,200.000000,0,0,0,1,1,1,0,A,,,2,0\n",
    "points_voxels.csv": "i,j,k,name\n1.000000,2.000000,3.000000,A\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_points_go_out_in_the_form_that_they_came_in(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    asked = read_points(tmp_path / name, coordinates="ras", grid=lambda: GRID)
    assert (name_of_form(asked.form) or "points.csv") == name
    write_points(asked.points_mm, asked.names, tmp_path / f"out_{name}", form=asked.form, grid=GRID)
    assert (tmp_path / f"out_{name}").read_text(encoding="utf-8") == FORMS[name]


@pytest.mark.parametrize("word", ["LPS", "lps+"])
@pytest.mark.parametrize("column", ["coordinates", "Coordinate_System"])
def test_a_table_may_say_its_coordinates_in_a_column(tmp_path, column, word):
    table = f"name,x_mm,y_mm,z_mm,{column},unit\nA,280.5,250,200,{word},HU\nB,1,2,3,,cm\n"
    for told in ("ras", "lps"):
        found = read(tmp_path, table, coordinates=told)
        np.testing.assert_allclose(found.points_mm, [[-280.5, -250, 200], [-1, -2, 3]])
        assert [remark.split(": ")[-1] for remark in found.remarks] == [
            "its points are LPS mm, as it says itself"
        ] * (told == "ras")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (
            "x,y,z,coordinates\n1,2,3,LPS\n4,5,6,RAS\n",
            "line 3: says 'RAS' in the column coordinates, expected LPS",
        ),
        (
            "x,y,z,coordinates\n1,2,3,MNI\n",
            "line 2: says 'MNI' in the column coordinates, expected RAS or LPS",
        ),
        ("r,a,s,coordinates\n1,2,3,LPS\n", "line 2: says 'LPS' in the column coordinates, expected RAS"),
        ("x,y,z,units\n1,2,3,mm\n1,2,3,cm\n", "line 3: says 'cm' in the column units, expected mm"),
    ],
)
def test_columns_that_say_something_else_are_refused(tmp_path, table, problem):
    assert refusal(tmp_path, table).startswith(problem)


def test_a_table_in_lps_says_so_and_is_read_as_that(tmp_path):
    write_point_table(
        [[1, 2, 3]], ["a"], tmp_path / "points.csv", coordinates="lps", more={"decision": ["found"]}
    )
    assert (tmp_path / "points.csv").read_text(encoding="utf-8") == (
        "x_mm,y_mm,z_mm,name,decision,coordinates\n-1.000000,-2.000000,3.000000,a,found,LPS\n"
    )
    np.testing.assert_array_equal(
        read_points(tmp_path / "points.csv", coordinates="ras").points_mm, [[1, 2, 3]]
    )


def test_further_columns_stand_behind_the_names_and_are_read_over(tmp_path):
    path = tmp_path / "points.csv"
    write_point_table(
        [[1, 2, 3], [4, 5, 6]], ["a", "b"], path, coordinates="ras", more={"doubt_mm": ["1.50", ""]}
    )
    assert path.read_text(encoding="utf-8").splitlines()[0] == "x_mm,y_mm,z_mm,name,doubt_mm"
    found = read_points(path, coordinates="ras")
    assert list(found.names) == ["a", "b"]
    np.testing.assert_array_equal(found.points_mm, [[1, 2, 3], [4, 5, 6]])
