"""The files in the folder of a followed patient: written, read, appended to, refused."""

import datetime
import math
from dataclasses import replace
from pathlib import Path

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_json import read_record, write_record
from anatomical_embedding.follow.record_tables import (
    append_decision,
    read_decisions,
    read_lesions,
    read_measurements,
    write_lesions,
    write_measurements,
)
from anatomical_embedding.follow.records import DecisionRow, FollowRecord, LesionRow, MeasurementRow, Visit

NOWHERE = (math.nan, math.nan, math.nan)
DAY = datetime.date(2026, 3, 31)


def lesion_row(**changes) -> LesionRow:
    fields = {
        "lesion": 2,
        "visit": "v1",
        "date": DAY,
        "state": "merged",
        "probability": 0.75,
        "radius_mm": 6.5,
        "point_mm": (-12.25, 40.0, 310.5),
        "how": "joint",
        "disagreement_mm": 3.5,
        "refined": "yes",
        "mask": "fitted",
        "related": (3, 5),
        "label": "segment VI, upper",
        "note": "",
    }
    return LesionRow(**fields | changes)


def test_rows_of_lesions_come_back_as_they_were(tmp_path):
    rows = [lesion_row(), lesion_row(lesion=3, related=(), date=None)]
    write_lesions(rows, tmp_path / "lesions.csv")
    assert read_lesions(tmp_path / "lesions.csv") == rows


def test_what_is_unknown_is_empty_in_the_table_and_nan_when_read(tmp_path):
    path = tmp_path / "lesions.csv"
    write_lesions([lesion_row(point_mm=NOWHERE, radius_mm=math.nan, probability=math.nan, related=())], path)
    assert path.read_text(encoding="utf-8").splitlines()[1] == (
        '2,v1,2026-03-31,merged,,,,,,joint,3.5,yes,fitted,,"segment VI, upper",'
    )
    (row,) = read_lesions(path)
    assert all(map(math.isnan, (*row.point_mm, row.radius_mm, row.probability)))


def test_one_lesion_stands_at_a_visit_once(tmp_path):
    write_lesions([lesion_row(), lesion_row()], tmp_path / "lesions.csv")
    with pytest.raises(InputFileError, match="line 3: lesion 2, visit 'v1' repeats line 2"):
        read_lesions(tmp_path / "lesions.csv")


def test_an_unknown_state_is_refused_with_its_line(tmp_path):
    write_lesions([lesion_row(state="vanished")], tmp_path / "lesions.csv")
    with pytest.raises(
        InputFileError, match=r"line 2, state: expected one of given, present, .* got 'vanished'"
    ):
        read_lesions(tmp_path / "lesions.csv")


def test_measurements_come_back_with_their_end_points(tmp_path):
    row = MeasurementRow(
        1, "v0", 4.2, 20.0, 12.0, (0.0, 0, 0), (20.0, 0, 0), (8.0, -6, 0), (8.0, 6, 0), 55.0, 9.5
    )
    in_parts = replace(row, visit="v1", part_long_axes_mm=(20.0, 13.5), part_short_axes_mm=(12.0, 9.0))
    write_measurements([row, in_parts], tmp_path / "measurements.csv")
    assert read_measurements(tmp_path / "measurements.csv") == [row, in_parts]


def test_decisions_are_added_below_those_that_stand_there(tmp_path):
    path = FollowFolder(tmp_path).decisions
    assert read_decisions(path) == []
    time = datetime.datetime(2026, 4, 1, 9, 30, tzinfo=datetime.UTC)
    rows = [
        DecisionRow(time, "A. Reader", 1, "v1", "accept", (1.0, 2.0, 3.0)),
        DecisionRow(time, "A. Reader", 2, "v1", "move", (4.0, 5.0, 6.5)),
    ]
    append_decision(rows[0], path)
    first = path.read_bytes()
    append_decision(rows[1], path)
    assert path.read_bytes().startswith(first)
    assert read_decisions(path) == rows


def test_the_record_comes_back_as_it_was(tmp_path):
    affine = ((-2.0, 0.0, 0.0, 90.0), (0.0, -2.0, 0.0, 80.0), (0.0, 0.0, 5.0, -60.0), (0.0, 0.0, 0.0, 1.0))
    visits = (
        Visit("v0", DAY, Path("a.nii.gz"), "0" * 64, (50, 40, 30), affine, "ct"),
        Visit("v1", None, Path("b.nii.gz"), "1" * 64, (50, 40, 30), affine, "ct"),
    )
    record = FollowRecord("P7", visits, "2" * 64, {"review_mm": 15.0})
    path = FollowFolder(tmp_path).record
    write_record(record, path)
    assert read_record(path) == record
    assert record.visit("v1").scan == Path("b.nii.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "was written by another version of `follow`"),
        ("{", "is not JSON in UTF-8"),
        (
            '{"format": "anatomical-embedding follow", "version": 1}',
            "is damaged .*visits.*; run `follow` again",
        ),
    ],
)
def test_another_file_is_no_record(tmp_path, text, message):
    path = tmp_path / "follow.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_record(path)


def test_a_corrected_mask_takes_the_place_of_the_other(tmp_path):
    folder = FollowFolder(tmp_path)
    assert folder.mask_in_use("v1") is None
    for place in (folder.mask("v1"), folder.corrected("v1")):
        place.parent.mkdir()
        place.touch()
        assert folder.mask_in_use("v1") == place
