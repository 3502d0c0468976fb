"""Errors of answers split into what belongs to the contours of each patient and a rest."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.evaluation.landmarks.tables import ANSWER, TRUTH_COLUMNS
from benchmarks import contour_limits
from benchmarks.contour_limits import judged, landmark_offsets, report

PATIENTS = ("a", "b", "c", "d")
OFFSETS_MM = np.array(
    [[9.0, 0.0, 0.0], [-3.0, 2.0, 0.0], [-3.0, -2.0, 4.0], [-3.0, 0.0, -4.0]]
)  # their sum is 0


def asked_of(*landmarks):
    """Return a query for every landmark and ordered pair of patients."""
    rows = [(landmark, *pair) for landmark in landmarks for pair in permutations(PATIENTS, 2)]
    return pd.DataFrame(rows, columns=["landmark", "template_id", "target_id"])


def errors_by_offsets(asked):
    """Return the errors of answers that only the contours are to blame for."""
    of = dict(zip(PATIENTS, OFFSETS_MM, strict=True))
    return np.array(
        [of[row.template_id] - of[row.target_id] for row in asked.itertuples()],
    )


def test_offsets_of_patients_are_found_and_explain_their_errors():
    asked = asked_of("top")
    ((landmark, rows, offsets_mm, part_mm),) = landmark_offsets(asked, errors_by_offsets(asked))
    assert landmark == "top" and list(rows) == list(range(12))
    np.testing.assert_allclose(offsets_mm, OFFSETS_MM, atol=1e-9)
    np.testing.assert_allclose(part_mm, errors_by_offsets(asked), atol=1e-9)


def test_an_error_that_is_the_same_both_ways_is_no_offset():
    asked = asked_of("top")
    ((*_, part_mm),) = landmark_offsets(asked, np.full((12, 3), 5.0))
    np.testing.assert_allclose(part_mm, 0.0, atol=1e-9)


def test_a_judge_counts_the_pairs_of_offsets_that_leave_an_answer_near():
    # pairs of offsets are 12 and -12 mm apart: a rest of 4 mm along them makes 16 and 8
    offsets_mm = np.array([[6.0, 0.0, 0.0], [-6.0, 0.0, 0.0]])
    rests_mm = np.array([[4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [12.0, 0.0, 0.0]])
    np.testing.assert_allclose(judged(rests_mm, offsets_mm), [0.5, 0.0, 0.5])


def test_the_report_tells_how_much_of_the_error_are_offsets(capsys):
    asked = asked_of("bottom", "top")
    errors_mm = errors_by_offsets(asked)
    errors_mm[:, 2] += 1.0  # a rest of 1 mm everywhere
    report(asked, errors_mm)
    told = capsys.readouterr().out
    # squared offsets of a landmark: 2 * 4 * (81 + 13 + 29 + 25) = 1184, its rests 12
    share = 1184 / 1196
    assert f"explained by offsets     {share:.2f} of the squared error" in told
    assert "rest                     median 1.0 mm, within 10 mm 1.000" in told


def test_random_errors_are_explained_by_one_part_in_the_number_of_patients():
    generator = np.random.default_rng(0)
    asked = asked_of(*(f"landmark_{number}" for number in range(200)))
    errors_mm = generator.standard_normal((len(asked), 3))
    explained = sum(np.sum(part_mm**2) for *_, part_mm in landmark_offsets(asked, errors_mm))
    assert explained / np.sum(errors_mm**2) == pytest.approx(1 / len(PATIENTS), abs=0.02)


def test_answers_in_cut_targets_and_failed_ones_are_left_out(tmp_path, monkeypatch, capsys):
    asked = asked_of("top")
    asked["query_id"] = [f"query_{row}" for row in range(12)]
    asked[["query_x_mm", "query_y_mm", "query_z_mm", *TRUTH_COLUMNS]] = 0.0
    asked["view_low_mm"], asked["view_high_mm"] = np.nan, [5.0, *[np.nan] * 11]
    found = asked[["query_id"]].assign(method="nearest", similarity=0.5, status="found", reason="")
    found[list(ANSWER)] = errors_by_offsets(asked)
    found.loc[1, ["status", "reason"]] = "failed", "a reason"
    found.loc[1, [*ANSWER, "similarity"]] = np.nan
    tables = [tmp_path / name for name in ("queries.csv", "matches.csv")]
    for table, path in zip((asked, found), tables, strict=True):
        table.to_csv(path, index=False)
    monkeypatch.setattr("sys.argv", ["contour_limits", f"--queries={tables[0]}", f"--matches={tables[1]}"])
    contour_limits.main()
    assert "answers                  10," in capsys.readouterr().out
