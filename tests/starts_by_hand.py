"""Starts of other programs: each file states one map between an oblique and a permuted grid, worked out by hand.

The fixed grid is turned by the angle of a 3-4-5 triangle (determinant positive, so FSL counts x from the other end),
the moving one has its axes permuted (determinant negative). Four moving voxels and where they lie in the fixed scan:

    moving voxel  moving mm    flirt, moving  flirt, fixed  fixed voxel   fixed mm
    2, 1, 4       5, 8, -3     8, 2, 4        10, 6, 15     1, 2, 3       6.4, -14.8, 45
    2, 1, 5       5, 9, -3     8, 2, 5        10, 6, 16     1, 2, 3.2     6.4, -14.8, 46
    2, 2, 4       5, 8, -1     8, 4, 4        8, 6, 15      2, 2, 3       7.6, -13.2, 45
    3, 1, 4       9, 8, -3     12, 2, 4       10, 10, 15    1, 10/3, 3    3.2, -12.4, 45
"""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

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
