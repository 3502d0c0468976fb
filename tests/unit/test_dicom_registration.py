"""A registration as DICOM objects: points through them by the equations of PS3.3 C.20, and sound by dciodvfy."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.itk_transform import transform_by_itk
from anatomical_embedding.registration.pair_map import PairMap
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.volumes.affine import lps_from_ras, transform_points
from anatomical_embedding.volumes.dicom_source import read_dicom_source
from anatomical_embedding.volumes.volume import VolumeHeader
from tests.dicom_slices import Stack
from tests.unit.samples import oblique_affine

FIXED_WORLD, MOVING_WORLD = "1.2.826.0.1.3680043.2.1125.9.1", "1.2.826.0.1.3680043.2.1125.9.2"
GRIDS = {
    "oblique": oblique_affine((12, -7, 18), (2.4, 2.8, 3.8), (-25.0, 50.0, 212.0)),
    "left-handed": np.diag([-2.0, 3.0, 4.0, 1.0]),
}
RIGID = oblique_affine((-6, 10, 4), (1.0, 1.0, 1.0), (12.0, -25.0, 330.0))
SHEARED = RIGID.copy()
SHEARED[:3, :3] = RIGID[:3, :3] @ np.array([[1.0, 0.05, 0.0], [0.0, 1.1, 0.0], [0.02, 0.0, 0.9]])
GRID = VolumeHeader((20, 22, 18), np.eye(4))


def series(folder, *, world, study, patient="P1"):
    """Write a series of a patient and a study, and return how objects refer to it."""

    def edit(dataset, k):
        dataset.FrameOfReferenceUID, dataset.StudyInstanceUID = world, f"1.2.826.0.1.3680043.2.1125.8.{study}"
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Müller^Ö", patient, "19500102"
        dataset.SpecificCharacterSet, dataset.StudyDate = "ISO_IR 100", "20200304"

    return read_dicom_source(Stack(edit=edit).write(folder), series=None)


def written(folder, matrix, affine, *, moving_world=MOVING_WORLD, moving_study=2):
    """Write both objects of a map, and return the map and the objects as pydicom reads them."""
    noise = [
        gaussian_filter(np.random.default_rng(seed).standard_normal((21, 19, 17)), 2) for seed in range(3)
    ]
    field = DisplacementField(60 * np.stack(noise, axis=-1).astype(np.float32), affine)
    sources = (
        series(folder / "fixed", world=FIXED_WORLD, study=1),
        series(folder / "moving", world=moving_world, study=moving_study),
    )
    pair = PairMap(matrix, field, GRID, GRID, fixed_fill=0.0, moving_fill=0.0, sources=sources)
    PROGRAMS["dicom"].write(pair, folder)
    whole, start = (pydicom.dcmread(folder / name) for name in PROGRAMS["dicom"].files)
    return pair, start, whole


def matrix_of(item):
    return np.array(item.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)


def sampled_by_the_standard(whole, points_lps):
    """Return where (N, 3) points of the registered frame are sampled: PS3.3 equation C.20.3-1, linear in the grid."""
    (item,) = whole.DeformableRegistrationSequence
    (grid,) = item.DeformableRegistrationGridSequence
    rows, columns = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    axes = np.stack([rows, columns, np.cross(rows, columns)], axis=1) * np.array(grid.GridResolution)
    size_x, size_y, size_z = grid.GridDimensions
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(size_z, size_y, size_x, 3).astype(float)
    found = []
    for point in points_lps:
        place = np.linalg.solve(axes, point - np.array(grid.ImagePositionPatient, dtype=float))
        first = np.floor(place).astype(int)
        offset = np.zeros(3)
        for corner in np.ndindex(2, 2, 2):
            x, y, z = first + corner
            weight = np.prod(np.where(corner, place - first, 1 - (place - first)))
            offset += weight * vectors[z, y, x]
        (post,) = item.PostDeformationMatrixRegistrationSequence
        found.append((matrix_of(post) @ np.append(point + offset, 1.0))[:3])
    return np.array(found)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("matrix", "kind"), [(RIGID, "RIGID"), (SHEARED, "AFFINE")])
def test_points_go_through_the_objects_as_through_the_map(tmp_path, grid, matrix, kind):
    pair, start, whole = written(tmp_path, matrix, GRIDS[grid])
    places = np.random.default_rng(7).uniform(0, 1, (100, 3)) * (20, 18, 16)
    fixed_mm = transform_points(GRIDS[grid], places)
    moving_mm = transform_by_itk(pair.forward, fixed_mm)
    sampled = sampled_by_the_standard(whole, lps_from_ras(fixed_mm))
    assert np.abs(sampled - lps_from_ras(moving_mm)).max() < 0.05
    assert np.abs(sampled - lps_from_ras(transform_points(matrix, fixed_mm))).max() > 1  # it does deform

    fixed_item, moving_item = start.RegistrationSequence
    (to_registered,) = moving_item.MatrixRegistrationSequence[0].MatrixSequence
    assert to_registered.FrameOfReferenceTransformationMatrixType == kind
    back = transform_points(matrix_of(to_registered), lps_from_ras(transform_points(matrix, fixed_mm)))
    np.testing.assert_allclose(back, lps_from_ras(fixed_mm), atol=1e-4)
    np.testing.assert_array_equal(
        matrix_of(fixed_item.MatrixRegistrationSequence[0].MatrixSequence[0]), np.eye(4)
    )


def test_the_objects_say_which_frames_and_images_they_are_about(tmp_path):
    _, start, whole = written(tmp_path, RIGID, GRIDS["oblique"])
    for found in (start, whole):
        assert (found.Modality, found.FrameOfReferenceUID) == ("REG", FIXED_WORLD)
        assert (str(found.PatientName), found.PatientID, found.StudyDate) == ("Müller^Ö", "P1", "20200304")
        assert found.StudyInstanceUID == "1.2.826.0.1.3680043.2.1125.8.1"
        (other,) = found.StudiesContainingOtherReferencedInstancesSequence
        assert other.StudyInstanceUID == "1.2.826.0.1.3680043.2.1125.8.2"
    assert len(start.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 6
    assert [item.FrameOfReferenceUID for item in start.RegistrationSequence] == [FIXED_WORLD, MOVING_WORLD]
    assert whole.DeformableRegistrationSequence[0].SourceFrameOfReferenceUID == MOVING_WORLD


def test_two_scans_of_one_frame_are_told_apart_by_their_images(tmp_path):
    _, start, whole = written(tmp_path, RIGID, GRIDS["oblique"], moving_world=FIXED_WORLD, moving_study=1)
    assert not any("FrameOfReferenceUID" in item for item in start.RegistrationSequence)
    assert len(start.RegistrationSequence[1].ReferencedImageSequence) == 6
    (item,) = whole.DeformableRegistrationSequence
    assert len(item.ReferencedImageSequence) == 6
    assert [len(found.ReferencedSeriesSequence) for found in (start, whole)] == [2, 1]


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize("moving_world", [FIXED_WORLD, MOVING_WORLD])
def test_dciodvfy_finds_no_error(tmp_path, moving_world):
    written(tmp_path, SHEARED, GRIDS["oblique"], moving_world=moving_world)
    for name in PROGRAMS["dicom"].files:
        done = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr


def test_what_is_no_series_of_one_frame_has_no_object(tmp_path):
    field = DisplacementField(np.zeros((3, 3, 3, 3), np.float32), np.eye(4))
    with pytest.raises(UserError, match="needs two DICOM series"):
        PROGRAMS["dicom"].write(PairMap(RIGID, field, GRID, GRID, 0.0, 0.0), tmp_path)
    with pytest.raises(InputFileError, match="names no frame of reference, so no DICOM"):
        read_dicom_source(Stack().write(tmp_path / "none"), series=None)
