"""A registration as DICOM objects: Spatial Registration (the start alone) and its Deformable kind (all of it).

The registered frame of both is that of the fixed scan, the source frame that of the moving one. The two objects map in
opposite directions, by the standard: a matrix of Spatial Registration takes points of the source frame to the
registered one (DICOM PS3.3 C.20.2.1.1), and a deformation takes points of the registered frame to the source one, where
they are sampled (C.20.3.1.1).
"""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    SpatialRegistrationStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from anatomical_embedding.files import written_atomically
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.itk_transform import RAS_TO_LPS
from anatomical_embedding.versions import __version__
from anatomical_embedding.volumes.affine import LPS_SIGNS, invert_affine, spacing_from_affine
from anatomical_embedding.volumes.dicom_header import without_warnings
from anatomical_embedding.volumes.dicom_source import PATIENT_TAGS, STUDY_TAGS, DicomSource

SAME_LENGTH = 1e-6
"""By which axes may differ from unit ones, or from right angles, in a map that is called rigid."""


def spatial_registration(matrix: NDArray[np.float64], fixed: DicomSource, moving: DicomSource) -> Dataset:
    """Return the object that takes the moving frame of reference to the fixed one by a matrix.

    Parameters
    ----------
    matrix : (4, 4) fixed to moving world RAS+; the object holds its inverse, LPS.
    """
    dataset = _registration_of(SpatialRegistrationStorage, fixed, "Linear start of a registration")
    _refer(dataset, fixed, moving)
    to_fixed = RAS_TO_LPS @ invert_affine(matrix) @ RAS_TO_LPS
    items = [_linear_item(fixed, np.eye(4)), _linear_item(moving, to_fixed)]
    if (
        moving.frame_of_reference != fixed.frame_of_reference
    ):  # else the images alone tell the two scans apart
        for item, source in zip(items, (fixed, moving), strict=True):
            item.FrameOfReferenceUID = source.frame_of_reference
    dataset.RegistrationSequence = Sequence(items)
    return dataset


def deformable_registration(
    matrix: NDArray[np.float64], deformation: DisplacementField, fixed: DicomSource, moving: DicomSource
) -> Dataset:
    """Return the object that samples the moving frame of reference at the points of the fixed one.

    Parameters
    ----------
    matrix : (4, 4) start, fixed to moving world RAS+, after the deformation.
    deformation : in the fixed world, zero at its border.
    """
    dataset = _registration_of(DeformableSpatialRegistrationStorage, fixed, "Deformable registration")
    _refer(dataset, moving)
    item = Dataset()
    item.SourceFrameOfReferenceUID = moving.frame_of_reference
    item.ReferencedImageSequence = _images(
        moving
    )  # others of its frame, such as the fixed scan, stay where they are
    item.RegistrationTypeCodeSequence = _method()
    item.DeformableRegistrationGridSequence = Sequence([_grid(deformation)])
    item.PostDeformationMatrixRegistrationSequence = Sequence([_matrix(RAS_TO_LPS @ matrix @ RAS_TO_LPS)])
    dataset.DeformableRegistrationSequence = Sequence([item])
    return dataset


def write_dicom(dataset: Dataset, path: Path) -> None:
    """Write an object atomically, Explicit VR Little Endian."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with written_atomically(path) as temporary, without_warnings():
        dataset.save_as(temporary, enforce_file_format=True)


def _registration_of(sop_class: UID, fixed: DicomSource, description: str) -> Dataset:
    """Return an object in the study of the fixed scan, with all but the maps."""
    dataset, now = Dataset(), datetime.now().astimezone()
    for keyword in ("SpecificCharacterSet", *PATIENT_TAGS, *STUDY_TAGS):
        if keyword in fixed.header:
            dataset[keyword] = fixed.header[keyword]
        elif keyword != "SpecificCharacterSet":
            setattr(dataset, keyword, "")
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), "REG"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.Laterality = None, 1, ""
    dataset.SeriesDescription = dataset.ContentDescription = description
    dataset.Manufacturer, dataset.ManufacturerModelName = "anatomical-embedding", "register"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", __version__
    dataset.FrameOfReferenceUID = fixed.frame_of_reference
    dataset.PositionReferenceIndicator = fixed.header.get("PositionReferenceIndicator", "")
    dataset.ContentLabel, dataset.ContentCreatorName = "REGISTRATION", ""
    dataset.ContentDate, dataset.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return dataset


def _refer(dataset: Dataset, *sources: DicomSource) -> None:
    """Name the images that the object speaks of: series of its own study, and of another one."""
    here = [source for source in sources if source.header.StudyInstanceUID == dataset.StudyInstanceUID]
    elsewhere = [source for source in sources if source not in here]
    if here:
        dataset.ReferencedSeriesSequence = Sequence(_series(source) for source in here)
    if elsewhere:
        study = Dataset()
        study.StudyInstanceUID = elsewhere[0].header.StudyInstanceUID
        study.ReferencedSeriesSequence = Sequence(_series(source) for source in elsewhere)
        dataset.StudiesContainingOtherReferencedInstancesSequence = Sequence([study])


def _series(source: DicomSource) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = source.header.SeriesInstanceUID
    series.ReferencedInstanceSequence = _images(source)
    return series


def _images(source: DicomSource) -> Sequence:
    images = []
    for sop_class, instance in source.images:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = sop_class, instance
        images.append(image)
    return Sequence(images)


def _linear_item(source: DicomSource, matrix: NDArray[np.float64]) -> Dataset:
    """Return what takes the images of a scan to the registered frame, LPS."""
    item, registration = Dataset(), Dataset()
    item.ReferencedImageSequence = _images(source)
    registration.RegistrationTypeCodeSequence = _method()
    registration.MatrixSequence = Sequence([_matrix(matrix)])
    item.MatrixRegistrationSequence = Sequence([registration])
    return item


def _matrix(matrix: NDArray[np.float64]) -> Dataset:
    """Return a (4, 4) map, LPS mm, with its kind."""
    item = Dataset()
    item.FrameOfReferenceTransformationMatrixType = matrix_type(matrix)
    item.FrameOfReferenceTransformationMatrix = _decimals(matrix.ravel())
    return item


def matrix_type(matrix: NDArray[np.float64]) -> str:
    """Return what DICOM calls a (4, 4) map: RIGID, RIGID_SCALE (turned and stretched along its axes) or AFFINE.

    Examples
    --------
    >>> matrix_type(np.eye(4)), matrix_type(np.diag([1.0, 1.0, 2.0, 1.0])), matrix_type(np.diag([-1.0, 1.0, 1.0, 1.0]))
    ('RIGID', 'RIGID_SCALE', 'AFFINE')
    """
    products = matrix[:3, :3].T @ matrix[:3, :3]
    lengths = np.diag(products)
    if np.linalg.det(matrix[:3, :3]) < 0 or np.abs(products - np.diag(lengths)).max() > SAME_LENGTH:
        return "AFFINE"
    return "RIGID" if np.abs(lengths - 1.0).max() <= SAME_LENGTH else "RIGID_SCALE"


def _method() -> Sequence:
    """Return the code of a registration by what the images show (context group 7100)."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "125024", "DCM"
    code.CodeMeaning = "Image Content-based Alignment"
    return Sequence([code])


def _grid(field: DisplacementField) -> Dataset:
    """Return the displacements on their grid, LPS, whose third axis is the cross product of the others."""
    vectors = field.displacements_mm * LPS_SIGNS
    affine = RAS_TO_LPS @ field.affine
    if np.linalg.det(affine[:3, :3]) < 0:
        affine[:3, 3] += (vectors.shape[2] - 1) * affine[:3, 2]
        affine[:3, 2] *= -1.0
        vectors = vectors[:, :, ::-1]
    spacing_mm = spacing_from_affine(affine)
    item = Dataset()
    item.ImagePositionPatient = _decimals(affine[:3, 3])
    item.ImageOrientationPatient = _decimals((affine[:3, :2] / spacing_mm[:2]).T.ravel())
    item.GridDimensions = list(vectors.shape[:3])
    item.GridResolution = spacing_mm.tolist()
    item.VectorGridData = np.asarray(vectors.transpose(2, 1, 0, 3), dtype="<f4").tobytes()  # x runs fastest
    return item


def _decimals(values: NDArray[np.float64]) -> list[DSfloat]:
    """Return numbers as decimal strings of DICOM, which hold 16 characters."""
    return [DSfloat(value, auto_format=True) for value in values.tolist()]
