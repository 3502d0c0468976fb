"""Which queries are asked, and how strictly their files are read."""

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.landmarks.queries import landmarks_in_view, make_queries, select_pairs
from anatomical_embedding.evaluation.landmarks.tables import (
    QUESTION_COLUMNS,
    TRUTH_COLUMNS,
    read_matches,
    read_queries,
    read_questions,
    write_table,
)
from anatomical_embedding.settings.evaluation import MakeQueriesSettings, PairSelectionSettings
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine

ALL_PAIRS = MakeQueriesSettings(
    split="test", pairs=PairSelectionSettings(num_pairs=None, seed=0), with_cuts=False
)


def all_ct(volume_ids):
    return dict.fromkeys(volume_ids, "ct")


LANDMARKS = pd.DataFrame(
    [
        ("a", "heart", 1.0, 2.0, 3.0),
        ("a", "liver", 4.0, 5.0, 6.0),
        ("b", "heart", 10.0, 20.0, 30.0),
        ("c", "liver", 40.0, 50.0, 60.0),
        ("other", "heart", 0.0, 0.0, 0.0),
    ],
    columns=["volume_id", "landmark", "x_mm", "y_mm", "z_mm"],
)


def test_queries_by_hand():
    queries = make_queries(all_ct("cab"), LANDMARKS, ALL_PAIRS)
    assert queries.columns.tolist() == [*QUESTION_COLUMNS, *TRUTH_COLUMNS]
    assert queries.to_numpy().tolist() == [
        ["a/b/heart", "a", "b", "heart", 1.0, 2.0, 3.0, 10.0, 20.0, 30.0],
        ["a/c/liver", "a", "c", "liver", 4.0, 5.0, 6.0, 40.0, 50.0, 60.0],
        ["b/a/heart", "b", "a", "heart", 10.0, 20.0, 30.0, 1.0, 2.0, 3.0],
        ["c/a/liver", "c", "a", "liver", 40.0, 50.0, 60.0, 4.0, 5.0, 6.0],
    ]


def test_queries_do_not_depend_on_the_order_of_rows():
    shuffled = LANDMARKS.sample(frac=1.0, random_state=3)
    pd.testing.assert_frame_equal(
        make_queries(all_ct("bca"), shuffled, ALL_PAIRS),
        make_queries(all_ct("abc"), LANDMARKS, ALL_PAIRS),
    )


def test_only_some_landmarks_are_asked():
    asked = ALL_PAIRS.model_copy(update={"landmarks": ("liver",)})
    assert make_queries(all_ct("abc"), LANDMARKS, asked)["query_id"].tolist() == ["a/c/liver", "c/a/liver"]
    unknown = ALL_PAIRS.model_copy(update={"landmarks": ("liver", "lever")})
    with pytest.raises(UserError, match="landmarks: 'lever' is in no volume; expected one of heart, liver"):
        make_queries(all_ct("abc"), LANDMARKS, unknown)


def test_no_shared_landmark_is_an_error():
    with pytest.raises(UserError, match="no two volumes share a landmark"):
        make_queries(all_ct("bc"), LANDMARKS, ALL_PAIRS)


def test_a_patient_set_aside_alone_is_asked_nothing():
    alone = ALL_PAIRS.model_copy(update={"may_be_empty": True})
    assert make_queries(all_ct("a"), LANDMARKS, alone).empty


def test_sampled_pairs_are_seeded_different_and_sorted():
    ids = [f"v{number}" for number in range(8)]
    pairs = select_pairs(all_ct(ids), PairSelectionSettings(num_pairs=16, seed=4))
    assert pairs == select_pairs(all_ct(ids[::-1]), PairSelectionSettings(num_pairs=16, seed=4))
    assert pairs != select_pairs(all_ct(ids), PairSelectionSettings(num_pairs=16, seed=5))
    assert pairs == sorted(set(pairs))
    assert len(pairs) == 16
    assert all(template != target for template, target in pairs)


def test_one_template_is_asked_in_every_other_volume():
    settings = PairSelectionSettings(num_pairs=None, seed=0, template="b")
    assert select_pairs(all_ct("cab"), settings) == [("b", "a"), ("b", "c")]
    with pytest.raises(UserError, match="no volume 'b' with landmarks in the split; expected one of a, c"):
        select_pairs(["a", "c"], settings)


def test_a_sample_larger_than_the_pairs_takes_all():
    assert len(select_pairs(all_ct("abc"), PairSelectionSettings(num_pairs=100, seed=0))) == 6


def test_landmarks_outside_the_grid_are_left_out():
    volume = Volume(np.zeros((10, 10, 10), np.int16), lps_affine(spacing_mm=(2, 2, 2)))
    points_vox = np.array([[0, 0, 0], [-0.4, 9.4, 5], [-0.6, 5, 5], [5, 5, 9.6]])
    landmarks = pd.DataFrame(volume.world_from_voxel(points_vox), columns=["x_mm", "y_mm", "z_mm"])
    landmarks["volume_id"] = "a"
    landmarks["landmark"] = ["corner", "in", "left", "top"]
    assert landmarks_in_view(landmarks, {"a": volume})["landmark"].tolist() == ["corner", "in"]
    assert landmarks_in_view(landmarks, {}).empty


def test_tables_survive_writing_and_names_stay_text(tmp_path):
    queries = make_queries(all_ct("abc"), LANDMARKS, ALL_PAIRS)
    queries.loc[0, "landmark"] = 'NA, "left"'
    queries.loc[1, "template_id"] = "007"
    write_table(queries, tmp_path / "queries.csv")
    pd.testing.assert_frame_equal(read_queries(tmp_path / "queries.csv"), queries)


def test_questions_do_not_hold_the_truth(tmp_path):
    write_table(make_queries(all_ct("ab"), LANDMARKS, ALL_PAIRS), tmp_path / "queries.csv")
    assert read_questions(tmp_path / "queries.csv").columns.tolist() == list(QUESTION_COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: is empty"),
        ("query_id,method\n", "line 1: expected the columns .*; missing: x_mm,"),
        ("{header}\nq,m,1,2,abc,0.5,found,\n", "line 2, z_mm: expected a number, or nothing, got 'abc'"),
        ("{header}\nq,m,1,2,3,0.5,found,\nr,m,1,,3,0.5,found,\n", "line 3, y_mm: expected a finite number"),
        ("{header}\nq,m,1,2,3,0.5,lost,\n", "line 2, status: expected one of found, failed, got 'lost'"),
        ("{header}\nq,m,1,2,3,0.5,found,\nr,n,1,2,3,0.5,found,\n", r"several methods \(m, n\)"),
    ],
)
def test_bad_matches_are_refused(tmp_path, text, message):
    path = tmp_path / "matches.csv"
    path.write_text(
        text.replace("{header}", "query_id,method,x_mm,y_mm,z_mm,similarity,status,reason"), encoding="utf-8"
    )
    with pytest.raises(InputFileError, match=message) as caught:
        read_matches(path)
    assert str(path) in str(caught.value)


def test_a_repeated_query_is_refused(tmp_path):
    queries = make_queries(all_ct("ab"), LANDMARKS, ALL_PAIRS)
    write_table(pd.concat([queries, queries]), tmp_path / "queries.csv")
    with pytest.raises(InputFileError, match="line 4: query_id 'a/b/heart' repeats line 2"):
        read_queries(tmp_path / "queries.csv")


def test_pairs_across_modalities_ask_one_way():
    modality_of = {"a_ct": "ct", "a_mr": "mr", "b_ct": "ct", "b_mr": "mr"}
    across = PairSelectionSettings(num_pairs=None, seed=0, template_modality="ct", target_modality="mr")
    assert select_pairs(modality_of, across) == [
        ("a_ct", "a_mr"),
        ("a_ct", "b_mr"),
        ("b_ct", "a_mr"),
        ("b_ct", "b_mr"),
    ]
