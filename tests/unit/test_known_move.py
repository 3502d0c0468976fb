"""Scans moved by a known rigid map: what moves, by how much, and that the landmarks move with it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from anatomical_embedding.datasets.known_move import box_points, draw_move, move_volume, read_move
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.landmark_file import read_landmarks
from anatomical_embedding.settings.dataset import KnownMoveSettings
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine
from workflow_scripts import locate_landmarks
from workflow_scripts import move_volume as stage

AFFINE = lps_affine(spacing_mm=(2.0, 2.0, 4.0), origin_mm=(50.0, 60.0, -70.0))
SHAPE = (30, 28, 16)


def settings(**changes):
    values = {"seed": 1, "max_rotation_degrees": 10.0, "max_translation_mm": 20.0, "regions": "regions"}
    return KnownMoveSettings.model_validate(values | changes)


def blob(centre_mm):
    """Return a volume that is bright round a world point."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij"), axis=-1)
    distance = np.linalg.norm(transform_points(AFFINE, voxels.reshape(-1, 3)) - centre_mm, axis=1)
    return Volume((1000 * np.exp(-((distance / 8.0) ** 2))).reshape(SHAPE).astype(np.float32), AFFINE)


@given(st.text("abc0123_", min_size=1, max_size=8), st.integers(0, 100))
def test_moves_are_rigid_and_within_their_limits(volume_id, seed):
    volume = Volume(np.zeros(SHAPE, np.float32), AFFINE)
    matrix = draw_move(volume, volume_id, settings=settings(seed=seed))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
    assert np.rad2deg(Rotation.from_matrix(matrix[:3, :3]).magnitude()) <= 10.0 + 1e-9
    middle = volume.world_from_voxel((np.array([SHAPE]) - 1) / 2.0)
    assert np.linalg.norm(transform_points(matrix, middle) - middle) <= 20.0 + 1e-9
    np.testing.assert_array_equal(matrix, draw_move(volume, volume_id, settings=settings(seed=seed)))


def test_moves_differ_between_volumes_and_seeds():
    volume = Volume(np.zeros(SHAPE, np.float32), AFFINE)
    moves = [
        draw_move(volume, name, settings=settings(seed=seed)) for name, seed in (("a", 1), ("b", 1), ("a", 2))
    ]
    assert not np.allclose(moves[0], moves[1])
    assert not np.allclose(moves[0], moves[2])


def test_a_moved_volume_shows_its_content_where_the_map_takes_it():
    centre = transform_points(AFFINE, [[12.0, 16.0, 9.0]])[0]
    volume = blob(centre)
    matrix = draw_move(volume, "a", settings=settings(max_rotation_degrees=90.0))
    moved = move_volume(volume, matrix)
    weights = np.where(moved.array > 200, moved.array, 0.0)
    index = np.stack([(weights * axis).sum() / weights.sum() for axis in np.indices(moved.shape)])
    np.testing.assert_allclose(
        moved.world_from_voxel(index[None])[0], transform_points(matrix, centre[None])[0], atol=0.3
    )
    np.testing.assert_allclose(moved.spacing_mm, volume.spacing_mm)
    assert moved.array.max() > 900


def test_box_points_are_corners_and_middles():
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:9, 6:9, 2:5] = 1
    points = box_points(Volume(mask, np.eye(4)))
    assert points.shape == (27, 3)
    assert points.min(axis=0).tolist() == [4, 6, 2]
    assert points.max(axis=0).tolist() == [8, 8, 4]
    assert [6.0, 7.0, 3.0] in points.tolist()


def test_landmarks_of_a_pair_are_moved_with_its_mr(tmp_path):
    root, regions, made = (tmp_path / name for name in ("root", "regions", "made"))
    centre = transform_points(AFFINE, [[12.0, 16.0, 9.0]])[0]
    for name in ("p_0000", "p_0001"):
        write_volume(blob(centre), root / f"{name}.nii.gz")
    write_volume(Volume((blob(centre).array > 500).astype(np.uint8), AFFINE), regions / "p_0000.nii.gz")
    moves = settings(regions=str(regions)).model_dump(mode="json")
    stage.main(
        [
            *("--settings", json.dumps(moves), "--image", str(root / "p_0001.nii.gz"), "--name", "p_0001"),
            *("--output-image", str(made / "p_0001.nii.gz"), "--output-move", str(made / "p_0001.json")),
        ]
    )
    dataset = {
        "kind": "ct_mr_pairs",
        "root": str(root),
        "known_move": moves,
        "split": {"num_test": 1, "num_validation": 0, "seed": 1},
    }
    locate_landmarks.main(
        [
            *("--settings", json.dumps({"dataset": dataset}), "--made-folder", str(made)),
            *("--output-landmarks", str(tmp_path / "l.csv"), "--output-status", str(tmp_path / "s.csv")),
        ]
    )
    places = {
        (row.volume_id, row.landmark): (row.x_mm, row.y_mm, row.z_mm)
        for row in read_landmarks(tmp_path / "l.csv")
    }
    assert len(places) == 54
    matrix = read_move(made / "p_0001.json")
    for number in range(27):
        ct, mr = (np.array(places[name, f"box_{number:02d}"]) for name in ("p_0000", "p_0001"))
        np.testing.assert_allclose(transform_points(matrix, ct[None])[0], mr, atol=1e-3)
    moved = read_volume(made / "p_0001.nii.gz")
    brightest = moved.world_from_voxel(np.array([np.unravel_index(moved.array.argmax(), moved.shape)]))[0]
    np.testing.assert_allclose(brightest, transform_points(matrix, centre[None])[0], atol=4.0)


def test_other_files_hold_no_move(tmp_path):
    path = tmp_path / "move.json"
    path.write_text('{"moved_from_shared_world": [1]}', encoding="utf-8")
    with pytest.raises(InputFileError, match=r"move\.json: does not describe the move of a scan"):
        read_move(path)


def test_wrong_moves_are_refused():
    with pytest.raises(ValidationError, match="max_rotation_degrees"):
        settings(max_rotation_degrees=200)
