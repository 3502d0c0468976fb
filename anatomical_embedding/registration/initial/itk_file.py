"""Affine maps in files of ITK: fixed to moving, LPS mm."""

from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.itk_transform import ras_matrix
from anatomical_embedding.registration.transform_files import read_transform


def read_itk_matrix(path: Path) -> NDArray[np.float64]:
    """Return the (4, 4) map, RAS+ mm, in a file of ITK, ANTs or 3D Slicer.

    Raises
    ------
    InputFileError
        if the file cannot be read, or holds a map that is not affine.
    """
    transform = read_transform(path)
    if not transform.IsLinear():
        raise InputFileError(path, f"holds {_bent_parts(transform)}, which is not an affine map")
    return ras_matrix(transform)


def _bent_parts(transform: SimpleITK.Transform) -> str:
    """Return the kinds of those parts of a transform that are not affine."""
    parts = [transform]
    if transform.GetTransformEnum() == SimpleITK.sitkComposite:
        composite = SimpleITK.CompositeTransform(transform)
        parts = [composite.GetNthTransform(n) for n in range(composite.GetNumberOfTransforms())]
    return ", ".join(part.Downcast().GetName() for part in parts if not part.IsLinear())
