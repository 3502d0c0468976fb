"""Two CT-like scans on oblique grids, and what `register` finds between them at its delivered settings."""

from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomical_embedding.registration.itk_transform import affine_transform
from anatomical_embedding.registration.pair_map import PairMap
from anatomical_embedding.usage.model import load_model
from anatomical_embedding.usage.registration import register_scans
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import write_model
from tests.unit.samples import oblique_affine

SHAPE = (112, 96, 88)
STEP_MM = 2.0
"""Of the grid on which the anatomy is drawn, whose middle is the origin of its world."""
AIR_HU, MUSCLE_HU, NOISE_HU = -1000.0, 45.0, 12.0
ORGANS = (  # centre and half axes, mm; HU
    ((0, 0, 0), (92, 72, 400), -100.0),
    ((0, 0, 0), (80, 60, 400), MUSCLE_HU),
    ((-40, 8, 25), (26, 32, 45), -830.0),
    ((38, 12, 30), (26, 30, 40), -840.0),
    ((-32, 5, -45), (34, 36, 30), 105.0),
    ((28, -12, -50), (14, 12, 24), 160.0),
    ((8, 18, 5), (16, 14, 26), 190.0),
)
VERTEBRAE = [((0, -42, z), (17, 14, 9), 500.0) for z in range(-90, 91, 24)]
NUM_LUMPS = 60
"""Vessels, nodes and bowel: what makes every place of the trunk look like no other."""
LARGEST_MOTION_MM = 8.0
MOTION_VOX = 12.0
"""How far the motion of neighbouring organs is alike, as a deviation."""
FIXED_GRID = ((70, 58, 36), oblique_affine((7, -5, 9), (2.2, 2.4, 4.0)))
MOVING_GRID = ((60, 72, 30), oblique_affine((-4, 8, -6), (2.6, 1.9, 4.5)))
START = oblique_affine((-5, 7, 4), (1.0, 1.0, 1.0), (12.0, -25.0, 130.0))


def registered_pair(folder: Path, program: Path) -> tuple[Volume, Volume, PairMap]:
    """Write a model and two scans into a folder, register them, and return the scans and the map between them.

    The scans come as floats: programs round or cut the fractions of whole numbers, each in its own way.
    """
    random = np.random.default_rng(11)
    anatomy = _anatomy(random)
    motion = np.stack([gaussian_filter(random.standard_normal(SHAPE), MOTION_VOX) for _ in range(3)])
    motion *= LARGEST_MOTION_MM / STEP_MM / np.abs(motion).max(axis=(1, 2, 3), keepdims=True)
    moved = map_coordinates(anatomy, np.indices(SHAPE) + motion, order=1, mode="nearest")
    fixed = _scan(anatomy, *FIXED_GRID, world=np.eye(4), random=random)
    moving = _scan(moved, *MOVING_GRID, world=START, random=random)
    for volume, name in ((fixed, "fixed"), (moving, "moving")):
        write_volume(volume, folder / f"{name}.nii.gz")
    SimpleITK.WriteTransform(affine_transform(START), str(folder / "start.tfm"))
    found = register_scans(
        load_model(write_model(folder)),
        folder / "fixed.nii.gz",
        folder / "moving.nii.gz",
        folder=folder,
        initial=folder / "start.tfm",
        program=program,
    )
    return *(Volume(scan.array.astype(np.float32), scan.affine) for scan in (fixed, moving)), found.pair_map


def _lumps(random: np.random.Generator) -> list[tuple[NDArray, NDArray, float]]:
    """Return ellipsoids in the trunk, from fat to contrast agent."""
    centres = random.uniform((-60, -30, -85), (60, 45, 85), (NUM_LUMPS, 3))
    axes = random.uniform(4, 14, (NUM_LUMPS, 3))
    return list(zip(centres, axes, random.uniform(-90, 260, NUM_LUMPS).tolist(), strict=True))


def _anatomy(random: np.random.Generator) -> NDArray[np.float64]:
    """Return HU on the grid of the anatomy: organs one over the other, edges and texture as wide as scanners leave."""
    places_mm = (np.indices(SHAPE).astype(float).T - (np.array(SHAPE) - 1) / 2).T * STEP_MM
    hu = np.full(SHAPE, AIR_HU)
    for centre, axes, value in (*ORGANS, *VERTEBRAE, *_lumps(random)):
        distance = [(places_mm[axis] - centre[axis]) / axes[axis] for axis in range(3)]
        hu[np.square(distance).sum(axis=0) < 1] = value
    texture = gaussian_filter(random.standard_normal(SHAPE), 1.5)
    return gaussian_filter(hu, 0.7) + np.where(hu > AIR_HU, 25 * texture / texture.std(), 0.0)


def _scan(
    anatomy: NDArray[np.float64],
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    *,
    world: NDArray[np.float64],
    random: np.random.Generator,
) -> Volume:
    """Return what a scanner with a grid of its own sees, whole HU; `world` leads from the anatomy to its world."""
    affine = affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    voxels = np.indices(shape).reshape(3, -1)
    places_mm = affine[:3, :3] @ voxels + affine[:3, 3:]
    drawn = places_mm / STEP_MM + (np.array(SHAPE)[:, None] - 1) / 2
    hu = map_coordinates(anatomy, drawn, order=1, cval=AIR_HU).reshape(shape)
    noisy = np.maximum(hu + random.normal(0.0, NOISE_HU, shape), -1024.0)
    return Volume(np.rint(noisy).astype(np.int16), world @ affine)
