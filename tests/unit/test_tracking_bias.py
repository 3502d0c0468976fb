"""Exact embeddings must give answers without systematic offset, whatever the slice thickness."""

import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.datasets.lesion_annotations import LesionPairs
from anatomical_embedding.evaluation.lesions.frames import annotation_affine
from anatomical_embedding.evaluation.lesions.metrics import signed_errors_mm
from anatomical_embedding.matching.nearest import match_nearest
from anatomical_embedding.settings.matching import HeadWeights, MatchingSettings
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from benchmarks.tracking_confidence import answer_errors, mean_and_standard_error
from tests.reference.synthetic_embeddings import synthetic_volume

MATCHING = MatchingSettings(
    head_weights=HeadWeights(fine=1, coarse=1, semantic=1),
    query_interpolation="trilinear",
    search="exact",
    num_candidates=64,
    scan_precision="fp32",
    refinement="parabolic",
    max_memory_mb=256,
    device="cpu",
)
SPACING_MM = 2.0
NUM_LESIONS = 200


def prepared_affine(origin_mm):
    """Return the affine of a prepared volume of 2 mm, array order LPS."""
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = origin_mm
    return affine


def stored_affine(prepared, *, shape, slice_mm):
    """Return affine and shape of a stored scan with the same outer faces as the prepared volume."""
    steps = np.array([-SPACING_MM, -SPACING_MM, slice_mm])
    first_face = transform_points(prepared, np.full((1, 3), -0.5))[0]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = first_face + steps / 2
    num_slices = round(shape[2] * SPACING_MM / slice_mm)
    return affine, (shape[0], shape[1], num_slices)


@pytest.mark.parametrize("slice_mm", [1.0, 2.0, 5.0])
def test_mean_signed_error_is_below_half_a_millimetre(slice_mm):
    shape = (60, 50, 40)
    shift_mm = np.array([37.3, -12.9, 55.1])
    template_affine, target_affine = (
        prepared_affine([50, 40, -30]),
        prepared_affine(np.array([50, 40, -30]) + shift_mm),
    )
    template = synthetic_volume(template_affine, shape, volume_id="template")
    target = synthetic_volume(
        target_affine, shape, volume_id="target", anatomy_of=lambda points: points - shift_mm
    )
    stored, stored_shape = stored_affine(target_affine, shape=shape, slice_mm=slice_mm)
    frame = annotation_affine(stored, shape=stored_shape)
    lesions_vox = np.random.default_rng(5).uniform(8, np.array(shape) - 9, (NUM_LESIONS, 3))
    queries_mm = transform_points(template_affine, lesions_vox)
    found = match_nearest(template, target, queries_mm, settings=MATCHING)
    truth_vox = transform_points(invert_affine(frame), queries_mm + shift_mm)
    errors_mm = signed_errors_mm(
        pairs_at(truth_vox, slice_mm), transform_points(invert_affine(frame), found.points_mm)
    )
    assert np.abs(errors_mm.mean(axis=0)).max() < 0.5
    assert np.linalg.norm(errors_mm, axis=1).mean() < 2.0


def pairs_at(centers_vox, slice_mm):
    """Return annotated pairs whose targets have the given slice thickness."""
    spacing = np.tile([SPACING_MM, SPACING_MM, slice_mm], (len(centers_vox), 1))
    return LesionPairs(
        pair_ids=tuple(f"{number:04d}" for number in range(len(centers_vox))),
        source_files=("000001_01_01.nii.gz",) * len(centers_vox),
        target_files=("000001_02_01.nii.gz",) * len(centers_vox),
        source_center_vox=centers_vox,
        target_center_vox=centers_vox,
        target_box_vox=np.column_stack([centers_vox - 4, np.full((len(centers_vox), 3), 8.0)]),
        source_spacing_mm=spacing,
        target_spacing_mm=spacing,
        target_diameter_vox=np.full((len(centers_vox), 2), 8.0),
    )


def test_answers_of_one_body_tell_no_more_of_a_mean_than_one():
    once = mean_and_standard_error([1.0, 2.0, 6.0], ["a", "b", "c"])
    assert once == pytest.approx((3.0, np.std([1.0, 2.0, 6.0], ddof=1) / np.sqrt(3)))
    assert mean_and_standard_error([1.0, 2.0, 6.0] * 4, ["a", "b", "c"] * 4) == pytest.approx(once)


def test_errors_of_lesions_in_view_point_from_the_truth_to_the_answer(tmp_path):
    truth = {"truth_x_mm": [1.0, 5.0, None], "truth_y_mm": [2.0, 5.0, None], "truth_z_mm": [3.0, 5.0, None]}
    asked = {"query_id": ["0001", "0002", "0003"], "template_id": ["000004_01_01"] * 3}
    found = {"x_mm": [1.5, None, 7.0], "y_mm": [2.0, None, 7.0], "z_mm": [1.0, None, 7.0]}
    (tmp_path / "test").mkdir()
    pd.DataFrame(asked | truth | {"is_in_view": ["true", "true", "false"]}).to_csv(
        tmp_path / "test" / "queries.csv", index=False
    )
    pd.DataFrame({"query_id": asked["query_id"]} | found | {"status": ["found", "failed", "found"]}).to_csv(
        tmp_path / "test" / "matches.csv", index=False
    )
    errors = answer_errors(tmp_path)
    assert errors[["x", "y", "z"]].to_numpy().tolist() == [[0.5, 0.0, -2.0]]
    assert errors["body"].tolist() == ["000004"]
