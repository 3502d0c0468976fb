"""Pairs of points that look alike in two volumes, and the file that holds them."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
    return_distance_mm : (N,) distance to the point that was asked, after matching forth and back.
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
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row, is_kept in zip(numbers.tolist(), correspondences.is_kept.tolist(), strict=True):
            writer.writerow(
                [*("" if math.isnan(number) else f"{number:.4f}" for number in row), int(is_kept)]
            )


def read_correspondences(path: Path) -> Correspondences:
    """Return the correspondences in a file.

    Raises
    ------
    InputFileError
        if columns are missing or hold something else than finite numbers.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *records = csv.reader(stream)
    except (OSError, ValueError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as a table ({error})") from error
    if tuple(header) != COLUMNS:
        raise InputFileError(path, f"line 1: expected the columns {','.join(COLUMNS)}")
    try:
        numbers = np.array([[float(cell) for cell in record] for record in records])
        numbers = numbers.reshape(-1, len(COLUMNS))
    except ValueError as error:
        raise InputFileError(path, f"holds something else than numbers ({error})") from error
    if not np.isfinite(numbers).all():
        raise InputFileError(path, "holds numbers that are not finite; match the grid anew")
    return Correspondences(numbers[:, :3], numbers[:, 3:6], numbers[:, 6], numbers[:, 7], numbers[:, 8] > 0)
