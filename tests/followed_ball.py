"""A scan with one ball of tissue, as a lesion that is followed, for tests."""

import numpy as np

from anatomical_embedding.volumes.volume import Volume

CENTRE_MM = np.array([3.0, -2.0, 5.0])
AFFINE = np.array([[-2.0, 0, 0, 43.0], [0, -2.0, 0, 38.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1.0]])
LESION_HU, TISSUE_HU, NOISE_HU = 60.0, -100.0, 15.0


def scan_with_ball(radius_mm, *, seed=0):
    """Return a scan with a ball of tissue, and its mask."""
    voxels = np.stack(np.meshgrid(*[np.arange(size) for size in (40, 40, 36)], indexing="ij"), axis=-1)
    inside = np.linalg.norm(voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE_MM, axis=-1) < radius_mm
    noise = np.random.default_rng(seed).normal(0.0, NOISE_HU, inside.shape)
    return Volume(np.where(inside, LESION_HU, TISSUE_HU) + noise, AFFINE), Volume(inside, AFFINE)
