"""Scores against hand calculation; rows in any order, volumes anywhere in the world."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.landmarks.organ_hits import OrganHits
from anatomical_embedding.evaluation.landmarks.scores import (
    ScoreEntry,
    errors_of_matches,
    landmark_table,
    score_errors,
)
from anatomical_embedding.evaluation.landmarks.tables import (
    MATCH_COLUMNS,
    QUESTION_COLUMNS,
    TRUTH_COLUMNS,
    read_errors,
    write_table,
)
from anatomical_embedding.settings.evaluation import BootstrapSettings
from anatomical_embedding.volumes.affine import transform_points

BOOTSTRAP = BootstrapSettings(num_resamples=200, seed=0, confidence_level=0.95)
TRUTH = list(TRUTH_COLUMNS)
ANSWER = ["x_mm", "y_mm", "z_mm"]
SUBJECTS = {name: f"patient_{name}" for name in "abcd"}


def example(num_points=2, seed=0):
    generator = np.random.default_rng(seed)
    rows = [
        (f"{a}/{b}/p{k}", a, b, f"p{k}", *generator.uniform(-100, 100, 6))
        for a in "abcd"
        for b in "abcd"
        if a != b
        for k in range(num_points)
    ]
    queries = pd.DataFrame(rows, columns=[*QUESTION_COLUMNS, *TRUTH_COLUMNS])
    matches = pd.DataFrame(
        {"query_id": queries["query_id"], "method": "nearest"}, columns=list(MATCH_COLUMNS)
    )
    matches[ANSWER] = queries[TRUTH].to_numpy() + generator.normal(0, 8, (len(queries), 3))
    matches["similarity"] = 0.5
    matches["status"] = "found"
    matches["reason"] = ""
    return queries, matches


def fail(matches, rows):
    matches = matches.copy()
    matches.loc[rows, "status"] = "failed"
    matches.loc[rows, "reason"] = "no place found"
    matches.loc[rows, [*ANSWER, "similarity"]] = np.nan
    return matches


def score(queries, matches, **labels):
    return score_errors(
        errors_of_matches(queries, matches, matches_path="matches.csv"),
        subject_of_volume=SUBJECTS,
        settings=BOOTSTRAP,
        **{
            "model": "sam",
            "dataset": "phantom",
            "protocol": "landmarks",
            "organ_hits": OrganHits(8, 0.75),
            **labels,
        },
    )


def test_errors_by_hand():
    queries, matches = example()
    matches.loc[0, ANSWER] = queries.loc[0, TRUTH].to_numpy(dtype=float) + np.array([2.0, -3.0, 6.0])
    matches = fail(matches, [1])
    errors = errors_of_matches(queries, matches, matches_path="matches.csv")
    assert errors.loc[0, "error_mm"] == pytest.approx(7.0)
    assert errors.loc[0, ["error_x_mm", "error_y_mm", "error_z_mm"]].tolist() == pytest.approx([2, -3, 6])
    assert errors.loc[1, "error_mm"] == np.inf
    assert errors.loc[1, "status"] == "failed"
    assert np.isnan(errors.loc[1, "error_x_mm"])


def test_coordinates_in_a_failed_row_do_not_count():
    queries, matches = example()
    matches.loc[3, "status"] = "failed"
    errors = errors_of_matches(queries, matches, matches_path="matches.csv")
    assert errors.loc[3, "error_mm"] == np.inf


def test_order_of_rows_does_not_matter():
    queries, matches = example()
    matches = fail(matches, [3, 7])
    shuffled = matches.sample(frac=1.0, random_state=0)
    pd.testing.assert_frame_equal(
        errors_of_matches(queries, shuffled, matches_path="m.csv"),
        errors_of_matches(queries, matches, matches_path="m.csv"),
    )
    turned = queries.sample(frac=1.0, random_state=1)
    assert score(turned, shuffled).metrics == pytest.approx(score(queries, matches).metrics)
    assert score(turned, shuffled).intervals == score(queries, matches).intervals


@pytest.mark.slow
@given(st.integers(0, 2**31))
def test_errors_do_not_change_when_the_worlds_move(seed):
    generator = np.random.default_rng(seed)
    queries, matches = example()
    moved_queries, moved_matches = queries.copy(), matches.copy()
    for volume_id in "abcd":
        move = np.eye(4)
        move[:3, :3] = Rotation.random(random_state=generator.integers(2**31)).as_matrix()
        move[:3, 3] = generator.uniform(-500, 500, 3)
        is_target = queries["target_id"] == volume_id
        moved_queries.loc[is_target, TRUTH] = transform_points(move, queries.loc[is_target, TRUTH])
        moved_matches.loc[is_target, ANSWER] = transform_points(move, matches.loc[is_target, ANSWER])
    before = errors_of_matches(queries, matches, matches_path="m.csv")["error_mm"]
    after = errors_of_matches(moved_queries, moved_matches, matches_path="m.csv")["error_mm"]
    np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda matches: matches.iloc[2:], r"'a/b/p0' has no row \(2 such\)"),
        (lambda matches: pd.concat([matches, matches.iloc[:1]]), "'a/b/p0' has more than one row"),
        (lambda matches: matches.replace({"query_id": {"a/b/p0": "x/y/z"}}), "'a/b/p0' has no row"),
    ],
)
def test_every_query_needs_exactly_one_row(change, message):
    queries, matches = example()
    with pytest.raises(InputFileError, match=message):
        errors_of_matches(queries, change(matches), matches_path="matches.csv")


def test_a_match_of_another_evaluation_is_refused():
    queries, matches = example()
    with pytest.raises(InputFileError, match="is in no query"):
        errors_of_matches(queries.iloc[1:], matches, matches_path="matches.csv")


def test_entry_has_exactly_the_promised_keys(tmp_path):
    queries, matches = example()
    entry = score(queries, fail(matches, [0])).as_json()
    assert list(entry) == [
        *("model", "dataset", "protocol", "method", "num_queries", "num_failed", "organ_hits"),
        *("median_mm", "mean_mm", "p90_mm", "hit_10mm", "hit_20mm", "ci95"),
    ]
    assert (entry["method"], entry["num_queries"], entry["num_failed"]) == ("nearest", 24, 1)
    low, high = entry["ci95"]["median_mm"]
    assert low <= entry["median_mm"] <= high
    assert entry["organ_hits"] == {"num_queries": 8, "share": 0.75}
    json.dumps(entry, allow_nan=False)


def test_entry_survives_writing_with_most_queries_failed():
    queries, matches = example()
    entry = score(queries, fail(matches, list(range(20))))
    content = json.loads(json.dumps(entry.as_json(), allow_nan=False))
    assert content["median_mm"] is None
    assert content["mean_mm"] is not None
    assert ScoreEntry.from_json(content, path="scores.json") == entry


def test_foreign_scores_are_refused():
    with pytest.raises(InputFileError, match="has no key 'dataset'"):
        ScoreEntry.from_json({"model": "sam"}, path="scores.json")


def test_a_volume_without_subject_is_refused():
    queries, matches = example()
    errors = errors_of_matches(queries, matches, matches_path="m.csv")
    with pytest.raises(UserError, match="'d' is in none of the index files"):
        score_errors(
            errors,
            subject_of_volume={name: name for name in "abc"},
            model=None,
            dataset="x",
            protocol="y",
            organ_hits=None,
            settings=BOOTSTRAP,
        )


def test_landmark_table_by_hand():
    queries, matches = example()
    matches[ANSWER] = queries[TRUTH].to_numpy()
    matches.loc[matches["query_id"].str.endswith("p1"), "x_mm"] += 15.0
    table = landmark_table(errors_of_matches(queries, fail(matches, [0]), matches_path="m.csv"))
    assert table["landmark"].tolist() == ["p0", "p1"]
    assert table["num_failed"].tolist() == [1, 0]
    assert table["median_mm"].tolist() == pytest.approx([0.0, 15.0])
    assert table["hit_10mm"].tolist() == pytest.approx([11 / 12, 0.0])
    assert table["hit_20mm"].tolist() == pytest.approx([11 / 12, 1.0])
    assert table["num_missing"].tolist() == [0, 0]
    assert table["sd_mm"].tolist() == pytest.approx([0.0, 0.0])
    assert table["max_mm"].tolist() == pytest.approx([np.inf, 15.0])


def test_landmarks_that_a_pair_lacks_are_counted():
    queries, matches = example()
    matches[ANSWER] = queries[TRUTH].to_numpy()
    errors = errors_of_matches(queries, matches, matches_path="m.csv")
    lacking = errors.drop(index=errors.index[errors["landmark"] == "p1"][:3])
    assert landmark_table(lacking)["num_missing"].tolist() == [0, 3]


def test_errors_survive_writing(tmp_path):
    queries, matches = example()
    errors = errors_of_matches(queries, fail(matches, [5]), matches_path="m.csv")
    write_table(errors, tmp_path / "errors.csv")
    assert ",inf" not in (tmp_path / "errors.csv").read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(read_errors(tmp_path / "errors.csv"), errors, atol=1e-6)
