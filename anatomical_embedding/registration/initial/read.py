"""A start that another program found, told apart by what the file holds, as one matrix between the worlds.

The matrix leads points of the fixed scan to the moving one, world mm RAS+. Programs state other directions, axes and
origins: docs/transforms.md lists them.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.guided_start import read_start
from anatomical_embedding.registration.initial.dicom_file import read_dicom_matrix
from anatomical_embedding.registration.initial.elastix_file import read_elastix_matrix
from anatomical_embedding.registration.initial.freesurfer_file import read_lta_matrix
from anatomical_embedding.registration.initial.fsl_matrix import world_from_flirt
from anatomical_embedding.registration.initial.itk_file import read_itk_matrix
from anatomical_embedding.registration.initial.start import InitialStart
from anatomical_embedding.registration.registered_scans import is_start_of_swapped
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
from anatomical_embedding.volumes.raw_scan import RawScan

MatrixProgram = Literal["fsl", "greedy", "niftyreg"]
"""Programs whose starts are sixteen numbers in text, which say nothing of where they come from."""
KINDS = (
    "a transform of ITK or ANTs (.tfm, .txt, .h5, .mat), parameters of elastix, a 4x4 matrix in text (FSL, greedy, "
    "NiftyReg), FreeSurfer .lta, a DICOM Spatial Registration, or start.json of `register`"
)
DICOM_MARK = slice(128, 132)
SIDE = 4
SMALLEST_VOLUME = 0.1
LARGEST_VOLUME = 10.0
"""Of a part of a body after a start that is meant, in times its own."""


def read_initial_start(
    path: Path, *, fixed: RawScan, moving: RawScan, program: MatrixProgram | None = None
) -> InitialStart:
    """Return the start in a file.

    Parameters
    ----------
    fixed, moving : the scans that it lies between; FSL's matrices count their voxels, others name them.
    program : that a 4x4 matrix in text comes from.

    Raises
    ------
    InputFileError
        if the file is of another kind or no affine map, saying what it is; or a 4x4 matrix without its program.
    """
    content = path.read_bytes()
    numbers = _matrix_in_text(content)
    if (numbers is None) and program is not None:
        raise InputFileError(
            path, f"is not a 4x4 matrix in text, so {program} did not write it; leave --initial-program out"
        )
    found = _read(path, content, numbers, fixed=fixed, moving=moving, program=program)
    _require_plausible(found.matrix, path)
    return found


def _read(
    path: Path,
    content: bytes,
    numbers: NDArray[np.float64] | None,
    *,
    fixed: RawScan,
    moving: RawScan,
    program: MatrixProgram | None,
) -> InitialStart:
    name = path.name.lower()
    if numbers is not None:
        return InitialStart(_world_matrix(numbers, path, fixed=fixed, moving=moving, program=program))
    if content[DICOM_MARK] == b"DICM":
        return read_dicom_matrix(path, fixed=fixed, moving=moving)
    if name.endswith(NIFTI_SUFFIXES):
        raise InputFileError(path, "is an image or a displacement field; a start is an affine map")
    if name.endswith(".json"):
        return _start_of_register(path, content, fixed=fixed, moving=moving)
    if name.endswith(".lta"):
        return read_lta_matrix(path, fixed=fixed, moving=moving)
    if name.endswith(".toml") or content.lstrip()[:1] in (b"(", b"/"):
        return InitialStart(read_elastix_matrix(path, grids=(fixed.grid, moving.grid)))
    if name.endswith((".h5", ".hdf5", ".mat")) or content.startswith(b"#Insight Transform File"):
        return InitialStart(read_itk_matrix(path))
    raise InputFileError(path, f"is of no known kind, expected {KINDS}")


def _matrix_in_text(content: bytes) -> NDArray[np.float64] | None:
    """Return the (4, 4) numbers of a text of four rows, None if it is something else."""
    try:
        text = content.decode("ascii")
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError:
        return None
    if [len(row) for row in rows] != [SIDE] * SIDE:
        return None
    return np.array(rows)


def _world_matrix(
    numbers: NDArray[np.float64],
    path: Path,
    *,
    fixed: RawScan,
    moving: RawScan,
    program: MatrixProgram | None,
) -> NDArray[np.float64]:
    if program is None:
        raise InputFileError(
            path,
            "is a 4x4 matrix, which FSL writes from moving to fixed voxels, greedy and NiftyReg from fixed to moving "
            "mm; say which with --initial-program fsl, greedy or niftyreg",
        )
    if not np.array_equal(numbers[3], (0.0, 0.0, 0.0, 1.0)):
        raise InputFileError(
            path, f"is not an affine matrix: its last row is {_words(numbers[3])}, expected 0 0 0 1"
        )
    if program != "fsl":
        return numbers
    _require_invertible(numbers, path)
    for scan in (fixed, moving):
        if not scan.path.name.lower().endswith(NIFTI_SUFFIXES):
            raise InputFileError(
                path,
                f"counts voxels of the NIfTI files that flirt was given; name those instead of {scan.path}",
            )
    return world_from_flirt(numbers, fixed=fixed.grid, moving=moving.grid)


def _start_of_register(path: Path, content: bytes, *, fixed: RawScan, moving: RawScan) -> InitialStart:
    try:
        known = json.loads(content)
    except ValueError as error:
        raise InputFileError(path, f"is not JSON ({error})") from error
    if not isinstance(known, dict) or "matrix" not in known:
        raise InputFileError(path, f"is not a start.json of `register`; expected {KINDS}")
    start = read_start(path)
    if start.status == "failed":
        raise InputFileError(path, f"is a start that failed ({start.reason})")
    if is_start_of_swapped(path, fixed=fixed, moving=moving):
        raise InputFileError(
            path, f"leads from {moving.path} to {fixed.path}, the other way; register them in that order"
        )
    return InitialStart(start.matrix)


def _require_plausible(matrix: NDArray[np.float64], path: Path) -> None:
    if not np.isfinite(matrix).all():
        raise InputFileError(path, "holds numbers that are not finite")
    _require_invertible(matrix, path)
    volume = float(np.linalg.det(matrix[:3, :3]))
    if volume < 0:
        raise InputFileError(path, "mirrors the body (its determinant is negative)")
    if not SMALLEST_VOLUME <= volume <= LARGEST_VOLUME:
        raise InputFileError(
            path,
            f"makes a volume {volume:.3g} times as large; expected a map between scans of one body, in mm",
        )


def _require_invertible(matrix: NDArray[np.float64], path: Path) -> None:
    if np.isfinite(matrix).all() and np.linalg.matrix_rank(matrix[:3, :3]) < SIDE - 1:
        raise InputFileError(path, "is singular: it leads the whole body onto a plane or a line")


def _words(row: NDArray[np.float64]) -> str:
    return " ".join(f"{value:g}" for value in row)
