"""Where the moving volume lies before anything is registered."""

from typing import Literal

import numpy as np

from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume


def on_fixed_grid(
    moving: Volume, fixed: Volume, *, start: Literal["world", "centres"], is_label: bool, fill_value: float
) -> Volume:
    """Return the moving volume on the grid of the fixed one, unregistered.

    Parameters
    ----------
    moving, fixed : volumes of any geometry.
    start : what lies on one another: equal world coordinates, or the centres of the volumes.
    is_label : nearest voxel instead of linear interpolation.
    fill_value : value where the moving volume does not reach.
    """
    affine = starting_matrix(moving, fixed, start=start) @ fixed.affine
    sampled = resample_onto(
        moving, shape=fixed.shape, affine=affine, is_label=is_label, fill_value=fill_value
    )
    return Volume(sampled.array, fixed.affine)


def starting_matrix(moving: Volume, fixed: Volume, *, start: Literal["world", "centres"]) -> np.ndarray:
    """Return the (4, 4) map from the fixed to the moving world before anything is registered."""
    matrix = np.eye(4)
    if start == "centres":
        matrix[:3, 3] = moving.centre_mm - fixed.centre_mm
    return matrix
