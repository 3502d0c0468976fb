"""Linear transforms of FreeSurfer (`.lta`): from the source, the moving image, to the target."""

import re
from pathlib import Path

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.initial.start import InitialStart
from anatomical_embedding.volumes.affine import invert_affine
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.volume import VolumeHeader

VOXEL_TO_VOXEL, RAS_TO_RAS = 0, 1
SAME_GRID_MM = 0.1
MISTAKEN_WRITER = "NiTransforms"
"""A program that names itself in the first line of its files; `findings/` shows what it mistakes."""


def read_lta_matrix(path: Path, *, fixed: RawScan, moving: RawScan) -> InitialStart:
    """Return the start in a file of FreeSurfer.

    A file whose source is the fixed scan and whose target the moving one is taken the other way round, and said.

    Raises
    ------
    InputFileError
        if it is none, holds several maps, is of a type other than voxel to voxel and RAS to RAS, or does not say
        where its volumes lie or which of them is the source.
    """
    try:
        text = path.read_text(encoding="utf-8")
        kind = int(_value(text, "type"))
        count = int(_value(text, "nxforms"))
        rows = re.search(r"^\s*1 4 4\s*\n((?:.*\n){4})", text, re.MULTILINE)
        matrix = np.array(rows[1].split(), dtype=np.float64).reshape(4, 4)  # type: ignore[index]
        source, target = (_grid(text, side) for side in ("src", "dst"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputFileError(path, "cannot be read as a linear transform of FreeSurfer (.lta)") from error
    if count != 1:
        raise InputFileError(path, f"holds {count} maps, expected one")
    if kind not in (VOXEL_TO_VOXEL, RAS_TO_RAS):
        raise InputFileError(
            path,
            f"is of type {kind}, expected 0 (voxel to voxel) or 1 (RAS to RAS); lta_convert writes those",
        )
    if MISTAKEN_WRITER in text and not _is_same(source, target):
        raise InputFileError(
            path,
            f"was written by {MISTAKEN_WRITER}, which names the moving image as destination and the fixed one as "
            'source (version 25.1.0), so its direction is not certain; write it with fmt="itk"',
        )
    if kind == VOXEL_TO_VOXEL:
        if not all(_is_valid(text, side) for side in ("src", "dst")):
            raise InputFileError(
                path,
                "is voxel to voxel of volumes that it calls not valid, so their places are unknown; lta_convert with "
                "--src and --trg states them",
            )
        matrix = target.affine @ matrix @ invert_affine(source.affine)
    is_reversed = _is_same(source, fixed.grid) and _is_same(target, moving.grid)
    is_straight = _is_same(source, moving.grid) and _is_same(target, fixed.grid)
    if is_reversed and not is_straight:
        remark = f"{path}: leads from the fixed scan to the moving one by its own words, and is taken so"
        return InitialStart(matrix, (remark,))
    remarks = () if is_straight else (f"{path}: names volumes of another grid than these scans",)
    return InitialStart(invert_affine(matrix), remarks)


def _value(text: str, key: str) -> str:
    """Return what stands behind the first `key =` of a text."""
    found = re.search(rf"^\s*{key}\s*=\s*(.*?)\s*(?:#.*)?$", text, re.MULTILINE)
    if found is None:
        raise KeyError(key)
    return found[1]


def _is_valid(text: str, side: str) -> bool:
    """Say whether what stands of the source or the target is that of a volume; a file calls a default not valid."""
    info = text.partition(f"{side} volume info")[2].partition("dst volume info")[0]
    return re.search(r"^\s*valid\s*=\s*0", info, re.MULTILINE) is None


def _grid(text: str, side: str) -> VolumeHeader:
    """Return the grid of the source or the target; FreeSurfer states the world place of voxel N / 2."""
    _, _, info = text.partition(f"{side} volume info")
    size_x, size_y, size_z = (int(word) for word in _value(info, "volume").split())
    spacing = np.array(_value(info, "voxelsize").split(), dtype=np.float64)
    columns = [np.array(_value(info, f"{axis}ras").split(), dtype=np.float64) for axis in "xyz"]
    affine = np.eye(4)
    affine[:3, :3] = np.stack(columns, axis=-1) * spacing
    middle = np.array([size_x, size_y, size_z]) / 2.0
    affine[:3, 3] = np.array(_value(info, "cras").split(), dtype=np.float64) - affine[:3, :3] @ middle
    return VolumeHeader((size_x, size_y, size_z), affine)


def _is_same(volume: VolumeHeader, grid: Grid) -> bool:
    """Say whether two grids have the same voxels in the same places."""
    return (
        volume.shape == grid.shape
        and largest_distance_mm(volume.affine, grid.affine, shape=grid.shape) < SAME_GRID_MM
    )
