"""Embeddings that know where they are: smooth unit vectors whose cosine falls with the distance in the world.

The vector of a point holds cosine and sine of random plane waves (random Fourier features), so the scalar product of
two points depends on their difference alone and is exactly 1 only where they coincide. Anatomy is what the waves are
evaluated at: a target whose anatomy is the template's, moved by a known map, must be matched by that map.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume, Origin, Size, embedded_volume
from anatomical_embedding.settings.matching import StoreSettings
from anatomical_embedding.volumes.affine import affine_of_cells, transform_points

FINE_LENGTH_MM = 15.0
COARSE_LENGTH_MM = 60.0
ORIGIN = Origin(checkpoint_sha256="c" * 64, volume_sha256="a" * 64, preprocessing_sha256="e" * 64)


def position_vectors(
    points_mm: NDArray, *, num_channels: int, length_mm: float, seed: int
) -> NDArray[np.float32]:
    """Return (..., C) unit vectors of (..., 3) points; the cosine of two falls over about `length_mm`."""
    waves = np.random.default_rng(seed).normal(size=(3, num_channels // 2)) / length_mm
    phase = (points_mm @ waves).astype(np.float32)
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=-1) / np.float32(np.sqrt(num_channels // 2))


def synthetic_volume(
    affine: NDArray,
    shape: Size,
    *,
    fine_stride_vox: Size = (2, 2, 2),
    coarse_stride_vox: Size = (16, 16, 4),
    num_channels: int = 32,
    has_semantic: bool = False,
    anatomy_of: Callable[[NDArray], NDArray] = lambda points_mm: points_mm,
    noise: float = 0.0,
    store_format: str = "fp16",
    volume_id: str = "synthetic",
) -> EmbeddedVolume:
    """Return an embedding of a volume, evaluated at `anatomy_of(world point)` of each cell.

    `noise` is the length of a random vector added to each unit vector before it is normalised again.
    """
    random = np.random.default_rng(len(volume_id))

    def head(stride_vox: Size, length_mm: float, seed: int) -> NDArray:
        sizes = [-(-size // stride) for size, stride in zip(shape, stride_vox, strict=True)]
        cell_affine = affine_of_cells(affine, stride_vox=stride_vox)
        values = np.empty((*sizes[::-1], num_channels), dtype=np.float32)
        rows, columns = np.meshgrid(np.arange(sizes[1]), np.arange(sizes[0]), indexing="ij")
        for z in range(sizes[2]):
            cells = np.stack([columns, rows, np.full_like(rows, z)], axis=-1)
            points_mm = anatomy_of(transform_points(cell_affine, cells))
            plane = position_vectors(points_mm, num_channels=num_channels, length_mm=length_mm, seed=seed)
            if noise:
                disturbance = random.standard_normal(plane.shape, dtype=np.float32)
                plane += disturbance * np.float32(noise / np.sqrt(num_channels))
                plane /= np.linalg.norm(plane, axis=-1, keepdims=True)
            values[z] = plane
        return values

    return embedded_volume(
        head(fine_stride_vox, FINE_LENGTH_MM, 1),
        head(coarse_stride_vox, COARSE_LENGTH_MM, 2),
        head(fine_stride_vox, FINE_LENGTH_MM * 2, 3) if has_semantic else None,
        fine_stride_vox=fine_stride_vox,
        coarse_stride_vox=coarse_stride_vox,
        volume_id=volume_id,
        shape=shape,
        affine=affine,
        origin=ORIGIN,
        settings=StoreSettings(format=store_format),
    )
