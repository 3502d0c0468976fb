"""Scans of an endless tissue for tests of the refinement to the voxel, and the settings of these."""

import numpy as np

from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.volume import Volume

SETTINGS = RefinementSettings(
    correlation={
        "half_size_mm": 18,
        "step_mm": 2.5,
        "deviation_mm": 9,
        "blur_steps": 0.5,
        "reach_mm": 12.5,
        "return_reach_mm": 7.5,
    },
    descent={
        "passes": [
            {
                "half_size_mm": 24,
                "min_voxels": 1000,
                "step_mm": 5,
                "blur_mm": 2.5,
                "reach_mm": 5,
                "num_steps": 6,
                "deviation_mm": 12,
            },
            {
                "half_size_mm": 14,
                "min_voxels": 800,
                "step_mm": 2.5,
                "blur_mm": 0,
                "reach_mm": 4,
                "num_steps": 8,
                "deviation_mm": 6,
            },
        ],
        "chance_gain": 1,
        "sure_gain": 4,
        "stiffness": 0.1,
        "min_correlation": 0.9,
    },
    consensus={
        "min_matches": 5,
        "reach_mm": 100,
        "stiffness_mm": 20,
        "smallest_scale_mm": 2,
        "astray_mm": 8,
    },
    min_correlation=0.2,
    max_return_mm=4,
    max_shift_alone_mm=10,
    neighbour_mm=30,
    max_disagreement_mm=4,
    min_neighbours=3,
)
SPACING_MM = 2.0
SIZE = 60


def tissue(points_mm):
    """Return the intensity of an endless tissue at (..., 3) places: waves of many directions, in HU."""
    generator = np.random.default_rng(5)
    total = np.zeros(points_mm.shape[:-1])
    for _ in range(60):
        direction = generator.standard_normal(3)
        length_mm = generator.uniform(14, 60)
        wave = points_mm @ (direction / np.linalg.norm(direction)) * (2 * np.pi / length_mm)
        total += np.sin(wave + generator.uniform(0, 2 * np.pi)) * length_mm / 4
    return total


def scan(affine, shape=(SIZE, SIZE, SIZE), *, source_of=lambda points_mm: points_mm, gain=1.0, offset=0.0):
    """Return the tissue on a grid; `source_of` says which place of the tissue lies at a place of the scan."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points_mm = grid @ affine[:3, :3].T + affine[:3, 3]
    return Volume((gain * tissue(source_of(points_mm)) + offset).astype(np.float32), affine)


def straight():
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (SIZE - 1) / 2
    return affine


def off(points_mm, *, by_mm=4.0):
    """Return points a known length off, each in a direction of its own."""
    directions = np.random.default_rng(2).standard_normal(points_mm.shape)
    return points_mm + by_mm * directions / np.linalg.norm(directions, axis=1, keepdims=True)
