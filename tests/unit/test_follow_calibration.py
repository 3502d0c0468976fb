"""Probabilities of followed lesions corrected by what readers decided, against odds counted by hand."""

import datetime
import math

import pytest
from click.testing import CliRunner

from anatomical_embedding.cli.follow_report import follow_report
from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.calibration import decided_answers, fit_calibration, read_calibration
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.record_json import write_record
from anatomical_embedding.follow.record_tables import append_decision, write_lesions
from anatomical_embedding.follow.records import DecisionRow, FollowRecord, LesionRow
from anatomical_embedding.follow.states import calibrated
from anatomical_embedding.settings.follow import CalibrationSettings
from tests.followed_patient import write_followed

TIME = datetime.datetime(2026, 3, 31, 9, 30, tzinfo=datetime.UTC)
PLACE = (1.0, 2.0, 3.0)


def write_decided(folder, answers, *, settings=None):
    """Write answers of (probability, how, action) as `follow` and a reader do; no action is no decision."""
    place = FollowFolder(folder)
    write_record(FollowRecord("p", (), "0" * 64, settings or {}), place.record)
    rows = [
        LesionRow(
            number, "v1", None, "present", probability, 6.0, PLACE, how, math.nan, "yes", "none", (), "", ""
        )
        for number, (probability, how, _) in enumerate(answers, start=1)
    ]
    write_lesions(rows, place.lesions)
    for row, (_, _, action) in zip(rows, answers, strict=True):
        if action:
            append_decision(DecisionRow(TIME, "reader", row.lesion, "v1", action, PLACE), place.decisions)
    return folder


def test_accepted_answers_were_right_and_moved_or_rejected_ones_wrong(tmp_path):
    answers = [(0.9, "joint", "accept"), (0.8, "direct", "move"), (0.5, "joint", "reject")]
    left_out = [(0.9, "joint", ""), (1.0, "moved", "move"), (math.nan, "given", "accept")]
    found = decided_answers(write_decided(tmp_path, [*answers, *left_out]))
    assert [is_right for _, is_right in found] == [True, False, False]
    assert [odds for odds, _ in found] == pytest.approx([math.log(9.0), math.log(4.0), 0.0])


def test_a_calibration_that_was_applied_is_taken_out_before_the_next_fit(tmp_path):
    settings = {"calibration": {"slope": 0.5, "offset": 0.25}}
    ((odds, _),) = decided_answers(write_decided(tmp_path, [(0.75, "joint", "accept")], settings=settings))
    assert odds == pytest.approx((math.log(3.0) - 0.25) / 0.5)


def test_many_decisions_correct_a_probability_to_the_share_that_was_right(tmp_path):
    answers = [(0.9, "joint", "accept" if number % 2 else "reject") for number in range(400)]
    found = fit_calibration([write_decided(tmp_path, answers)])
    assert calibrated(0.9, found) == pytest.approx(0.5, abs=0.02)


def test_few_decisions_correct_little_and_none_nothing(tmp_path):
    found = fit_calibration([write_decided(tmp_path / "one", [(0.9, "joint", "accept")])])
    assert 0.9 < calibrated(0.9, found) < 0.95
    with pytest.raises(UserError, match="no answer of these patients is decided"):
        fit_calibration([write_decided(tmp_path / "none", [(0.9, "joint", "")])])


def test_a_report_writes_what_follow_reads(tmp_path):
    place = write_followed(tmp_path / "p1")
    append_decision(DecisionRow(TIME, "reader", 1, "week8", "accept", PLACE), place.decisions)
    refused = CliRunner().invoke(follow_report, [str(place.folder), "--calibration", str(tmp_path)])
    assert f"{tmp_path}: is a folder" in str(refused.exception)
    assert not (place.folder / "report.html").exists()
    file = tmp_path / "calibration.json"
    done = CliRunner().invoke(follow_report, [str(place.folder), "--calibration", str(file)])
    assert done.exit_code == 0, done.output
    assert read_calibration(file) == fit_calibration([place.folder])
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"calibration\.json: expected slope and offset"):
        read_calibration(file)


def test_probabilities_stay_as_they_are_where_nothing_is_corrected():
    nothing = CalibrationSettings(slope=1.0, offset=0.0)
    assert [calibrated(value, nothing) for value in (0.0, 0.3, 1.0)] == pytest.approx([0.0, 0.3, 1.0])
