"""Which two scans a registration is of, kept in its transforms and beside them, so that one used the wrong way is told.

A map that leads to places of the other scan gives an image all the same where both scans lie in the same part of the
world, as two visits of a patient do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.displacement_field import note_of_field
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.raw_scan import RawScan, ScanGrid
from anatomical_embedding.volumes.volume import VolumeHeader

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
NOTE_MARK = b"\nanatomical-embedding maps "
LARGEST_NOTE_BYTES = 2**14
"""What a note begins with, and how far from the end of a file it is looked for; it has about 1,000 bytes."""


@dataclass(frozen=True)
class _Registered:
    """What is known of a transform.

    Attributes
    ----------
    fills : the scan whose grid it fills with the other one.
    scans : checksum, shape and affine of both.
    """

    fills: Role
    scans: dict[Role, dict[str, Any]]


def described_scans(fixed: RawScan, moving: RawScan) -> dict[str, dict[str, Any]]:
    """Return by role what tells two scans again: checksum, shape and affine."""
    return {"fixed": _described(fixed), "moving": _described(moving)}


def note_of(fills: Role, scans: Mapping[str, Any] | None) -> bytes:
    """Return what a transform says of itself in its own file; empty where its scans are not known.

    Parameters
    ----------
    fills : scan whose grid it fills.
    scans : from `described_scans`.
    """
    return b"" if scans is None else NOTE_MARK + json.dumps({"fills": fills, "scans": scans}).encode()


def require_direction(
    transform: Path,
    *,
    onto: RawScan | ScanGrid,
    source: RawScan | Grid | None,
    names: tuple[Path, ...],
    is_inverted: bool = False,
) -> None:
    """Refuse a transform of `register` that leads the other way, as far as it, or what lies beside it, tells.

    A copy of another name tells it as well; one that another program wrote again does not, and neither does another
    field with a copy of its header.

    Parameters
    ----------
    transform : file that is applied.
    onto : scan whose grid is filled, or whose points are carried.
    source : scan that is resampled, or the grid of its labels; None where there is none.
    names : files of `onto` and `source`.
    is_inverted : whether its inverse is applied.

    Raises
    ------
    InputFileError
        if one of the two has the place of the other, and none its own.
    """
    known = _known_of(transform)
    if known is None:
        return
    filled = OTHER[known.fills] if is_inverted else known.fills
    given = (onto,) if source is None else (onto, source)
    wanted, found = (filled, OTHER[filled]), [_role(each, known.scans) for each in given]
    wrong = next(
        (name for name, role, want in zip(names, found, wanted, strict=False) if role == OTHER[want]), None
    )
    if wrong is None or any(role == want for role, want in zip(found, wanted, strict=False)):
        return
    other = next(name for name, role in FILLED.items() if role == OTHER[filled])
    does = f"resamples the {OTHER[filled]} scan of its registration onto the {filled} one"
    if source is None:
        does = f"carries points of the {filled} scan of its registration to the {OTHER[filled]} one"
    role = OTHER[filled] if wrong == names[0] else filled
    raise InputFileError(transform, f"{does}, but {wrong} is the {role} scan; use {other}")


def carried_grid(transform: Path, *, is_inverted: bool = False) -> Grid | None:
    """Return the voxels of the scan whose points a transform of `register` carries; None where that is not known.

    Parameters
    ----------
    is_inverted : whether its inverse is applied.
    """
    known = _known_of(transform)
    if known is None:
        return None
    scan = known.scans[OTHER[known.fills] if is_inverted else known.fills]
    return VolumeHeader(tuple(scan["shape"]), scan["affine"])


def is_start_of_swapped(start: Path, *, fixed: RawScan, moving: RawScan) -> bool:
    """Return whether a `start.json` tells that it leads from the moving scan to the fixed one."""
    known = _known_scans(_content(start))
    if known is None:
        return False
    first, second = _role(fixed, known), _role(moving, known)
    return first != "fixed" and second != "moving" and (first, second) != (None, None)


def _described(scan: RawScan) -> dict[str, Any]:
    return {
        "sha256": scan.sha256,
        "shape": list(scan.volume.shape),
        "affine": scan.volume.affine.tolist(),
    }


def _known_of(transform: Path) -> _Registered | None:
    """Return what a transform says of itself, or else the folder in which it lies under its own name."""
    note = _note_in(transform)
    if note is not None:
        scans = _known_scans(note)
        return _Registered(note["fills"], scans) if scans is not None and note.get("fills") in OTHER else None
    if transform.name not in FILLED:
        return None
    scans = _known_scans(_content(transform.parent / START_FILE))
    return None if scans is None else _Registered(FILLED[transform.name], scans)


def _note_in(transform: Path) -> dict[str, Any] | None:
    """Return the note in a file, None where there is none."""
    if transform.name.lower().endswith(NIFTI_SUFFIXES):
        note = note_of_field(transform)
    else:
        with transform.open("rb") as stream:
            stream.seek(max(transform.stat().st_size - LARGEST_NOTE_BYTES, 0))
            note = stream.read()
    _, mark, text = note.rpartition(NOTE_MARK)
    try:
        content = json.loads(text) if mark else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _known_scans(content: Any) -> dict[Role, dict[str, Any]] | None:
    """Return the scans of a registration; None where its file does not tell, as that of another program."""
    try:
        scans = content["scans"]
        return {
            role: {
                "sha256": scans[role]["sha256"],
                "shape": scans[role]["shape"],
                "affine": np.array(scans[role]["affine"], dtype=float).reshape(4, 4),
            }
            for role in OTHER
        }
    except (ValueError, KeyError, TypeError):
        return None


def _role(scan: RawScan | ScanGrid | Grid, known: dict[Role, dict[str, Any]]) -> Role | None:
    """Return which of two scans one is, by its files, or by its grid where theirs differ; None if that is not sure."""
    grid, sha256 = (scan.grid, scan.sha256) if isinstance(scan, RawScan | ScanGrid) else (scan, None)
    alike = [role for role, each in known.items() if each["sha256"] == sha256]
    alike = alike or [role for role, each in known.items() if _is_grid(grid, each)]
    return alike[0] if len(alike) == 1 else None


def _is_grid(grid: Grid, known: dict[str, Any]) -> bool:
    if list(grid.shape) != known["shape"]:
        return False
    apart_mm = largest_distance_mm(grid.affine, known["affine"], shape=grid.shape)
    return apart_mm <= SAME_GRID_VOX * float(spacing_from_affine(grid.affine).min())
