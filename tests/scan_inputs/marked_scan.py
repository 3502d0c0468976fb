"""One body with five voxels of known value and place, and what an input made of it is expected to do.

The marks lie at `MARKS_MM`, in mm RAS+, by one array and one matrix; no reader of ours has a part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.ct_like import ct_like

SPACING_MM = np.array([2.0, 1.5, 3.0])
DIRECTIONS = Rotation.from_euler("xyz", [12, -20, 33], degrees=True).as_matrix()
"""Of the axes of the array in RAS, a column each."""
ORIGIN_MM = np.array([-60.0, 35.0, -140.0])
MARKS_VOX = np.array([[20, 22, 4], [30, 20, 9], [25, 12, 15], [14, 25, 11], [33, 27, 6]])
MARK_VALUES = np.array([1501, 1502, 1503, 1504, 1505])
MARKS_MM = ORIGIN_MM + (MARKS_VOX * SPACING_MM) @ DIRECTIONS.T
LPS = np.array([-1.0, -1.0, 1.0])


def scan_array() -> NDArray[np.int16]:
    """Return the (X, Y, Z) HU of the body with its marks."""
    hu = ct_like().copy()
    hu[tuple(MARKS_VOX.T)] = MARK_VALUES
    return hu


HU = scan_array()


@dataclass(frozen=True)
class ScanInput:
    """One input.

    Attributes
    ----------
    write : writes it into an empty folder and returns its path.
    refusal : part of the one line that refuses it; empty for an input that is read.
    remarks : parts of what is said about it.
    options : what its user says of it.
    is_resampled : its slices lie on no straight grid, so that marks are blurred; they are found by their middle.
    marks_mm : where the marks lie.
    """

    write: Callable[[Path], Path]
    refusal: str = ""
    remarks: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    is_resampled: bool = False
    marks_mm: NDArray[np.float64] = field(default_factory=MARKS_MM.copy)


def matrix(*, scale: float = 1.0) -> NDArray[np.float64]:
    """Return the (3, 4) voxel to RAS matrix of the scan."""
    return np.c_[DIRECTIONS * SPACING_MM, ORIGIN_MM] * scale
