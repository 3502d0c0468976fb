"""Fields of vectors in RAS mm, for the programs that do not take those of ITK: NiftyReg and MRtrix3."""

from pathlib import Path

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.files import written_atomically
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.volumes.nifti import SCANNER_CODE

NIFTYREG_NAME = "NREG_TRANS"
NIFTYREG_DISPLACEMENTS = 1.0
"""`intent_p1` of a file of NiftyReg: 0 for places, 1 for displacements, 2 for a grid of splines."""


def write_ras_displacements(field: DisplacementField, path: Path) -> None:
    """Write the displacements of a field, mm RAS+, as NiftyReg reads them: without its mark they mean something else.

    Parameters
    ----------
    field : of the whole map; its axes may be skewed.
    """
    image = _image(field.displacements_mm[:, :, :, None], field.affine)
    image.header.set_intent("vector", name=NIFTYREG_NAME)
    image.header["intent_p1"] = NIFTYREG_DISPLACEMENTS
    _save(image, path)


def write_ras_places(field: DisplacementField, path: Path) -> None:
    """Write where the voxels of a field go, mm RAS+, as MRtrix3 reads a deformation.

    Parameters
    ----------
    field : of the whole map; its axes may be skewed.
    """
    _save(_image(field.places_mm(), field.affine), path)


def _image(vectors: NDArray, affine: NDArray[np.float64]) -> nibabel.Nifti1Image:
    """Return vectors with their place in the sform alone: a qform would lose the skew of the axes."""
    image = nibabel.Nifti1Image(vectors.astype(np.float32, copy=False), None)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=SCANNER_CODE)
    image.set_qform(None, code=0)
    return image


def _save(image: nibabel.Nifti1Image, path: Path) -> None:
    with written_atomically(path) as temporary:
        nibabel.save(image, temporary)
