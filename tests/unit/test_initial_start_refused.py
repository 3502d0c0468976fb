"""Files that are no start: refused in one line that says what was found."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
from pydicom.uid import CTImageStorage, DeformableSpatialRegistrationStorage

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.guided_start import given_start, write_start
from tests.starts_by_hand import (
    BACK_LPS,
    BACK_RAS,
    FIXED_INFO,
    FIXED_UID,
    FLIRT,
    LPS,
    MOVING_AFFINE,
    MOVING_INFO,
    MOVING_UID,
    RAS,
    THIRD_UID,
    VOXELS_BACK,
    elastix,
    item,
    itk_affine,
    lta,
    read,
    scan,
    write_registration,
)


def bent(path):
    field = SimpleITK.DisplacementFieldTransform(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorFloat64))
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform([itk_affine(), field]), str(path))


def flat(path):
    SimpleITK.WriteTransform(SimpleITK.AffineTransform(2), str(path))


def unknown(path):
    SimpleITK.WriteTransform(SimpleITK.ComposeScaleSkewVersor3DTransform(), str(path))


def failed(path):
    write_start(replace(given_start(RAS), status="failed", reason="few"), path)


def registration_of(*items, **more):
    return lambda path: write_registration(path, *items, **more)


CENTRE = "(CenterOfRotationPoint 0 0 0)"
REFUSED = {
    "asks.mat": (FLIRT, "is a 4x4 matrix, which FSL writes from moving to fixed voxels"),
    "three_rows.mat": (FLIRT[: FLIRT.index("0 0 0 1")], "cannot be read as a transform of ITK"),
    "bent.h5": (bent, "holds DisplacementFieldTransform, which is not an affine map"),
    "flat.tfm": (flat, "holds a transform of 2 dimensions, expected 3"),
    "unknown.tfm": (unknown, "cannot be read as a transform of ITK"),
    "field.nii.gz": ("x", "is an image or a displacement field"),
    "spline.txt": (elastix("BSplineTransform", [0] * 12), "holds a BSplineTransform; expected a Translation"),
    "few.txt": (elastix("EulerTransform", [0] * 5, CENTRE), "5 TransformParameters, expected 6"),
    "no_centre.txt": (elastix("AffineTransform", [0] * 12), "has too few or other numbers"),
    "before.txt": (
        elastix("TranslationTransform", [1, 2, 3], before="gone.txt"),
        "builds on gone.txt, which is not",
    ),
    "circle.txt": (elastix("TranslationTransform", [1, 2, 3], before="circle.txt"), "in a circle"),
    "axes.txt": (
        elastix("TranslationTransform", [1, 2, 3], '(UseDirectionCosines "false")'),
        "leaves out how the axes of the scans lie",
    ),
    "axes.toml": (
        'Transform = "TranslationTransform"\nUseDirectionCosines = false\nTransformParameters = [1.0, 2.0, 3.0]\n',
        "leaves out how the axes of the scans lie",
    ),
    "settings.txt": ('(Registration "MultiResolutionRegistration")\n', "states no (Transform ...)"),
    "several.lta": (lta(1, BACK_RAS, count=2), "holds 2 maps, expected one"),
    "tkreg.lta": (lta(14, BACK_RAS), "is of type 14, expected 0 (voxel to voxel) or 1"),
    "broken.lta": ("type = 1\n", "cannot be read as a linear transform of FreeSurfer"),
    "invalid.lta": (
        lta(0, VOXELS_BACK, MOVING_INFO.replace("valid = 1", "valid = 0")),
        "is voxel to voxel of volumes that it calls not valid",
    ),
    "nitransforms.lta": (
        "# LTA file created by NiTransforms\n" + lta(1, BACK_RAS, FIXED_INFO, MOVING_INFO),
        "was written by NiTransforms, which names the moving image as destination",
    ),
    "failed.json": (failed, "is a start that failed (few)"),
    "other.json": ("[]", "is not a start.json of `register`"),
    "picture.png": ("x", "is of no known kind, expected a transform of ITK or ANTs"),
    "empty.mat": ("", "cannot be read as a transform of ITK"),
    "image.dcm": (
        registration_of(sop_class=CTImageStorage),
        "is an object of CT Image Storage, expected",
    ),
    "alone.dcm": (registration_of(item(FIXED_UID, np.eye(4))), "is between 1 worlds"),
    "three.dcm": (
        registration_of(item(MOVING_UID, LPS), item(THIRD_UID, LPS)),
        "is between 3 worlds",
    ),
    "unnamed.dcm": (
        registration_of(item(MOVING_UID, LPS), item(FIXED_UID, LPS)),
        "does not say which of its worlds is the fixed scan's",
    ),
    "empty.dcm": (registration_of(item(MOVING_UID)), "holds no single 4x4 matrix, or chain of them"),
    "deformable.dcm": (
        registration_of(sop_class=DeformableSpatialRegistrationStorage),
        "is a deformable registration; a start is an affine map",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused_by_what_they_are(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, message = REFUSED[name]
    path = tmp_path / name
    if callable(content):
        content(path)
    else:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "program", "message"),
    [
        ("-1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "greedy", "mirrors the body"),
        ("1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", "greedy", "is singular"),
        ("1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", "fsl", "is singular"),
        ("1000 0 0 0\n0 1000 0 0\n0 0 1000 0\n0 0 0 1\n", "niftyreg", "makes a volume 1e+09 times as large"),
        ("1 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "greedy", "holds numbers that are not finite"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n5 6 7 1\n", "fsl", "its last row is 5 6 7 1, expected 0 0 0 1"),
        (lta(1, BACK_RAS), "fsl", "is not a 4x4 matrix in text, so fsl did not write it"),
    ],
)
def test_matrices_that_no_body_moves_by_are_refused(tmp_path, rows, program, message):
    (tmp_path / "a.mat").write_text(rows, encoding="utf-8")
    with pytest.raises(InputFileError, match=r"a\.mat") as caught:
        read(tmp_path / "a.mat", program=program)
    assert message in str(caught.value)


def test_voxels_of_flirt_are_none_of_a_dicom_folder(tmp_path):
    (tmp_path / "a.mat").write_text(FLIRT, encoding="utf-8")
    with pytest.raises(InputFileError, match="name those instead of series"):
        read(tmp_path / "a.mat", moving=scan("series", (5, 8, 9), MOVING_AFFINE), program="fsl")


def test_dicom_of_another_patient_is_refused(tmp_path):
    path = write_registration(tmp_path / "reg.dcm", item(MOVING_UID, BACK_LPS))
    with pytest.raises(
        InputFileError, match=f"is between {FIXED_UID}, {MOVING_UID}; other is of {THIRD_UID}"
    ):
        read(path, moving=scan("other", (5, 8, 9), MOVING_AFFINE, THIRD_UID))
