"""CSV tables are read strictly, and as their columns say."""

import math
import os

import pytest

from anatomical_embedding.csv_table import (
    FINITE,
    IDENTIFIER,
    NUMBER,
    POSITIVE,
    POSITIVE_WHOLE,
    TEXT,
    choice,
    path_below,
    read_csv_table,
    read_table,
    relative_text,
    write_csv_table,
)
from anatomical_embedding.errors import InputFileError


def test_rows_come_with_their_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffa,b\n1,2\n\n3,\n", encoding="utf-8")
    assert read_csv_table(path) == (["a", "b"], [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": ""})])


@pytest.mark.parametrize(
    ("content", "header", "row"),
    [
        ("a;b\n1;x,y\n", ["a", "b"], {"a": "1", "b": "x,y"}),
        ('"a";"b"\n1;"x;y"\n', ["a", "b"], {"a": "1", "b": "x;y"}),
        ("a,b;c\n1,2;3\n", ["a", "b;c"], {"a": "1", "b;c": "2;3"}),  # a comma in the header separates
    ],
)
def test_semicolons_separate_where_the_header_has_no_comma(tmp_path, content, header, row):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    assert read_csv_table(path) == (header, [(2, row)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,a\n1,2\n", "names a column twice"),
        (b"a,b\n1,2\n3\n", "line 3: has 1 cells, expected 2"),
        (b"a,b\n1,2,3\n", "line 2: has 3 cells"),
        (b"a,b\n\xff\xfe,2\n", "is not a CSV file in UTF-8"),
        (b'a,b\n"1,2\n', "is not a CSV file"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=message):
        read_csv_table(path)


COLUMNS = {
    "name": IDENTIFIER,
    "kind": choice("ct", "mr"),
    "x_mm": FINITE,
    "share": NUMBER,
    "size": POSITIVE_WHOLE,
    "spacing_mm": POSITIVE,
    "remark": TEXT.or_empty(),
}
GOOD = {
    "name": "a_1",
    "kind": "mr",
    "x_mm": "-1e2",
    "share": "",
    "size": "3",
    "spacing_mm": "0.5",
    "remark": "",
}


def written(path, *rows, columns=tuple(COLUMNS)):
    write_csv_table(columns, [[row[name] for name in columns] for row in rows], path)
    return path


def test_cells_are_read_as_their_column_says(tmp_path):
    path = written(tmp_path / "a.csv", GOOD | {"share": "0.25", "remark": "7, twice"}, GOOD | {"name": "b"})
    (line, first), (_, second) = read_table(path, COLUMNS)
    assert line == 2
    assert first == {
        "name": "a_1",
        "kind": "mr",
        "x_mm": -100.0,
        "share": 0.25,
        "size": 3,
        "spacing_mm": 0.5,
        "remark": "7, twice",
    }
    assert math.isnan(second["share"])
    assert second["remark"] is None


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("name", "../a", "an identifier of letters"),
        ("kind", "pet", "one of ct, mr"),
        ("x_mm", "", "a finite number"),
        ("x_mm", "inf", "a finite number"),
        ("share", "half", "a number, or nothing"),
        ("size", "0", "a positive whole number"),
        ("size", "1.5", "a positive whole number"),
        ("spacing_mm", "0", "a positive number"),
        ("spacing_mm", "nan", "a positive number"),
    ],
)
def test_a_wrong_cell_is_named_with_file_line_and_column(tmp_path, column, cell, expected):
    path = written(tmp_path / "a.csv", GOOD, GOOD | {column: cell})
    with pytest.raises(InputFileError) as caught:
        read_table(path, COLUMNS)
    assert str(caught.value).startswith(f"{path}: line 3, {column}: expected {expected}")
    assert str(caught.value).endswith(f", got {cell!r}")


def test_columns_are_all_there_and_others_only_where_they_may_be(tmp_path):
    path = written(tmp_path / "a.csv", GOOD)
    two = {"x_mm": FINITE, "name": TEXT}
    assert read_table(path, two, may_have_more=True) == [(2, {"x_mm": -100.0, "name": "a_1"})]
    with pytest.raises(InputFileError, match=r"line 1: .*x_mm,name; missing: none, unknown: kind, share"):
        read_table(path, two)
    with pytest.raises(InputFileError, match="missing: colour, unknown: none"):
        read_table(path, two | {"colour": TEXT}, may_have_more=True)


def test_a_row_that_repeats_another_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", GOOD, GOOD | {"x_mm": "1"}, GOOD | {"kind": "ct"})
    read_table(path, COLUMNS, unique=("name", "kind", "x_mm"))
    with pytest.raises(InputFileError, match="line 3: name 'a_1', kind 'mr' repeats line 2"):
        read_table(path, COLUMNS, unique=("name", "kind"))


def test_paths_stay_below_the_folder_of_their_table(tmp_path):
    path = tmp_path / "run" / "a.csv"
    scan = tmp_path / "run" / "deep" / "scan.nii"
    assert relative_text(scan, table=path) == "deep/scan.nii"
    write_csv_table(["scan"], [["deep/scan.nii"], ["../scan.nii"]], path)
    with pytest.raises(InputFileError, match=r"line 3, scan: expected a path below .*, got '\.\./scan\.nii'"):
        read_table(path, {"scan": path_below(path.parent)})
    write_csv_table(["scan"], [["deep/scan.nii"]], path)
    assert read_table(path, {"scan": path_below(path.parent)}) == [(2, {"scan": scan})]
    with pytest.raises(InputFileError, match=r"scan\.nii lies outside its folder"):
        relative_text(tmp_path / "scan.nii", table=path)


def test_a_table_is_read_once_so_that_it_may_be_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, b"name;size\na;1\n")
    os.close(writing)
    try:
        assert read_csv_table(f"/dev/fd/{reading}") == (["name", "size"], [(2, {"name": "a", "size": "1"})])
    finally:
        os.close(reading)
