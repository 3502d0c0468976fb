"""Starts of other programs: one map in the words of each, and where it leads points, by hand (`starts_by_hand`)."""

import re

import numpy as np
import pydicom
import pytest
import SimpleITK

from anatomical_embedding.registration.dicom_registration import spatial_registration, write_dicom
from anatomical_embedding.registration.guided_start import given_start, write_start
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.dicom_source import read_dicom_source
from tests.dicom_slices import Stack
from tests.starts_by_hand import (
    BACK_LPS,
    BACK_RAS,
    FIXED_AFFINE,
    FIXED_INFO,
    FIXED_UID,
    FLIRT,
    LPS,
    MOVING_AFFINE,
    MOVING_INFO,
    MOVING_UID,
    RAS,
    VOXELS_BACK,
    elastix,
    hold_by_hand,
    item,
    itk_affine,
    lta,
    read,
    scan,
    write_registration,
)


@pytest.mark.parametrize(
    ("name", "content", "program"),
    [
        ("flirt.mat", FLIRT, "fsl"),
        ("greedy.mat", "\n".join(" ".join(map(str, row)) for row in RAS), "greedy"),
        ("niftyreg.txt", "\n".join(" ".join(map(str, row)) for row in RAS), "niftyreg"),
        ("ras.lta", lta(1, BACK_RAS), None),
        ("voxels.lta", lta(0, VOXELS_BACK), None),
        ("unsaid.lta", re.sub("valid = .*\n", "", lta(0, VOXELS_BACK)), None),
        (
            "TransformParameters.0.txt",
            elastix(
                "AffineTransform", [*LPS[:3, :3].ravel(), -19.6, 32, -0.2], "(CenterOfRotationPoint 1 2 3)"
            ),
            None,
        ),
    ],
)
def test_a_text_is_read_as_its_program_means_it(tmp_path, name, content, program):
    (tmp_path / name).write_text(content, encoding="utf-8")
    start = read(tmp_path / name, program=program)
    hold_by_hand(start)
    assert not start.remarks


@pytest.mark.parametrize("name", ["a.tfm", "a.txt", "a.h5", "a.mat"])
@pytest.mark.parametrize("is_composite", [False, True])
def test_itk_files_are_fixed_to_moving_lps(tmp_path, name, is_composite):
    transform = itk_affine()
    if is_composite and name != "a.mat":
        # ITK applies the last one first: to (x + 10) and back again.
        there, back = (SimpleITK.TranslationTransform(3, (sign, 0.0, 0.0)) for sign in (10.0, -10.0))
        transform = SimpleITK.CompositeTransform([transform, back, there])
    SimpleITK.WriteTransform(transform, str(tmp_path / name))
    hold_by_hand(read(tmp_path / name))


@pytest.mark.parametrize("named", ["TransformParameters.0.txt", "/elsewhere/TransformParameters.0.txt"])
@pytest.mark.parametrize("key", ["InitialTransformParameterFileName", "InitialTransformParametersFileName"])
def test_elastix_applies_the_initial_transform_first(tmp_path, named, key):
    """Moved by (10, 20, 30) first, the affine map's own offset is (-23, 67, 27); the file may have been moved."""
    first = elastix("TranslationTransform", [10, 20, 30])
    (tmp_path / "TransformParameters.0.txt").write_text(first, encoding="utf-8")
    numbers = [*LPS[:3, :3].ravel(), -23, 67, 27]
    last = elastix("AffineTransform", numbers, "(CenterOfRotationPoint 0 0 0)", before=named)
    path = tmp_path / "TransformParameters.1.txt"
    path.write_text(last.replace("InitialTransformParameterFileName", key), encoding="utf-8")
    hold_by_hand(read(path))


QUARTER = np.pi / 2
HALF_SINE = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("kind", "numbers", "more", "goes_to"),
    [
        # LPS (1, 0, 4): about (1, 2, 3) it lies at (0, -2, 1); Ry takes that to (1, -2, 0), Rx on to (1, 0, -2).
        ("EulerTransform", [QUARTER, QUARTER, 0, 5, 0, 0], (), [7, 2, 1]),
        # Rx first takes it to (0, -1, -2), Ry on to (-2, -1, 0).
        ("EulerTransform", [QUARTER, QUARTER, 0, 5, 0, 0], ('(ComputeZYX "true")',), [4, 1, 3]),
        # A quarter about z takes it to (2, 0, 1), twice as far to (4, 0, 2).
        ("SimilarityTransform", [0, 0, HALF_SINE, 5, 0, 0, 2], (), [10, 2, 5]),
    ],
)
def test_rotations_of_elastix_by_hand(tmp_path, kind, numbers, more, goes_to):
    path = tmp_path / "parameters.txt"
    path.write_text(elastix(kind, numbers, "(CenterOfRotationPoint 1 2 3)", *more), encoding="utf-8")
    found = transform_points(read(path).matrix, [[-1.0, 0.0, 4.0]])  # RAS
    np.testing.assert_allclose(found, [np.array(goes_to) * [-1, -1, 1]], atol=1e-9)


def test_elastix_without_directions_of_axes_that_are_those_of_lps(tmp_path):
    path = tmp_path / "parameters.txt"
    path.write_text(
        elastix("TranslationTransform", [1, 2, 3], '(UseDirectionCosines "false")'), encoding="utf-8"
    )
    straight = scan("x.nii.gz", (7, 6, 5), np.diag([-1.0, -2.0, 3.0, 1.0]))
    found = read(path, fixed=straight, moving=straight).matrix
    np.testing.assert_allclose(found[:3, 3], [-1, -2, 3])


def test_elastix_in_toml(tmp_path):
    path = tmp_path / "TransformParameters.0.toml"
    numbers = ", ".join(map(str, [*map(float, LPS[:3, :3].ravel()), -19.0, 37.0, 5.0]))
    path.write_text(
        f'Transform = "AffineTransform"\nTransformParameters = [{numbers}]\nCenterOfRotationPoint = [0.0, 0.0, 0.0]\n',
        encoding="utf-8",
    )
    hold_by_hand(read(path))


@pytest.mark.parametrize(
    ("registered", "knows"),
    [
        *[(FIXED_UID, knows) for knows in ((True, True), (False, False), (True, False), (False, True))],
        # Nothing but a scan can say that it is the moving one that the fixed one was registered to.
        *[(MOVING_UID, knows) for knows in ((True, True), (True, False), (False, True))],
    ],
)
def test_dicom_leads_items_to_the_registered_frame(tmp_path, knows, registered):
    items = [item(MOVING_UID, BACK_LPS), item(FIXED_UID, np.eye(4))]
    if registered == MOVING_UID:
        items = [item(FIXED_UID, LPS)]
    path = write_registration(tmp_path / "reg.dcm", *items, registered=registered)
    fixed = scan("a", (7, 6, 5), FIXED_AFFINE, FIXED_UID if knows[0] else "")
    moving = scan("b", (5, 8, 9), MOVING_AFFINE, MOVING_UID if knows[1] else "")
    start = read(path, fixed=fixed, moving=moving)
    hold_by_hand(start)
    assert len(start.remarks) == (0 if all(knows) else 1)


def test_dicom_multiplies_several_matrices_in_their_order(tmp_path):
    """Items shift, then turn on paper; on a point the last one acts first, as in a product of matrices."""
    shift, turn = np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])
    shift[:3, 3] = (5.0, 0.0, 0.0)
    rest = np.linalg.inv(turn) @ np.linalg.inv(shift) @ BACK_LPS
    path = write_registration(tmp_path / "reg.dcm", item(MOVING_UID, shift, turn, rest))
    fixed, moving = (
        scan("a", (7, 6, 5), FIXED_AFFINE, FIXED_UID),
        scan("b", (5, 8, 9), MOVING_AFFINE, MOVING_UID),
    )
    start = read(path, fixed=fixed, moving=moving)
    hold_by_hand(start)
    (remark,) = start.remarks
    assert "3 matrices" in remark
    assert "the last moves a point first" in remark


def series_of(folder, number):
    """Write a series whose images are numbered, in the frame of reference of the fixed scan."""

    def edit(dataset, k):
        dataset.FrameOfReferenceUID, dataset.SOPInstanceUID = FIXED_UID, f"1.2.3.{number}.{k}"

    return Stack(edit=edit).write(folder)


@pytest.mark.parametrize("knows", [True, False])
def test_dicom_of_one_frame_tells_the_scans_apart_by_their_images(tmp_path, knows):
    """As `register --transforms dicom` writes it where both series lie in one frame of reference."""
    sources = [series_of(tmp_path / name, number) for number, name in enumerate(("fixed", "moving"))]
    items = [item("", np.eye(4)), item("", BACK_LPS)]
    for number, entry in enumerate(items):
        del entry.FrameOfReferenceUID
        image = pydicom.Dataset()
        image.ReferencedSOPInstanceUID = f"1.2.3.{number}.1"
        entry.ReferencedImageSequence = [image]
    path = write_registration(tmp_path / "reg.dcm", *items[::-1])
    world = FIXED_UID if knows else ""
    fixed, moving = (
        scan(series, shape, affine, world)
        for series, shape, affine in zip(
            sources, ((7, 6, 5), (5, 8, 9)), (FIXED_AFFINE, MOVING_AFFINE), strict=True
        )
    )
    hold_by_hand(read(path, fixed=fixed, moving=moving))


@pytest.mark.parametrize("moving_world", [FIXED_UID, MOVING_UID])
def test_the_object_that_register_writes_is_a_start(tmp_path, moving_world):
    folders = [series_of(tmp_path / name, number) for number, name in enumerate(("fixed", "moving"))]
    sources = [read_dicom_source(folder, series=None) for folder in folders]
    sources[1].header.FrameOfReferenceUID = moving_world
    write_dicom(spatial_registration(RAS, *sources), tmp_path / "reg.dcm")
    fixed = scan(folders[0], (7, 6, 5), FIXED_AFFINE, FIXED_UID)
    moving = scan(folders[1], (5, 8, 9), MOVING_AFFINE, moving_world)
    hold_by_hand(read(tmp_path / "reg.dcm", fixed=fixed, moving=moving))


def test_a_reversed_lta_is_taken_by_its_own_words(tmp_path):
    path = tmp_path / "reversed.lta"
    rows = "\n".join(" ".join(map(str, row)) for row in RAS) + "\n"
    path.write_text(lta(1, rows, FIXED_INFO, MOVING_INFO), encoding="utf-8")
    start = read(path)
    hold_by_hand(start)
    assert start.remarks == (
        f"{path}: leads from the fixed scan to the moving one by its own words, and is taken so",
    )


def test_an_lta_of_other_volumes_is_said(tmp_path):
    path = tmp_path / "other.lta"
    path.write_text(lta(1, BACK_RAS, MOVING_INFO.replace("5 8 9", "256 256 256")), encoding="utf-8")
    start = read(path)
    hold_by_hand(start)
    assert start.remarks == (f"{path}: names volumes of another grid than these scans",)


def test_the_start_of_another_run(tmp_path):
    write_start(given_start(RAS), tmp_path / "start.json")
    hold_by_hand(read(tmp_path / "start.json"))
