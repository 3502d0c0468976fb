"""Small prepared data sets on disk, written the way the stage `resample` leaves them."""

from pathlib import Path

import numpy as np

from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.index_file import IndexRow, write_index
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume

LPS_AXES = np.diag([-1.0, -1.0, 1.0])


def lps_affine(*, spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0)):
    """Return the affine of an LPS-ordered array."""
    affine = np.eye(4)
    affine[:3, :3] = LPS_AXES @ np.diag(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


def write_prepared(
    folder: Path, volume_id: str, image: Volume, body_mask: Volume, *, patient_id: str, split: str = "test"
) -> IndexRow:
    """Write image and body mask and return their index row."""
    image_path, mask_path = folder / f"{volume_id}.nii", folder / f"{volume_id}_body.nii"
    write_volume(image, image_path)
    write_volume(body_mask, mask_path)
    return IndexRow(
        volume_id,
        patient_id,
        "ct",
        split,
        image_path.resolve(),
        mask_path.resolve(),
        None,
        sha256_of_file(image_path),
        *image.shape,
        *(float(spacing) for spacing in image.spacing_mm),
    )


def write_prepared_index(folder: Path, rows: list[IndexRow]) -> Path:
    """Write the index of prepared volumes and return its path."""
    path = folder / "index.csv"
    write_index(rows, path)
    return path
