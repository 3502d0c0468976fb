"""Pairs of points that look alike in two volumes, and the file that holds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.volumes.affine import Points

FIXED = ["fixed_x_mm", "fixed_y_mm", "fixed_z_mm"]
MOVING = ["moving_x_mm", "moving_y_mm", "moving_z_mm"]
COLUMNS = (*FIXED, *MOVING, "similarity", "return_distance_mm", "is_kept")


@dataclass(frozen=True)
class Correspondences:
    """Points of a fixed volume and what they were matched with in a moving one.

    Attributes
    ----------
    fixed_mm, moving_mm : (N, 3) world RAS+.
    similarity : (N,) mean cosine of the heads in [-1, 1].
    return_distance_mm : (N,) distance to the point that was asked, after matching there and back.
    is_kept : (N,) whether similar and consistent enough.
    """

    fixed_mm: Points
    moving_mm: Points
    similarity: NDArray[np.float64]
    return_distance_mm: NDArray[np.float64]
    is_kept: NDArray[np.bool_]


def write_correspondences(correspondences: Correspondences, path: Path) -> None:
    """Write correspondences as CSV, atomically, to 0.1 µm."""
    table = pd.DataFrame(
        np.hstack([correspondences.fixed_mm, correspondences.moving_mm]), columns=[*FIXED, *MOVING]
    )
    table["similarity"] = correspondences.similarity
    table["return_distance_mm"] = correspondences.return_distance_mm
    table["is_kept"] = correspondences.is_kept.astype(int)
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")


def read_correspondences(path: Path) -> Correspondences:
    """Return the correspondences in a file.

    Raises
    ------
    InputFileError
        if columns are missing or hold something else than finite numbers.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as a table ({error})") from error
    if tuple(table.columns) != COLUMNS:
        raise InputFileError(path, f"line 1: expected the columns {','.join(COLUMNS)}")
    try:
        numbers = table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise InputFileError(path, f"holds something else than numbers ({error})") from error
    if not np.isfinite(numbers).all():
        raise InputFileError(path, "holds numbers that are not finite; match the grid again")
    return Correspondences(numbers[:, :3], numbers[:, 3:6], numbers[:, 6], numbers[:, 7], numbers[:, 8] > 0)
