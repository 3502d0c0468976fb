"""A small body whose voxels are spread as those of real scans: air, skin, fat, muscle, lung and bone, with noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHAPE = (48, 44, 20)


def ct_like(*, seed: int = 0) -> NDArray[np.int16]:
    """Return HU: a round body of fat round muscle, with a lung and a bone, in air."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE[:2]), indexing="ij")
    radius = np.hypot(x, y)
    plane = np.full(SHAPE[:2], -1000.0)
    plane[radius < 0.8] = -100.0
    plane[radius < 0.6] = 45.0
    plane[np.hypot(x - 0.25, y) < 0.15] = -850.0
    plane[np.hypot(x + 0.25, y) < 0.08] = 700.0
    blurred = gaussian_filter(plane, 0.5)[..., np.newaxis]
    noisy = blurred + rng.normal(0.0, 12.0, SHAPE)
    return np.rint(np.maximum(noisy, -1024.0)).astype(np.int16)


def mr_like(*, seed: int = 0) -> NDArray[np.int16]:
    """Return an MR of the same body: dark background and bone, muscle at 370, fat at 950."""
    rng = np.random.default_rng(seed)
    hu = ct_like(seed=seed).astype(float)
    values = np.interp(hu, [-1000, -850, -160, -100, -40, 45, 300, 700], [0, 40, 800, 950, 700, 370, 200, 60])
    return np.rint(np.abs(gaussian_filter(values, 0.6) + rng.normal(0.0, 15.0, SHAPE))).astype(np.int16)
