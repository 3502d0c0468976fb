"""Which two scans a registration is of, kept beside its transforms, so that one that is used the wrong way is noticed.

A map that leads to places of the other scan gives an image all the same where both scans lie in the same part of the
world, as two visits of a patient do.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.raw_scan import RawScan

Role = Literal["fixed", "moving"]
START_FILE = "start.json"
FILLED: dict[str, Role] = {
    "forward.h5": "fixed",
    "displacement_field.nii.gz": "fixed",
    "inverse.h5": "moving",
}
"""Transforms of `register`, and the scan whose grid each of them fills with the other one."""
OTHER: dict[Role, Role] = {"fixed": "moving", "moving": "fixed"}
SAME_GRID_VOX = 0.01


def described_scans(fixed: RawScan, moving: RawScan) -> dict[str, dict[str, Any]]:
    """Return by role what tells two scans again: checksum, shape and affine."""
    return {"fixed": _described(fixed), "moving": _described(moving)}


def require_direction(
    transform: Path, *, onto: RawScan, source: RawScan | Grid, names: tuple[Path, Path]
) -> None:
    """Refuse a transform of `register` that leads the other way, as far as what lies beside it tells.

    Parameters
    ----------
    transform : file that is applied.
    onto : scan whose grid is filled.
    source : scan that is resampled, or the grid of its labels.
    names : files of `onto` and `source`.

    Raises
    ------
    InputFileError
        if one of the two has the place of the other, and none its own.
    """
    filled = FILLED.get(transform.name)
    known = _known_scans(transform.parent / START_FILE)
    if filled is None or known is None:
        return
    wanted, found = (filled, OTHER[filled]), (_role(onto, known), _role(source, known))
    wrong = next(
        (name for name, role, want in zip(names, found, wanted, strict=True) if role == OTHER[want]), None
    )
    if wrong is None or any(role == want for role, want in zip(found, wanted, strict=True)):
        return
    other = next(name for name, role in FILLED.items() if role == OTHER[filled])
    raise InputFileError(
        transform,
        f"fills the {filled} scan of its registration from the {OTHER[filled]} one; {wrong} is the "
        f"{OTHER[filled] if wrong == names[0] else filled} one; {other} leads the other way",
    )


def _described(scan: RawScan) -> dict[str, Any]:
    return {
        "sha256": scan.sha256,
        "shape": list(scan.volume.shape),
        "affine": scan.volume.affine.tolist(),
    }


def _known_scans(path: Path) -> dict[Role, dict[str, Any]] | None:
    """Return the scans of a registration; None where its folder does not tell, as that of another program."""
    try:
        scans = json.loads(path.read_text(encoding="utf-8"))["scans"]
        return {
            role: {
                "sha256": scans[role]["sha256"],
                "shape": scans[role]["shape"],
                "affine": np.array(scans[role]["affine"], dtype=float).reshape(4, 4),
            }
            for role in OTHER
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _role(scan: RawScan | Grid, known: dict[Role, dict[str, Any]]) -> Role | None:
    """Return which of two scans one is, by its files, or by its grid where theirs differ; None if that is not sure."""
    grid, sha256 = (scan.grid, scan.sha256) if isinstance(scan, RawScan) else (scan, None)
    alike = [role for role, each in known.items() if each["sha256"] == sha256]
    alike = alike or [role for role, each in known.items() if _is_grid(grid, each)]
    return alike[0] if len(alike) == 1 else None


def _is_grid(grid: Grid, known: dict[str, Any]) -> bool:
    if list(grid.shape) != known["shape"]:
        return False
    apart_mm = largest_distance_mm(grid.affine, known["affine"], shape=grid.shape)
    return apart_mm <= SAME_GRID_VOX * float(spacing_from_affine(grid.affine).min())
