"""Settings of a registration, and two volumes with organs between which the map is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.settings.registration import DeedsSettings
from anatomical_embedding.volumes.volume import Volume

ORGANS = ("liver", "kidney", "spine")
SHAPE = (60, 56, 48)
AFFINE = np.array([[-2.5, 0, 0, 70], [0, -2.5, 0, 60], [0, 0, 2.5, -40], [0, 0, 0, 1.0]])
ELLIPSOIDS = (((22, 26, 24), (10, 8, 10)), ((42, 30, 20), (6, 7, 9)), ((32, 42, 24), (5, 4, 18)))
HOUNSFIELD = (110, 180, 500)
LARGEST_SHIFT_VOX = 4.0
LEVELS = {"grid_spacing_vox": [5, 4, 3], "search_radius": [4, 3, 2], "quantization_vox": [2, 1, 1]}
LINEAR = {
    "kind": "affine",
    "grid_spacing_vox": [5, 4],
    "search_radius": [4, 3],
    "quantization_vox": [2, 1],
}
COARSE_DEEDS = {
    "spacing_mm": None,
    "grid_spacing_vox": [5],
    "search_radius": [2],
    "quantization_vox": [2],
    "linear": None,
}
"""Overlay of a section `deeds` for volumes of coarse voxels: one level, on their own grid."""


def deeds_content(**changes) -> dict:
    """Return the section `deeds` of a registration as plain values."""
    section = {
        "spacing_mm": None,
        "linear": LINEAR,
        **LEVELS,
        "alpha": 1.6,
        "start": "world",
        "background": -1024.0,
    }
    return section | changes


def deeds_settings(**changes) -> DeedsSettings:
    """Return the settings of the program."""
    return DeedsSettings.model_validate(deeds_content(**changes))


@dataclass(frozen=True)
class KnownPair:
    """A pair whose map is known.

    Attributes
    ----------
    fixed, moving : CTs on one grid.
    fixed_labels, moving_labels : their organs, labels 1, 2, 3.
    displacement_vox : (3, X, Y, Z), from every fixed voxel to its place in the moving volume.
    """

    fixed: Volume
    moving: Volume
    fixed_labels: Volume
    moving_labels: Volume
    displacement_vox: NDArray[np.float64]


def known_pair() -> KnownPair:
    """Return ellipsoid organs in a textured body, and the same seen through a smooth field."""
    random = np.random.default_rng(4)
    grid = np.indices(SHAPE).astype(float)
    body = ((grid[0] - 30) / 26) ** 2 + ((grid[1] - 28) / 24) ** 2 < 1
    moving = np.where(body, 40 + 400 * gaussian_filter(random.standard_normal(SHAPE), 2), -1000.0)
    labels = np.zeros(SHAPE)
    for label, ((centre, radii), value) in enumerate(zip(ELLIPSOIDS, HOUNSFIELD, strict=True), start=1):
        inside = sum(((grid[a] - centre[a]) / radii[a]) ** 2 for a in range(3)) < 1
        moving[inside], labels[inside] = value, label
    moving = gaussian_filter(moving, 0.6)
    shifts = np.stack([gaussian_filter(random.standard_normal(SHAPE), 10) for _ in range(3)])
    shifts *= LARGEST_SHIFT_VOX / np.abs(shifts).max(axis=(1, 2, 3), keepdims=True)
    fixed = map_coordinates(moving, grid + shifts, order=1, mode="nearest")
    fixed_labels = map_coordinates(labels, grid + shifts, order=0, mode="nearest")
    noisy = [image + 10 * random.standard_normal(SHAPE) for image in (fixed, moving)]
    return KnownPair(
        *[Volume(np.round(image).astype(np.int16), AFFINE) for image in noisy],
        *[Volume(array.astype(np.uint8), AFFINE) for array in (fixed_labels, labels)],
        shifts,
    )
