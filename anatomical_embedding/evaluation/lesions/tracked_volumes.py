"""The stored grids of the volumes of a tracking data set, by the file names that the annotations use."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.deeplesion_tracking import volume_of_file
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.lesions.frames import annotation_affine
from anatomical_embedding.index_file import IndexRow
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.grid import Grid


@dataclass(frozen=True)
class TrackedVolume(Grid):
    """A volume as the annotations see it.

    Attributes
    ----------
    row : its place in the index.
    affine : (4, 4) annotation index to world mm RAS+.
    shape : voxels along the axes of the annotation.
    """

    row: IndexRow
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


def tracked_volumes(rows: Iterable[IndexRow]) -> dict[str, TrackedVolume]:
    """Return volume id -> tracked volume, with the grid that the description beside the prepared volume gives.

    Raises
    ------
    InputFileError
        if a description is missing or cut short.
    """
    volumes = {}
    for row in rows:
        affine, shape = _raw_grid(row.image_path.with_suffix(".json"))
        frame = annotation_affine(affine, shape=shape.tolist())
        directions = invert_affine(affine)[:3, :3] @ frame[:3, :3]
        x, y, z = np.rint(np.abs(directions).T @ shape).astype(int).tolist()
        volumes[row.volume_id] = TrackedVolume(row, frame, (x, y, z))
    return volumes


def tracked_volume_of(
    volumes: Mapping[str, TrackedVolume], file_name: str, *, path: Path | str
) -> TrackedVolume:
    """Return the tracked volume of a file name that annotations give.

    Raises
    ------
    InputFileError
        naming `path`, the annotations, if there is no such volume.
    """
    volume_id = volume_of_file(file_name)
    if volume_id not in volumes:
        raise InputFileError(
            path, f"names the volume {file_name!r}, which is not in the index of the data set"
        )
    return volumes[volume_id]


def _raw_grid(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["raw"]
        return np.array(raw["affine"], dtype=np.float64), np.array(raw["shape"], dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            path, f"cannot be read as a description ({error!r}); prepare the volume first"
        ) from error
