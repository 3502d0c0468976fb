"""Transforms that a registration wrote, read again to carry images and points."""

from pathlib import Path

import numpy as np
import SimpleITK

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.displacement_field import field_image, read_field
from anatomical_embedding.registration.itk_transform import itk_image
from anatomical_embedding.volumes.nifti import NIFTI_SUFFIXES, VolumeHeader
from anatomical_embedding.volumes.volume import Volume

ITK_SUFFIXES = (".h5", ".hdf5", ".tfm", ".txt", ".mat")


def read_transform(path: Path) -> SimpleITK.Transform:
    """Return the transform of points (LPS mm) in a file of ITK, or in a field of LPS vectors (`.nii.gz`).

    Raises
    ------
    InputFileError
        if the file is of another kind, cannot be read, or holds several transforms that are no composite, of which ITK
        would read the first alone.
    """
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return SimpleITK.DisplacementFieldTransform(field_image(read_field(path)))
    if not name.endswith(ITK_SUFFIXES):
        raise InputFileError(
            path, f"expected a transform: {', '.join(ITK_SUFFIXES)} of ITK, or a displacement field (.nii.gz)"
        )
    _require_one_transform(path)
    try:
        transform = SimpleITK.ReadTransform(str(path))
    except RuntimeError as error:
        raise InputFileError(path, "cannot be read as a transform of ITK") from error
    if transform.GetDimension() != 3:  # noqa: PLR2004, x, y and z
        raise InputFileError(path, f"holds a transform of {transform.GetDimension()} dimensions, expected 3")
    return transform


def _require_one_transform(path: Path) -> None:
    content = path.read_bytes() if path.suffix.lower() in {".tfm", ".txt"} else b""
    if content.count(b"\nTransform:") > 1 and b"CompositeTransform" not in content:
        raise InputFileError(
            path,
            "holds several transforms that are no composite; programs read them differently, so write one file each "
            "or a composite (.h5)",
        )


def resample_labels_by_itk(transform: SimpleITK.Transform, moving: Volume, fixed: VolumeHeader) -> Volume:
    """Return a label map on the grid of the fixed volume, the nearest label; 0 where it does not reach."""
    resampled = SimpleITK.Resample(
        itk_image(moving),
        itk_image(Volume(np.broadcast_to(np.zeros((), np.uint8), fixed.shape), fixed.affine)),
        transform,
        SimpleITK.sitkNearestNeighbor,
        0.0,
    )
    return Volume(SimpleITK.GetArrayFromImage(resampled).transpose(2, 1, 0), fixed.affine)
