"""Scans moved by a rigid map that is drawn from a seed: what a registration should find is then known."""

import json
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anatomical_embedding.canonical_text import sha256_of_text
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import write_json
from anatomical_embedding.settings.dataset import KnownMoveSettings
from anatomical_embedding.volumes.affine import Points, invert_affine
from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume


def draw_move(volume: Volume, volume_id: str, *, settings: KnownMoveSettings) -> NDArray[np.float64]:
    """Return the (4, 4) map of world points mm RAS+ that moves a volume, from its id and the seed alone.

    Parameters
    ----------
    volume : rotated about its middle.
    volume_id : its id.
    settings : the seed and how far.
    """
    generator = np.random.default_rng([settings.seed, int(sha256_of_text(volume_id)[:15], 16)])
    axis, direction = (vector / np.linalg.norm(vector) for vector in generator.standard_normal((2, 3)))
    angle = np.deg2rad(generator.uniform(0.0, settings.max_rotation_degrees))
    shift = generator.uniform(0.0, settings.max_translation_mm) * direction
    middle = volume.centre_mm
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(angle * axis).as_matrix()
    matrix[:3, 3] = middle + shift - matrix[:3, :3] @ middle
    return matrix


def move_volume(volume: Volume, matrix: NDArray[np.float64]) -> Volume:
    """Return the volume seen by a scanner whose patient was moved: resampled on a grid along its old axes.

    The grid has the old spacing and holds all moved voxels; what the old one did not show has the lowest intensity.
    """
    corners = np.array(list(product(*[(-0.5, size - 0.5) for size in volume.shape])))
    moved = (invert_affine(volume.affine) @ matrix @ volume.affine) @ np.c_[corners, np.ones(8)].T
    low, high = np.floor(moved[:3].min(axis=1) + 0.5), np.ceil(moved[:3].max(axis=1) + 0.5)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    size_x, size_y, size_z = (int(size) for size in high - low)
    sampled = resample_onto(
        volume,
        shape=(size_x, size_y, size_z),
        affine=invert_affine(matrix) @ affine,
        is_label=False,
        fill_value=float(volume.array.min()),
    )
    return Volume(sampled.array, affine)


def box_points(mask: Volume) -> Points:
    """Return (27, 3) world points of the box round a mask: its corners and the middles between them."""
    inside = np.argwhere(mask.array > 0)
    low, high = inside.min(axis=0), inside.max(axis=0)
    return mask.world_from_voxel(np.array(list(product(*zip(low, (low + high) / 2.0, high, strict=True)))))


def write_move(matrix: NDArray[np.float64], path: Path) -> None:
    """Write a move as JSON, atomically."""
    write_json(path, {"moved_from_shared_world": matrix.tolist()})


def read_move(path: Path) -> NDArray[np.float64]:
    """Return the (4, 4) move in a file.

    Raises
    ------
    InputFileError
        if it holds none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return np.array(content["moved_from_shared_world"], dtype=np.float64).reshape(4, 4)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputFileError(
            path, f"does not describe the move of a scan ({error}); make it again"
        ) from error
