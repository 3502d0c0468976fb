"""Pairs of points that look alike in two volumes, and the file that holds them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.csv_table import FINITE, read_table, write_csv_table
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
    numbers = np.column_stack(
        [
            correspondences.fixed_mm,
            correspondences.moving_mm,
            correspondences.similarity,
            correspondences.return_distance_mm,
        ]
    )
    rows = [
        [*("" if math.isnan(number) else f"{number:.4f}" for number in row), int(is_kept)]
        for row, is_kept in zip(numbers.tolist(), correspondences.is_kept.tolist(), strict=True)
    ]
    write_csv_table(COLUMNS, rows, path)


def read_correspondences(path: Path) -> Correspondences:
    """Return the correspondences in a file.

    Raises
    ------
    InputFileError
        if columns are missing or hold something else than finite numbers.
    """
    rows = read_table(path, dict.fromkeys(COLUMNS, FINITE))
    numbers = np.array([[cells[name] for name in COLUMNS] for _, cells in rows]).reshape(-1, len(COLUMNS))
    return Correspondences(numbers[:, :3], numbers[:, 3:6], numbers[:, 6], numbers[:, 7], numbers[:, 8] > 0)
