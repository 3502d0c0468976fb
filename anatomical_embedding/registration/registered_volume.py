"""Registered pairs as a training reads them: the grid of the moving volume, and the list of pairs."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.csv_table import (
    FINITE,
    TEXT,
    choice,
    path_below,
    read_table,
    relative_text,
    write_csv_table,
)
from anatomical_embedding.registration.displacement_field import DisplacementField, resample_through
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume, VolumeHeader


@dataclass(frozen=True)
class RegisteredPairRow:
    """One registered pair; the fields are the columns of the file.

    Attributes
    ----------
    fixed_id, moving_id : volumes, in the index of their data set.
    status : found or failed; failed pairs are used for no training.
    reason : why it failed; empty where it was found.
    confidence : 0 to 1, weight of the pair in a training.
    image_path, mask_path : moving volume in the fixed world and the body that both show; below the file's folder.
    """

    fixed_id: str
    moving_id: str
    status: str
    reason: str
    confidence: float
    image_path: Path
    mask_path: Path


COLUMNS = tuple(field.name for field in fields(RegisteredPairRow))


def registered_grid(field: DisplacementField, *, spacing_mm: NDArray[np.float64]) -> VolumeHeader:
    """Return the grid that fills the box of a field at another spacing, corner on corner.

    Parameters
    ----------
    field : its grid is the box.
    spacing_mm : (3,) along the array axes.

    Notes
    -----
    Sizes are rounded, so that every voxel has its centre in the box.
    """
    strides = np.asarray(spacing_mm) / spacing_from_affine(field.affine)
    sizes = np.array(field.displacements_mm.shape[:3]) / strides
    size_x, size_y, size_z = (max(1, int(size)) for size in np.rint(sizes))
    return VolumeHeader((size_x, size_y, size_z), affine_of_cells(field.affine, stride_vox=strides))


def body_in_both(
    field: DisplacementField, fixed_body: Volume, moving_body: Volume, *, grid: VolumeHeader
) -> Volume:
    """Return the uint8 mask of the body that both volumes show, on a grid in the fixed world."""
    fixed = resample_onto(fixed_body, shape=grid.shape, affine=grid.affine, is_label=True, fill_value=0)
    moving = resample_through(field, moving_body, grid=grid, is_label=True, fill_value=0)
    return Volume(fixed.array * moving.array, grid.affine)


def write_registered_pairs(rows: Iterable[RegisteredPairRow], path: Path) -> None:
    """Write a list of pairs atomically, sorted, with paths relative to it."""
    texts = [
        (
            *(row.fixed_id, row.moving_id, row.status, row.reason, f"{row.confidence:.4f}"),
            *(relative_text(place, table=path) for place in (row.image_path, row.mask_path)),
        )
        for row in sorted(rows, key=lambda row: (row.fixed_id, row.moving_id))
    ]
    write_csv_table(COLUMNS, texts, path)


def read_registered_pairs(path: Path) -> list[RegisteredPairRow]:
    """Return the pairs of a list.

    Raises
    ------
    InputFileError
        naming the line at fault.
    """
    place = path_below(path.parent.resolve())
    columns = {
        **dict.fromkeys(("fixed_id", "moving_id"), TEXT),
        "status": choice("found", "failed"),
        "reason": TEXT,
        "confidence": FINITE,
        **dict.fromkeys(("image_path", "mask_path"), place),
    }
    return [RegisteredPairRow(**cells) for _, cells in read_table(path, columns)]
