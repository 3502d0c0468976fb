"""The table of visits: read as it stands, each fault named by its line."""

import datetime

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.visits_table import read_visits_table

HEADER = "patient,visit,date,scan,lesions\n"


@pytest.fixture
def table(tmp_path):
    for name in ("a", "b", "c", "lesions"):
        (tmp_path / f"{name}.nii.gz").touch()

    def write(*rows):
        path = tmp_path / "visits.csv"
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_patients_come_with_their_visits_in_order(table):
    path = table("P1,v0,2026-01-05,a.nii.gz,lesions.nii.gz", "P1,v1,,b.nii.gz,")
    (visits,) = read_visits_table(path).values()
    assert [(each.visit, each.date) for each in visits] == [("v0", datetime.date(2026, 1, 5)), ("v1", None)]
    assert visits[0].lesions == path.parent / "lesions.nii.gz"
    assert visits[1].scan == path.parent / "b.nii.gz"
    assert visits[1].lesions is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["P1,v0,,a.nii.gz,lesions.nii.gz", "P1,v0,,b.nii.gz,"],
            "line 3: patient 'P1', visit 'v0' repeats line 2",
        ),
        (["P1,v0,,a.nii.gz,lesions.nii.gz", "P2,v0,,a.nii.gz,"], "line 3: its scan is that of line 2"),
        (["P1,v0,,d.nii.gz,"], "line 2, scan: expected a file or folder that is there, got 'd.nii.gz'"),
        (["P1,v0,May,a.nii.gz,"], "line 2, date: expected a date such as 2026-03-31, or nothing, got 'May'"),
        (["P1,v0,,a.nii.gz,lesions.nii.gz"], "patient 'P1' has one visit, expected two or more"),
        (["P1,v0,,a.nii.gz,", "P1,v1,,b.nii.gz,"], "patient 'P1' has no lesions"),
        (
            ["P1,v0,2026-02-01,a.nii.gz,lesions.nii.gz", "P1,v1,,b.nii.gz,", "P1,v2,2026-01-01,c.nii.gz,"],
            "line 4: is of 2026-01-01, before visit v0 of 2026-02-01",
        ),
    ],
)
def test_a_fault_is_named_by_its_line(table, rows, message):
    with pytest.raises(InputFileError, match=message):
        read_visits_table(table(*rows))
