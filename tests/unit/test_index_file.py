"""The index: a round trip, and every row that is refused."""

import csv
import shutil
from dataclasses import replace

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.index_file import COLUMNS, IndexRow, read_index, write_index


def _row(folder, volume_id="b", **changes):
    row = IndexRow(
        volume_id=volume_id,
        patient_id=f"p_{volume_id}",
        modality="ct",
        split="train",
        image_path=folder / f"volumes/{volume_id}.nii",
        body_mask_path=folder / f"volumes/{volume_id}.mask.nii",
        labels_path=folder / f"volumes/{volume_id}.labels.nii",
        sha256="0" * 64,
        size_x=120,
        size_y=100,
        size_z=80,
        spacing_x_mm=2.0,
        spacing_y_mm=2.0,
        spacing_z_mm=2.5,
    )
    return replace(row, **changes)


def test_rows_come_back_sorted_with_absolute_paths(tmp_path):
    rows = [_row(tmp_path, "b", labels_path=None), _row(tmp_path, "a", split="test")]
    write_index(rows, tmp_path / "index.csv")
    assert read_index(tmp_path / "index.csv") == [rows[1], rows[0]]
    first = read_index(tmp_path / "index.csv")[0]
    assert (first.shape, first.spacing_mm) == ((120, 100, 80), (2.0, 2.0, 2.5))


def test_the_file_has_the_agreed_columns_and_relative_paths(tmp_path):
    write_index([_row(tmp_path)], tmp_path / "index.csv")
    lines = (tmp_path / "index.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "volume_id,patient_id,modality,split,image_path,body_mask_path,labels_path,sha256,"
        "size_x,size_y,size_z,spacing_x_mm,spacing_y_mm,spacing_z_mm",
        "b,p_b,ct,train,volumes/b.nii,volumes/b.mask.nii,volumes/b.labels.nii,"
        f"{'0' * 64},120,100,80,2.0,2.0,2.5",
    ]


def test_a_folder_can_be_moved_with_its_index(tmp_path):
    write_index([_row(tmp_path / "old")], tmp_path / "old/index.csv")
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert read_index(tmp_path / "new/index.csv")[0].image_path == tmp_path / "new/volumes/b.nii"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("volume_id", "../x", "line 2, volume_id: expected an identifier .*, got '../x'"),
        ("volume_id", "", "line 2, volume_id: expected an identifier .*, got ''"),
        ("volume_id", "a b", "line 2, volume_id"),
        ("volume_id", "$(id)", "line 2, volume_id"),
        ("patient_id", "p/1", "line 2, patient_id"),
        ("modality", "pet", r"line 2, modality: expected one of ct, mr, got 'pet'"),
        ("split", "dev", "line 2, split: expected one of"),
        ("image_path", "../outside.nii", "line 2, image_path: expected a path below the table's own folder"),
        ("image_path", "volumes/../../x.nii", "line 2, image_path"),
        ("image_path", "/etc/passwd", "line 2, image_path"),
        ("image_path", "", "line 2, image_path"),
        ("labels_path", "../x.nii", "line 2, labels_path"),
        ("sha256", "abc", "line 2, sha256: expected 64 hexadecimal digits"),
        ("size_x", "0", "line 2, size_x: expected a positive whole number, got '0'"),
        ("size_y", "1.5", "line 2, size_y"),
        ("spacing_z_mm", "nan", "line 2, spacing_z_mm: expected a positive number, got 'nan'"),
        ("spacing_z_mm", "-2", "line 2, spacing_z_mm"),
        ("spacing_z_mm", "two", "line 2, spacing_z_mm"),
    ],
)
def test_a_bad_cell_is_named(tmp_path, column, value, message):
    path = tmp_path / "index.csv"
    write_index([_row(tmp_path)], path)
    with path.open(newline="") as stream:
        header, cells = csv.reader(stream)
    cells[header.index(column)] = value
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, cells])
    with pytest.raises(InputFileError, match=message) as caught:
        read_index(path)
    assert str(caught.value).startswith(str(path))


def test_duplicates_are_named_when_read_and_when_written(tmp_path):
    path = tmp_path / "index.csv"
    rows = [_row(tmp_path, "a"), _row(tmp_path, "A")]
    with pytest.raises(InputFileError, match="lines 2 and 3: the volume id 'A' occurs twice"):
        write_index(rows, path)
    assert not path.exists()
    write_index([_row(tmp_path, "a")], path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(InputFileError, match="lines 2 and 3: the volume id 'a' occurs twice"):
        read_index(path)


def test_a_patient_in_two_splits_is_an_error(tmp_path):
    rows = [_row(tmp_path, "a", patient_id="p"), _row(tmp_path, "b", patient_id="p", split="test")]
    with pytest.raises(InputFileError, match="line 3: patient 'p' is in test and in train"):
        write_index(rows, tmp_path / "index.csv")


def test_a_file_outside_the_folder_cannot_be_written(tmp_path):
    with pytest.raises(InputFileError, match=r"b\.nii lies outside its folder"):
        write_index([_row(tmp_path)], tmp_path / "deeper/index.csv")
    assert not (tmp_path / "deeper/index.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: is empty"),
        ("volume_id,colour\n", r"expected the columns volume_id,.*missing: patient_id, .*unknown: colour"),
        (",".join(COLUMNS) + "\na,b\n", "line 2: has 2 cells, expected 14"),
        (None, "cannot be read as a CSV table"),
    ],
)
def test_a_file_that_is_no_index_is_refused(tmp_path, content, message):
    path = tmp_path / "index.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_index(path)
