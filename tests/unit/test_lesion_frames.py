"""The annotation grid in the world: from any stored order, and from a table that is checked."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.lesions.frames import (
    annotation_affine,
    read_annotation_frames,
    voxels_from_world,
    write_frames,
)

SHAPE = (40, 30, 20)


def stored_affine(angles=(0.0, 0.0, 0.0)):
    """Return an RAS+ affine, tilted by small angles in degrees."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag([0.7, 0.8, 5.0])
    affine[:3, 3] = [-12.0, 34.0, 56.0]
    return affine


@given(
    angles=st.tuples(*[st.floats(-20.0, 20.0)] * 3),
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_stored_order_does_not_matter(angles, order, flips):
    """Flipping and permuting the stored axes leaves the annotation grid where it is."""
    affine = stored_affine(angles)
    stored_from_new = np.zeros((4, 4))
    stored_from_new[3, 3] = 1.0
    for new_axis, axis in enumerate(order):
        stored_from_new[axis, new_axis] = -1.0 if flips[axis] else 1.0
        stored_from_new[axis, 3] = SHAPE[axis] - 1.0 if flips[axis] else 0.0
    shape = [SHAPE[axis] for axis in order]
    np.testing.assert_allclose(
        annotation_affine(affine @ stored_from_new, shape=shape),
        annotation_affine(affine, shape=SHAPE),
        atol=1e-9,
    )


def test_annotation_counts_to_the_left_back_and_feet():
    affine = annotation_affine(stored_affine(), shape=SHAPE)
    np.testing.assert_allclose(affine[:3, :3], np.diag([-0.7, -0.8, -5.0]))
    np.testing.assert_allclose(affine[:3, 3], [-12 + 0.7 * 39, 34 + 0.8 * 29, 56 + 5 * 19])


def test_published_slice_reversal():
    """In a volume stored as left, back, head the published rule is z -> N-1-z."""
    stored = np.diag([-0.7, -0.7, 5.0, 1.0])
    reversal = np.linalg.inv(stored) @ annotation_affine(stored, shape=SHAPE)
    np.testing.assert_allclose(reversal @ [3, 4, 2, 1], [3, 4, SHAPE[2] - 1 - 2, 1], atol=1e-12)


def test_table_round_trip_and_points(tmp_path):
    affines = {"b_1.nii.gz": stored_affine((3, 2, 1)), "a_1.nii.gz": stored_affine()}
    write_frames(affines, tmp_path / "frames.csv")
    spacing = np.array([0.7, 0.8, 5.0])
    read = read_annotation_frames(tmp_path / "frames.csv", spacings_mm=dict.fromkeys(affines, spacing))
    for name, affine in affines.items():
        np.testing.assert_array_equal(read[name], affine)
    files = ["a_1.nii.gz", "b_1.nii.gz", "a_1.nii.gz"]
    voxels = np.array([[1.0, 2.0, 3.0], [4.5, 5.0, 6.0], [np.nan] * 3])
    points = [affines[name][:3] @ [*voxel, 1.0] for name, voxel in zip(files, voxels, strict=True)]
    np.testing.assert_allclose(voxels_from_world(points, files, read), voxels, atol=1e-9)


def test_faulty_tables_are_refused(tmp_path):
    path = tmp_path / "frames.csv"
    spacings = {"a_1.nii.gz": np.array([0.7, 0.8, 5.0])}

    def message_of(change):
        write_frames({"a_1.nii.gz": stored_affine()}, path)
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        with pytest.raises(InputFileError) as caught:
            read_annotation_frames(path, spacings_mm=spacings)
        return str(caught.value)

    assert "missing: affine_11," in message_of(lambda text: text.replace("affine_11", "b"))
    assert ": expected a finite number, got 'x'" in message_of(lambda text: text.replace("0.7", "x"))
    assert ": expected a finite number, got 'nan'" in message_of(lambda text: text.replace("0.7", "nan"))
    assert "line 2: the affine of 'a_1.nii.gz' is singular" in message_of(lambda t: t.replace("0.7", "0.0"))
    assert "line 3: volume 'a_1.nii.gz' repeats line 2" in message_of(
        lambda text: text + text.splitlines()[1] + "\n"
    )
    assert "has no row for the volume 'a_1.nii.gz'" in message_of(lambda text: text.replace("a_1", "c_1"))
    assert "spacing [0.71, 0.8, 5.0] mm" in message_of(lambda text: text.replace("0.7,", "0.71,"))


def test_all_flips_of_the_grid_have_one_annotation_corner():
    """The first annotated voxel is the right, front and top one in all eight stored orders."""
    corners = set()
    for flips in itertools.product([1.0, -1.0], repeat=3):
        affine = np.diag([*flips, 1.0])
        affine[:3, 3] = [0.0 if flip > 0 else size - 1.0 for flip, size in zip(flips, SHAPE, strict=True)]
        corners.add(tuple(annotation_affine(affine, shape=SHAPE)[:3, 3]))
    assert corners == {(39.0, 29.0, 19.0)}
