"""Whether points lie where a volume shows anything."""

import numpy as np

from anatomical_embedding.volumes.volume import Volume


def is_inside(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """Return whether each of (..., 3) world points lies in a voxel of the volume; voxels reach half way."""
    steps_from_corner = volume.voxel_from_world(points_mm) + 0.5
    return np.all((steps_from_corner >= 0.0) & (steps_from_corner <= np.array(volume.shape)), axis=-1)
