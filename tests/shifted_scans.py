"""A scan, and what is shifted against it by whole voxels."""

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.registration.displacement_field import DisplacementField, write_field
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import LPS_AFFINE, body_array

SHAPE = (30, 28, 16)
SHIFT_VOX = (3, -2, 1)
SHIFT_LPS_MM = (6.0, -4.0, 2.0)
"""The same on a grid whose axes are those of LPS, with 2 mm voxels."""
VECTORS = np.broadcast_to(np.array(SHIFT_LPS_MM, np.float32), (*SHAPE, 1, 3)).copy()
"""The same as a field, as ITK states it."""


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    """Return a folder with a scan, its labels, points RAS, and one shift as three kinds of file."""
    array = body_array(SHAPE)
    write_volume(Volume(array, LPS_AFFINE), tmp_path / "moving.nii.gz")
    write_volume(Volume(np.roll(array, (5, 5, 2), (0, 1, 2)), LPS_AFFINE), tmp_path / "fixed.nii.gz")
    write_volume(Volume((array > 500).astype(np.uint16) * 300, LPS_AFFINE), tmp_path / "labels.nii.gz")
    (tmp_path / "points.csv").write_text("x_mm,y_mm,z_mm,name\n-10,-20,8,liver\n", encoding="utf-8")
    shift = SimpleITK.TranslationTransform(3, SHIFT_LPS_MM)
    for name in ("shift.tfm", "shift.h5"):
        SimpleITK.WriteTransform(SimpleITK.CompositeTransform([shift]), str(tmp_path / name))
    ras = np.broadcast_to(np.array([-6.0, 4.0, 2.0], np.float32), (*array.shape, 3))
    write_field(DisplacementField(ras, LPS_AFFINE), tmp_path / "shift.nii.gz")
    return tmp_path


def applied(folder, transform, source, onto, *more):
    """Return the arguments that carry one scan of the folder onto another."""
    return [
        *("apply", folder / transform, folder / f"{source}.nii.gz", "--onto", folder / f"{onto}.nii.gz"),
        *("--output", folder / "out.nii.gz", "--modality", "ct", *more),
    ]
