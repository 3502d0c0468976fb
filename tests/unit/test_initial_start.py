"""Starts of other programs: each file states one map between an oblique and a permuted grid, worked out by hand.

The fixed grid is turned by the angle of a 3-4-5 triangle (determinant positive, so FSL counts x from the other end),
the moving one has its axes permuted (determinant negative). Four moving voxels and where they lie in the fixed scan:

    moving voxel  moving mm    flirt, moving  flirt, fixed  fixed voxel   fixed mm
    2, 1, 4       5, 8, -3     8, 2, 4        10, 6, 15     1, 2, 3       6.4, -14.8, 45
    2, 1, 5       5, 9, -3     8, 2, 5        10, 6, 16     1, 2, 3.2     6.4, -14.8, 46
    2, 2, 4       5, 8, -1     8, 4, 4        8, 6, 15      2, 2, 3       7.6, -13.2, 45
    3, 1, 4       9, 8, -3     12, 2, 4       10, 10, 15    1, 10/3, 3    3.2, -12.4, 45
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.guided_start import given_start, write_start
from anatomical_embedding.registration.initial.dicom_file import SPATIAL_REGISTRATION
from anatomical_embedding.registration.initial.read import read_initial_start
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import Volume

FIXED_AFFINE = np.array([[1.2, -2.4, 0, 10], [1.6, 1.8, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1]])
MOVING_AFFINE = np.array([[4.0, 0, 0, -3], [0, 0, 1, 4], [0, 2, 0, -5], [0, 0, 0, 1]])
FIXED_MM = np.array([[6.4, -14.8, 45], [6.4, -14.8, 46], [7.6, -13.2, 45], [3.2, -12.4, 45]])
MOVING_MM = np.array([[5.0, 8, -3], [5, 9, -3], [5, 8, -1], [9, 8, -3]])

FLIRT = "0 -1 0 12\n1 0 0 -2\n0 0 1 11\n0 0 0 1  \n"
RAS = np.array([[-0.8, 0.6, 0, 19], [0, 0, 1, -37], [0.6, 0.8, 0, 5], [0, 0, 0, 1]])
LPS = np.array([[-0.8, 0.6, 0, -19], [0, 0, -1, 37], [-0.6, -0.8, 0, 5], [0, 0, 0, 1]])
BACK_LPS = np.array([[-0.8, 0, -0.6, -12.2], [0.6, 0, -0.8, 15.4], [0, -1, 0, 37], [0, 0, 0, 1]])
BACK_RAS = "-0.8 0 0.6 12.2\n0.6 0 0.8 -15.4\n0 1 0 37\n0 0 0 1\n"
VOXELS_BACK = "0 1 0 0\n1.333333333333 0 0 -0.666666666667\n0 0 0.2 2.2\n0 0 0 1\n"
FIXED_INFO = """valid = 1  # volume info valid
filename = fixed.mgz
volume = 7 6 5
voxelsize = 2 3 5
xras   = 0.6 0.8 0
yras   = -0.8 0.6 0
zras   = 0 0 1
cras   = 7 -9 42.5
"""
MOVING_INFO = """valid = 1  # volume info valid
filename = moving.mgz
volume = 5 8 9
voxelsize = 4 2 1
xras   = 1 0 0
yras   = 0 0 1
zras   = 0 1 0
cras   = 7 8.5 3
"""
FIXED_UID, MOVING_UID, THIRD_UID = "1.2.3.1", "1.2.3.2", "1.2.3.3"


def scan(name, shape, affine, uid=""):
    return RawScan(Path(name), Volume(np.zeros(shape), affine), "ct", (), ReadingOptions(), uid)


FIXED, MOVING = scan("fixed.nii.gz", (7, 6, 5), FIXED_AFFINE), scan("moving.nii", (5, 8, 9), MOVING_AFFINE)


def read(path, *, fixed=FIXED, moving=MOVING, program=None):
    return read_initial_start(path, fixed=fixed, moving=moving, program=program)


def hold_by_hand(start):
    np.testing.assert_allclose(transform_points(start.matrix, FIXED_MM), MOVING_MM, atol=1e-5)


def lta(kind, rows, source=MOVING_INFO, target=FIXED_INFO, count=1):
    head = f"# transform file\ntype      = {kind} # LINEAR\nnxforms   = {count}\nmean      = 0 0 0\nsigma     = 1\n"
    return f"{head}1 4 4\n{rows}src volume info\n{source}dst volume info\n{target}subject x\nfscale 0.15\n"


def itk_affine():
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(LPS[:3, :3].ravel().tolist())
    transform.SetTranslation(LPS[:3, 3].tolist())
    return transform


def elastix(kind, numbers, *more, before="NoInitialTransform"):
    lines = [
        f'(Transform "{kind}")',
        f"(NumberOfParameters {len(numbers)})",
        f"(TransformParameters {' '.join(map(str, numbers))})",
        f'(InitialTransformParameterFileName "{before}")',
        '(HowToCombineTransforms "Compose")',
        "// a comment (of elastix)",
        "(FixedImageDimension 3)",
        *more,
    ]
    return "\n".join(lines) + "\n"


def item(uid, *matrices):
    found = pydicom.Dataset()
    found.FrameOfReferenceUID = uid
    steps = []
    for matrix in matrices:
        step = pydicom.Dataset()
        step.FrameOfReferenceTransformationMatrixType = "RIGID"
        step.FrameOfReferenceTransformationMatrix = [float(f"{value:.10g}") for value in np.ravel(matrix)]
        steps.append(step)
    registration = pydicom.Dataset()
    registration.MatrixSequence = steps
    found.MatrixRegistrationSequence = [registration]
    return found


def write_registration(path, *items, registered=FIXED_UID, sop_class=SPATIAL_REGISTRATION):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.FrameOfReferenceUID = registered
    dataset.RegistrationSequence = list(items)
    dataset.save_as(path, enforce_file_format=True)
    return path


# One map in the words of each program


@pytest.mark.parametrize(
    ("name", "content", "program"),
    [
        ("flirt.mat", FLIRT, "fsl"),
        ("greedy.mat", "\n".join(" ".join(map(str, row)) for row in RAS), "greedy"),
        ("niftyreg.txt", "\n".join(" ".join(map(str, row)) for row in RAS), "niftyreg"),
        ("ras.lta", lta(1, BACK_RAS), None),
        ("voxels.lta", lta(0, VOXELS_BACK), None),
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


# What is refused, in one line that says what was found


def bent(path):
    field = SimpleITK.DisplacementFieldTransform(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorFloat64))
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform([itk_affine(), field]), str(path))


def flat(path):
    SimpleITK.WriteTransform(SimpleITK.AffineTransform(2), str(path))


def failed(path):
    write_start(replace(given_start(RAS), status="failed", reason="few"), path)


def registration_of(*items, **more):
    return lambda path: write_registration(path, *items, **more)


CENTRE = "(CenterOfRotationPoint 0 0 0)"
REFUSED = {
    "asks.mat": (FLIRT, "is a 4x4 matrix, which FSL writes from moving to fixed voxels"),
    "three_rows.mat": (FLIRT[: FLIRT.index("0 0 0 1")], "cannot be read as a transform of ITK"),
    "bent.h5": (bent, "holds DisplacementFieldTransform, which is no affine map"),
    "flat.tfm": (flat, "holds a transform of 2 dimensions, expected 3"),
    "field.nii.gz": ("x", "is an image or a displacement field"),
    "spline.txt": (elastix("BSplineTransform", [0] * 12), "holds a BSplineTransform; expected a Translation"),
    "few.txt": (elastix("EulerTransform", [0] * 5, CENTRE), "5 TransformParameters, expected 6"),
    "no_centre.txt": (elastix("AffineTransform", [0] * 12), "has too few or other numbers"),
    "before.txt": (
        elastix("TranslationTransform", [1, 2, 3], before="gone.txt"),
        "builds on gone.txt, which is not",
    ),
    "circle.txt": (elastix("TranslationTransform", [1, 2, 3], before="circle.txt"), "in a circle"),
    "settings.txt": ('(Registration "MultiResolutionRegistration")\n', "states no (Transform ...)"),
    "several.lta": (lta(1, BACK_RAS, count=2), "holds 2 maps, expected one"),
    "tkreg.lta": (lta(14, BACK_RAS), "is of type 14, expected 0 (voxel to voxel) or 1"),
    "broken.lta": ("type = 1\n", "cannot be read as a linear transform of FreeSurfer"),
    "failed.json": (failed, "is a start that failed (few)"),
    "other.json": ("[]", "is no start.json of `register`"),
    "picture.png": ("x", "is of no known kind, expected a transform of ITK or ANTs"),
    "empty.mat": ("", "cannot be read as a transform of ITK"),
    "image.dcm": (
        registration_of(sop_class=CTImageStorage),
        "is an object of CT Image Storage, expected",
    ),
    "alone.dcm": (registration_of(item(FIXED_UID, np.eye(4))), "is between 1 frames of reference"),
    "three.dcm": (
        registration_of(item(MOVING_UID, LPS), item(THIRD_UID, LPS)),
        "is between 3 frames of reference",
    ),
    "steps.dcm": (registration_of(item(MOVING_UID, LPS, LPS)), "holds no single 4x4 matrix"),
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
        (lta(1, BACK_RAS), "fsl", "is no 4x4 matrix in text, so it is none of fsl"),
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
    with pytest.raises(InputFileError, match=f"other is of {THIRD_UID}"):
        read(path, moving=scan("other", (5, 8, 9), MOVING_AFFINE, THIRD_UID))
