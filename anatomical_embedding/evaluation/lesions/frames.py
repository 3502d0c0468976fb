"""Where the index grid of the lesion annotations lies in the world.

The annotations count voxels towards the patient's left, back and feet (L, P, I), whatever the order in which a file
stores them. `annotation_affine` builds the affine of that grid for a volume at hand. Scoring takes such affines from
a table and infers nothing, so that a score cannot depend on how a scan lies in its world.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.csv_table import FINITE, TEXT, read_table, write_csv_table
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import (
    Points,
    invert_affine,
    spacing_from_affine,
    transform_points,
)

AFFINE_COLUMNS = tuple(f"affine_{row}{column}" for row in range(3) for column in range(4))
"""Columns of the table: the first three rows of the affine, row by row."""

SPACING_TOLERANCE_MM = 1e-3
"""The annotations give spacings to six decimals; a thousandth is far above that and far below any real change."""

LEFT_POSTERIOR_INFERIOR = -np.eye(3)
"""Rows: the RAS+ directions of the annotation's axes."""


def annotation_affine(affine: ArrayLike, *, shape: Sequence[int]) -> NDArray[np.float64]:
    """Return the (4, 4) affine from annotation index to world mm RAS+ of a stored volume.

    Parameters
    ----------
    affine : (4, 4) voxel to world mm RAS+ of the array as it is stored.
    shape : (X, Y, Z) of that array.

    Examples
    --------
    The last slice of a volume stored from feet to head is the first of the annotations:

    >>> stored = np.diag([-1.0, -1.0, 5.0, 1.0])
    >>> annotation_affine(stored, shape=(512, 512, 20)) @ np.array([3, 4, 0, 1.0])
    array([-3., -4., 95.,  1.])
    """
    affine = np.asarray(affine, dtype=np.float64)
    directions = affine[:3, :3] / spacing_from_affine(affine)
    stored_from_annotation = np.zeros((4, 4))
    stored_from_annotation[3, 3] = 1.0
    for axis, stored_axis in enumerate(_closest_axes(directions)):
        is_along = directions[:, stored_axis] @ LEFT_POSTERIOR_INFERIOR[axis] > 0
        stored_from_annotation[stored_axis, axis] = 1.0 if is_along else -1.0
        stored_from_annotation[stored_axis, 3] = 0.0 if is_along else shape[stored_axis] - 1.0
    return affine @ stored_from_annotation


def _closest_axes(directions: NDArray[np.float64]) -> list[int]:
    """Return the stored axis nearest to each world axis, each used once; the clearest is taken first."""
    closeness = np.abs(directions)  # rows: world axes, columns: stored axes
    chosen = [0, 0, 0]
    for _ in range(3):
        world_axis, stored_axis = np.unravel_index(np.argmax(closeness), closeness.shape)
        chosen[world_axis] = int(stored_axis)
        closeness[world_axis, :] = closeness[:, stored_axis] = -1.0
    return chosen


def voxels_from_world(
    points_mm: ArrayLike, files: Sequence[str], affines: Mapping[str, NDArray[np.float64]]
) -> Points:
    """Return (N, 3) annotation indices of (N, 3) world mm, each in the grid of its own volume.

    Parameters
    ----------
    points_mm : (N, 3) mm RAS+; NaN stays NaN.
    files : N file names.
    affines : file name -> (4, 4) affine of the annotation grid.
    """
    points_mm = np.asarray(points_mm, dtype=np.float64)
    inverses = {name: invert_affine(affines[name]) for name in set(files)}
    return np.array(
        [transform_points(inverses[name], point) for name, point in zip(files, points_mm, strict=True)]
    ).reshape(-1, 3)


def write_frames(affines: Mapping[str, NDArray[np.float64]], path: Path | str) -> None:
    """Write the table of annotation affines: column `volume`, then the twelve `AFFINE_COLUMNS`."""
    rows = [
        [name, *(repr(float(value)) for value in affine[:3].ravel())]
        for name, affine in sorted(affines.items())
    ]
    write_csv_table(("volume", *AFFINE_COLUMNS), rows, path)


def read_annotation_frames(
    path: Path | str, *, spacings_mm: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return file name -> (4, 4) affine of the annotation grid, for every volume asked for.

    Parameters
    ----------
    path : CSV with the columns `volume`, `affine_00` ... `affine_23`.
    spacings_mm : file name -> (3,) spacing that the annotations give; the affines must agree with it.

    Raises
    ------
    InputFileError
        naming the row whose affine is malformed, singular, repeated, or of another spacing, or the absent volume.
    """
    affines: dict[str, NDArray[np.float64]] = {}
    columns = {"volume": TEXT, **dict.fromkeys(AFFINE_COLUMNS, FINITE)}
    for line, cells in read_table(path, columns, may_have_more=True, unique=("volume",)):
        affine = np.eye(4)
        affine[:3] = np.reshape([cells[name] for name in AFFINE_COLUMNS], (3, 4))
        if np.linalg.det(affine[:3, :3]) == 0:
            raise InputFileError(path, f"line {line}: the affine of {cells['volume']!r} is singular")
        affines[cells["volume"]] = affine
    for name, spacing in spacings_mm.items():
        if name not in affines:
            raise InputFileError(path, f"has no row for the volume {name!r} that the annotations name")
        found = spacing_from_affine(affines[name])
        if np.abs(found - spacing).max() > SPACING_TOLERANCE_MM:
            raise InputFileError(
                path,
                f"volume {name!r}: its affine has spacing {found.round(4).tolist()} mm, the annotations say "
                f"{np.round(spacing, 4).tolist()} mm; is it the affine of another volume or axis order?",
            )
    return affines
