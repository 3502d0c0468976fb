"""A start that correspondences agree on, or a plain one with the reason why not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.correspondences import (
    Correspondences,
    read_correspondences,
    write_correspondences,
)
from anatomical_embedding.registration.guided_start import (
    body_boxes_centred,
    find_start,
    read_start,
    write_start,
)
from anatomical_embedding.registration.itk_transform import affine_transform, write_transform
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine
from tests.unit.test_image_evidence import image_settings, tissue
from tests.unit.test_robust_fit import fit_settings


def body(*, origin_mm=(0.0, 0.0, 0.0)):
    mask = np.zeros((30, 20, 40), dtype=np.uint8)
    mask[4:26, 3:17, 5:35] = 1
    return Volume(mask, lps_affine(origin_mm=origin_mm))


BODIES = {"fixed_body": body(), "moving_body": body(origin_mm=(30.0, -8.0, 100.0))}
MOVE = np.eye(4)
MOVE[:3, :3] = Rotation.from_euler("xyz", [5, -8, 10], degrees=True).as_matrix()
MOVE[:3, 3] = (40, -20, 15)


def matched(matrix=MOVE, *, num_points=60, spread=(100.0, 60.0, 100.0), num_false=0):
    generator = np.random.default_rng(0)
    fixed = generator.uniform(-1, 1, (num_points, 3)) * spread
    moving = transform_points(matrix, fixed)
    moving[:num_false] += 500.0 * generator.uniform(0.5, 1.0, (num_false, 3))
    ones = np.ones(num_points)
    return Correspondences(fixed, moving, 0.9 * ones, 2.0 * ones, ones > 0)


def test_agreeing_correspondences_give_the_map():
    start = find_start(matched(num_false=12), **BODIES, settings=fit_settings())
    assert (start.status, start.reason) == ("found", "")
    np.testing.assert_allclose(start.matrix, MOVE, atol=1e-6)
    assert (start.num_queries, start.num_kept, start.num_inliers) == (60, 60, 48)
    assert start.confidence == start.evidence == pytest.approx(0.8)
    assert start.median_residual_mm < 1e-6


def test_a_body_of_another_size_is_found_where_any_map_may_be_chosen():
    longer = MOVE @ np.diag([1.0, 1.0, 1.25, 1.0])
    found = matched(longer, num_points=400, spread=(60.0, 60.0, 200.0), num_false=200)
    rigid = find_start(found, **BODIES, settings=fit_settings(min_inlier_fraction=0.45))
    assert (rigid.status, "of the correspondences agree" in rigid.reason) == ("failed", True)
    start = find_start(found, **BODIES, settings=fit_settings(kind="auto", min_inlier_fraction=0.45))
    assert start.status == "found"
    np.testing.assert_allclose(start.matrix, longer, atol=1e-6)


def test_agreeing_correspondences_must_be_alike():
    """48 of 60 agree, 30 of them are less alike than is asked for; the others do not count."""
    found = matched(num_false=12)
    similarity = np.where(np.arange(60) < 42, 0.7, 0.9)
    similarity[:12] = 0.95  # of those that do not agree

    def start(least, alike=similarity):
        settings = fit_settings(min_agreeing_similarity=least)
        return find_start(replace(found, similarity=alike), **BODIES, settings=settings)

    failed = start(0.75)
    assert (failed.status, failed.evidence) == ("failed", 0.0)
    assert failed.reason == (
        "half of the agreeing correspondences are less similar than 0.70, expected 0.75 or more"
    )
    assert start(0.65).status == start(None).status == "found"
    assert start(0.75, np.where(np.arange(60) < 30, 0.7, 0.9)).status == "found"


def half_kept():
    found = matched()
    return replace(found, is_kept=np.arange(60) < 5)


@pytest.mark.parametrize(
    ("found", "changes", "reason"),
    [
        (half_kept(), {}, "5 correspondences, expected 8 or more"),
        (
            matched(num_false=50),
            {"min_inlier_fraction": 0.3},
            "17% of the correspondences agree, expected 30%",
        ),
        (matched(num_false=55), {}, "agreeing: "),
        (matched(spread=(100.0, 1.0, 1.0)), {}, "lie on one line"),
        (matched(spread=(100.0, 100.0, 1.0)), {"kind": "affine"}, "lie on one plane"),
        (matched(), {"max_rotation_degrees": 10.0}, "the map rotates by 14 degrees, expected 10 at most"),
        (matched(np.diag([1.4, 1.4, 1.4, 1.0])), {"kind": "similarity"}, "the map scales by 1.40 to 1.40"),
        (matched(np.diag([-1.0, 1.0, 1.0, 1.0])), {"kind": "affine"}, "the map scales by"),
    ],
    ids=["too few", "small share", "no agreement", "line", "plane", "rotation", "scale", "mirror"],
)
def test_what_is_not_believed_falls_back_and_says_why(found, changes, reason):
    start = find_start(found, **BODIES, settings=fit_settings(**changes))
    assert start.status == "failed"
    assert reason in start.reason
    assert start.confidence == start.evidence == 0.0
    np.testing.assert_allclose(start.matrix, body_boxes_centred(*BODIES.values()))


def judged_by_images(found, *, moved_mm):
    """Return the start of matches that agree on no shift, of an image and the same one elsewhere."""
    image, mask = tissue()
    place = mask.affine.copy()
    place[0, 3] = moved_mm
    return find_start(
        found,
        fixed_body=mask,
        moving_body=Volume(mask.array, place),
        settings=fit_settings(images=image_settings()),
        images=(image, Volume(image.array, place)),
    )


@pytest.mark.parametrize(
    ("num_false", "moved_mm", "status"), [(42, 0, "found"), (6, 37.5, "failed"), (0, 0, "found")]
)
def test_few_matches_suffice_where_images_agree_and_many_do_not_where_they_do_not(
    num_false, moved_mm, status
):
    start = judged_by_images(matched(np.eye(4), num_false=num_false), moved_mm=moved_mm)
    assert start.status == status
    assert start.num_inliers == 60 - num_false
    assert (start.evidence > start.confidence) == (status == "found")
    if status == "failed":
        assert start.reason.startswith("90% of the correspondences agree, the images by ")
        assert "if shifted by 25 mm: evidence " in start.reason


def test_images_that_are_asked_must_be_there():
    with pytest.raises(ValueError, match="the settings ask the images"):
        find_start(matched(), **BODIES, settings=fit_settings(images=image_settings()))


def test_body_boxes_are_centred_on_one_another():
    matrix = body_boxes_centred(**BODIES)
    np.testing.assert_allclose(matrix[:3, 3], (30.0, -8.0, 100.0))
    np.testing.assert_allclose(matrix[:3, :3], np.eye(3))


def test_a_start_is_read_as_it_was_written(tmp_path):
    start = find_start(matched(num_false=12), **BODIES, settings=fit_settings())
    write_start(start, tmp_path / "start.json")
    again = read_start(tmp_path / "start.json")
    np.testing.assert_array_equal(again.matrix, start.matrix)
    assert replace(again, matrix=None) == replace(start, matrix=None)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "no JSON", json.dumps({"matrix": [1, 2], "status": "found"})]
)
def test_other_files_are_no_starts(tmp_path, content):
    path = tmp_path / "start.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=r"start\.json: is not the start of a registration"):
        read_start(path)


def test_the_itk_transform_moves_points_as_the_matrix_does(tmp_path):
    write_transform(affine_transform(MOVE), tmp_path / "start.tfm")
    transform = SimpleITK.ReadTransform(str(tmp_path / "start.tfm"))
    for point in np.random.default_rng(1).uniform(-200, 200, (20, 3)):
        expected = transform_points(MOVE, point[None])[0]
        found = np.array(transform.TransformPoint((point * [-1, -1, 1]).tolist())) * [-1, -1, 1]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_correspondences_are_read_as_they_were_written(tmp_path):
    found = half_kept()
    write_correspondences(found, tmp_path / "found.csv")
    again = read_correspondences(tmp_path / "found.csv")
    np.testing.assert_allclose(again.fixed_mm, found.fixed_mm, atol=1e-4)
    np.testing.assert_allclose(again.moving_mm, found.moving_mm, atol=1e-4)
    np.testing.assert_array_equal(again.is_kept, found.is_kept)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: is empty"),
        ("a,b\n1,2\n", "line 1: expected the columns fixed_x_mm,"),
        ("{header}\n1,2,3,4,5,6,x,1,1\n", "line 2, similarity: expected a finite number, got 'x'"),
        ("{header}\n1,2,3,4,5,6,nan,1,1\n", "line 2, similarity: expected a finite number, got 'nan'"),
    ],
)
def test_other_tables_are_no_correspondences(tmp_path, content, message):
    path = tmp_path / "found.csv"
    write_correspondences(matched(), path)
    path.write_text(
        content.replace("{header}", path.read_text(encoding="utf-8").splitlines()[0]), encoding="utf-8"
    )
    with pytest.raises(InputFileError, match=message):
        read_correspondences(path)
