"""The files of a registration by `deeds`, written by hand."""

import json
from pathlib import Path

import numpy as np

from anatomical_embedding.registration.displacement_field import DisplacementField


def write_registration(field: DisplacementField, stem: Path) -> None:
    """Write a registration whose map, from the world to itself, is a field: every voxel of its grid a control point."""
    in_voxels = field.displacements_mm @ np.linalg.inv(field.affine[:3, :3]).T
    parts = [in_voxels[..., axis].ravel(order="F") for axis in (1, 0, 2)]
    Path(f"{stem}_displacements.dat").write_bytes(np.concatenate(parts).astype("<f4").tobytes())
    size, affine = list(field.displacements_mm.shape[:3]), field.affine.tolist()
    grid = {"size": size, "affine": affine}
    sidecar = {
        "format": "deeds displacements",
        "version": 1,
        "control_size": size,
        "grid_spacing": 1,
        "registration": grid,
        "moving_affine": affine,
        "affine": np.eye(4).tolist(),
        "fixed_image": grid,
        "moving_image": grid,
    }
    Path(f"{stem}_displacements.json").write_text(json.dumps(sidecar), encoding="utf-8")
