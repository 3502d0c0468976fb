"""What a reader decided, as far as places and sizes depend on it."""

import datetime
import math

import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.decisions import moved_places, rejected_lesions
from anatomical_embedding.follow.record_tables import append_decision
from anatomical_embedding.follow.records import DecisionRow

TIME = datetime.datetime(2026, 3, 31, 9, 30, tzinfo=datetime.UTC)
NOWHERE = (math.nan,) * 3


@pytest.fixture
def decisions(tmp_path):
    """Return a table in which lesion 1 is moved twice and accepted, 2 moved and rejected, 3 rejected and accepted."""
    path = tmp_path / "decisions.csv"
    for lesion, visit, action, point_mm in [
        (1, "b", "move", (1.0, 2.0, 3.0)),
        (2, "b", "move", (4.0, 5.0, 6.0)),
        (1, "b", "move", (7.0, 8.0, 9.0)),
        (3, "b", "reject", NOWHERE),
        (2, "b", "reject", NOWHERE),
        (1, "b", "accept", (7.0, 8.0, 9.0)),
        (3, "b", "accept", NOWHERE),
        (4, "c", "move", (0.0, 0.0, 0.0)),
    ]:
        append_decision(DecisionRow(TIME, "reader", lesion, visit, action, point_mm), path)
    return path


def test_the_last_move_counts_until_it_is_rejected(decisions):
    assert moved_places(decisions, "b") == {1: (7.0, 8.0, 9.0)}
    assert moved_places(decisions, "c") == {4: (0.0, 0.0, 0.0)}


def test_an_answer_is_rejected_by_the_last_word_on_it(decisions):
    assert rejected_lesions(decisions, "b") == {2}
    assert rejected_lesions(decisions, "c") == set()


def test_without_a_table_nothing_is_decided(tmp_path):
    assert moved_places(tmp_path / "decisions.csv", "b") == {}


@pytest.mark.parametrize("place", [",,", "1,,3", "inf,2,3"])
def test_a_move_without_a_place_is_named(decisions, place):
    with decisions.open("a", encoding="utf-8") as stream:
        stream.write(f"2026-03-31T09:30:00+00:00,reader,1,b,move,{place}\n")
    with pytest.raises(
        InputFileError, match="line 10: moves a lesion to no place; give its x_mm, y_mm, z_mm"
    ):
        moved_places(decisions, "b")


def test_a_damaged_line_is_named(decisions):
    with decisions.open("a", encoding="utf-8") as stream:
        stream.write("yesterday,reader,1,b,move,1,2,3\n")
    with pytest.raises(InputFileError, match="line 10"):
        moved_places(decisions, "b")
