"""The box baselines against hand calculation, and their freedom from where the patient lies in the world."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anatomical_embedding.evaluation.baselines.answers import (
    PreparedScan,
    answer_queries,
    baseline_matcher,
)
from anatomical_embedding.evaluation.baselines.body_box import (
    BodyBox,
    EmptyBodyMaskError,
    body_affine,
    same_coordinate,
)
from anatomical_embedding.settings.evaluation import BaselineSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine


def mask_with_box(shape, lower, upper, affine):
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))] = 1
    return Volume(array, affine)


TEMPLATE = mask_with_box((20, 20, 20), (2, 2, 2), (12, 12, 12), lps_affine(spacing_mm=(2, 2, 4)))
TARGET = mask_with_box((40, 30, 20), (10, 0, 4), (30, 20, 14), lps_affine(spacing_mm=(2, 2, 4)))


def test_body_box_runs_along_the_outer_faces():
    box = BodyBox.of(TEMPLATE)
    assert box.lower_vox.tolist() == [1.5, 1.5, 1.5]
    assert box.upper_vox.tolist() == [11.5, 11.5, 11.5]


def test_body_box_of_an_empty_mask():
    with pytest.raises(EmptyBodyMaskError, match="empty"):
        BodyBox.of(Volume(np.zeros((3, 3, 3), np.uint8), np.eye(4)))


def test_same_coordinate_by_hand():
    # box centres: template voxel 6.5; target voxels 19.5, 9.5, 8.5; the query is 2, 1, -3 voxels off
    query_mm = TEMPLATE.world_from_voxel([[8.5, 7.5, 3.5]])
    answer = same_coordinate(query_mm, BodyBox.of(TEMPLATE), BodyBox.of(TARGET))
    np.testing.assert_allclose(TARGET.voxel_from_world(answer), [[21.5, 10.5, 5.5]])


def test_same_coordinate_keeps_millimetres_between_spacings():
    fine = mask_with_box((40, 40, 40), (0, 0, 0), (40, 40, 40), lps_affine(spacing_mm=(1, 1, 1)))
    answer = same_coordinate(
        TEMPLATE.world_from_voxel([[7.5, 6.5, 4.5]]), BodyBox.of(TEMPLATE), BodyBox.of(fine)
    )
    # 1 voxel of 2 mm along x, -2 voxels of 4 mm along z
    np.testing.assert_allclose(fine.voxel_from_world(answer), [[21.5, 19.5, 11.5]])


def test_body_affine_by_hand():
    # a tenth, a half and nine tenths of the box
    query_mm = TEMPLATE.world_from_voxel([[2.5, 6.5, 10.5]])
    answer = body_affine(query_mm, BodyBox.of(TEMPLATE), BodyBox.of(TARGET))
    np.testing.assert_allclose(TARGET.voxel_from_world(answer), [[11.5, 9.5, 12.5]])


def test_answers_stay_on_the_grid():
    query_mm = TEMPLATE.world_from_voxel([[19.0, 19.0, 19.0], [-9.0, -9.0, -9.0]])
    answers = same_coordinate(query_mm, BodyBox.of(TEMPLATE), BodyBox.of(TARGET))
    np.testing.assert_allclose(
        TARGET.voxel_from_world(answers), [[32.0, 22.0, 19.0], [4.0, 0.0, 0.0]], atol=1e-9
    )


@given(st.integers(0, 2**31), st.sampled_from([same_coordinate, body_affine]))
def test_answers_move_with_the_volumes(seed, place):
    generator = np.random.default_rng(seed)
    moves = []
    for _ in range(2):
        move = np.eye(4)
        move[:3, :3] = Rotation.random(random_state=generator.integers(2**31)).as_matrix()
        move[:3, 3] = generator.uniform(-300, 300, size=3)
        moves.append(move)
    queries_mm = TEMPLATE.world_from_voxel(generator.uniform(2, 12, size=(5, 3)))
    moved_template = Volume(TEMPLATE.array, moves[0] @ TEMPLATE.affine)
    moved_target = Volume(TARGET.array, moves[1] @ TARGET.affine)
    answers = place(queries_mm, BodyBox.of(TEMPLATE), BodyBox.of(TARGET))
    moved = place(
        transform_points(moves[0], queries_mm), BodyBox.of(moved_template), BodyBox.of(moved_target)
    )
    np.testing.assert_allclose(moved, transform_points(moves[1], answers), atol=1e-8)


def queries_between(ids):
    return pd.DataFrame(
        [
            (f"{a}/{b}/heart", a, b, "heart", *TEMPLATE.world_from_voxel([4, 5, 6]))
            for a in ids
            for b in ids
            if a != b
        ],
        columns=[
            "query_id",
            "template_id",
            "target_id",
            "landmark",
            "query_x_mm",
            "query_y_mm",
            "query_z_mm",
        ],
    )


@pytest.mark.parametrize("method", ["same_coordinate", "body_affine"])
def test_every_query_gets_a_row_and_an_empty_mask_fails_with_a_reason(method):
    empty = Volume(np.zeros((20, 20, 20), np.uint8), TEMPLATE.affine)
    masks = {"a": TEMPLATE, "b": TARGET, "c": empty}
    matcher = baseline_matcher(
        BaselineSettings(method=method, ncc=None),
        lambda volume_id: PreparedScan(masks[volume_id], masks[volume_id]),
    )
    queries = queries_between("abc").sample(frac=1.0, random_state=1, ignore_index=True)
    matches = answer_queries(queries, matcher, method="box")
    assert matches["query_id"].tolist() == queries["query_id"].tolist()
    failed = matches[matches["status"] == "failed"]
    assert set(failed["query_id"]) == {f"{a}/{b}/heart" for a, b in ("ac", "ca", "bc", "cb")}
    assert failed["reason"].str.contains("body mask is empty in volume 'c'").all()
    assert failed[["x_mm", "y_mm", "z_mm"]].isna().all(axis=None)
    assert matches.loc[matches["status"] == "found", "similarity"].isna().all()
