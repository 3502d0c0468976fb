"""Two views of a volume: affine maps drawn at random, so that correspondences are known by arithmetic.

A view is the affine map from the voxels of a patch to world mm. Zoom, rotation and place are all in that map; no
coordinate volume is ever resampled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anatomical_embedding.settings.training import ViewSettings
from anatomical_embedding.volumes.volume import Volume

MAX_BODY_DRAWS = 64
"""Draws of a voxel after which the search for one inside the body is given up (the box round the body is mostly
body, so that this is hardly ever reached)."""


@dataclass(frozen=True)
class View:
    """A patch that looks at a volume.

    Attributes
    ----------
    size_vox : (3,) voxels of the patch along x, y, z.
    affine : (4, 4) patch voxel to world mm.
    """

    size_vox: tuple[int, int, int]
    affine: NDArray[np.float64]


def draw_view_pair(
    volume: Volume, body_mask: Volume, *, settings: ViewSettings, generator: np.random.Generator
) -> tuple[View, View]:
    """Return two views of a volume.

    Usually both contain a common point; with `independent_probability` they are placed freely. A patch that is
    larger than the volume is centred on it, so that the volume is padded on all sides.

    Parameters
    ----------
    volume : the prepared volume; only its shape and affine are looked at.
    body_mask : on the same grid, positive inside the body.
    settings : how to draw.
    generator : source of all random numbers.
    """
    common_vox = _draw_common_point(body_mask, settings=settings, generator=generator)
    is_independent = generator.random() < settings.independent_probability
    views = []
    for _ in range(2):
        point_vox = generator.uniform(-0.5, np.array(volume.shape) - 0.5) if is_independent else common_vox
        views.append(
            _draw_view(
                volume,
                point_vox,
                size_vox=settings.patch_size_vox,
                settings=settings,
                generator=generator,
            )
        )
    return views[0], views[1]


def draw_crop(
    volume: Volume,
    *,
    largest_size_vox: tuple[int, int, int],
    settings: ViewSettings,
    generator: np.random.Generator,
) -> View:
    """Return a view of as much of a volume as a size allows, at a random place, zoomed and turned as the views are.

    Parameters
    ----------
    volume : the prepared volume; only its shape and affine are looked at.
    largest_size_vox : (3,) the crop is no larger than this, nor than the volume.
    settings : zoom and rotation.
    generator : source of all random numbers.
    """
    x, y, z = (min(largest, size) for largest, size in zip(largest_size_vox, volume.shape, strict=True))
    point_vox = generator.uniform(-0.5, np.array(volume.shape) - 0.5)
    return _draw_view(volume, point_vox, size_vox=(x, y, z), settings=settings, generator=generator)


def _draw_common_point(
    body_mask: Volume, *, settings: ViewSettings, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return (3,) a voxel position inside the body, or anywhere in the volume."""
    shape = np.array(body_mask.shape)
    is_from_body = generator.random() < settings.seed_in_body_probability
    for _ in range(MAX_BODY_DRAWS if is_from_body else 0):
        voxel = generator.integers(0, shape)
        if body_mask.array[tuple(voxel)]:
            return voxel.astype(np.float64)
    return generator.uniform(-0.5, shape - 0.5)


def _draw_view(
    volume: Volume,
    point_vox: NDArray[np.float64],
    *,
    size_vox: tuple[int, int, int],
    settings: ViewSettings,
    generator: np.random.Generator,
) -> View:
    """Return a view that contains a point and lies inside the volume where it fits."""
    size = np.array(size_vox, dtype=np.float64)
    zoom = generator.uniform(*settings.scale_range) * generator.uniform(*settings.axis_scale_range, size=3)
    extent_vox = size * zoom
    centre_vox = point_vox + generator.uniform(-0.5, 0.5, size=3) * extent_vox
    centre_vox = _move_inside(centre_vox, extent_vox=extent_vox, shape=np.array(volume.shape))
    angles = generator.uniform(-1.0, 1.0, size=3) * settings.max_rotation_degrees
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()

    spacing = volume.spacing_mm
    directions = volume.affine[:3, :3] / spacing
    affine = np.eye(4)
    affine[:3, :3] = rotation @ directions @ np.diag(spacing * zoom)
    centre_mm = volume.world_from_voxel(centre_vox)
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((size - 1.0) / 2.0)
    return View(size_vox=size_vox, affine=affine)


def _move_inside(
    centre_vox: NDArray[np.float64], *, extent_vox: NDArray[np.float64], shape: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Shift a box so that it lies inside the volume; centre it along axes where it is larger."""
    low = extent_vox / 2.0 - 0.5
    high = shape - 0.5 - extent_vox / 2.0
    middle = (shape - 1.0) / 2.0
    return np.where(low <= high, np.clip(centre_vox, low, np.maximum(low, high)), middle)
