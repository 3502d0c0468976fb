"""Where the slices of a DICOM series lie, and the one affine that says so.

A volume has one affine, so its slices must be parallel, equally far apart, and stacked along their normal (DICOM PS3.3
C.7.6.2). A gap, a slice beside the others or a tilted gantry is refused: straightening needs resampling. A tilt too
small to matter is kept in the affine, which is sheared then.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import DicomFile

LARGEST_OFF_PLACE_MM = 0.05
"""How far a slice may lie from where the affine has it; positions are often rounded to 0.01 mm."""
LARGEST_OFF_PLACE_SHARE = 0.05
"""The same as a share of the slice distance, for thin slices."""
SAID_OFF_PLACE_MM = 0.01
SMALLEST_NUM_PIXELS = 2
LARGEST_TILT_DEGREES = 0.1
LARGEST_DIRECTION_DIFFERENCE = 1e-4
LARGEST_COSINE_ERROR = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def require_equal_slices(files: Sequence[DicomFile]) -> None:
    """Check that all slices have one modality, size, pixel spacing and direction.

    Raises
    ------
    InputFileError
        naming a slice that differs from most others.
    """
    for file in files:
        if file.text("Modality") != files[0].text("Modality"):
            raise InputFileError(
                file.path,
                f"is of modality {file.text('Modality')}, {files[0].path.name} of {files[0].text('Modality')}; "
                "expected slices of one kind",
            )
        _require_size(file)
        _require_directions(file)
    for keyword, count, tolerance, fault in (
        ("Rows", 1, 0.0, "has another number of rows than"),
        ("Columns", 1, 0.0, "has another number of columns than"),
        ("ImageOrientationPatient", 6, LARGEST_DIRECTION_DIFFERENCE, "is turned against"),
        ("PixelSpacing", 2, LARGEST_DIRECTION_DIFFERENCE, "has another pixel spacing than"),
    ):
        values = np.stack([file.numbers(keyword, count) for file in files])
        usual = np.median(values, axis=0)
        scale = usual if keyword == "PixelSpacing" else 1.0
        odd = np.flatnonzero((np.abs(values - usual) > tolerance * scale).any(axis=1))
        if odd.size:
            raise InputFileError(
                files[odd[0]].path,
                f"{fault} the other slices ({files[odd[0]].text(keyword)}), expected slices of one kind",
            )


def _require_size(file: DicomFile) -> None:
    rows, columns = int(file.number("Rows")), int(file.number("Columns"))
    if min(rows, columns) < SMALLEST_NUM_PIXELS:
        raise InputFileError(file.path, f"has {rows} rows and {columns} columns, expected 2 or more of both")


def _require_directions(file: DicomFile) -> None:
    directions = file.numbers("ImageOrientationPatient", 6).reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > LARGEST_COSINE_ERROR:
        raise InputFileError(
            file.path,
            f"has the directions {file.text('ImageOrientationPatient')}, expected two unit vectors at right angles",
        )
    if file.numbers("PixelSpacing", 2).min() <= 0:
        raise InputFileError(
            file.path, f"has the pixel spacing {file.text('PixelSpacing')}, expected more than 0"
        )


def _normal(files: Sequence[DicomFile]) -> NDArray[np.float64]:
    """Return the (3,) unit normal of parallel slices in LPS; columns, rows and slices are right-handed."""
    normal = np.cross(*files[0].numbers("ImageOrientationPatient", 6).reshape(2, 3))
    return normal / np.linalg.norm(normal)


def sorted_along_normal(files: Sequence[DicomFile]) -> tuple[list[DicomFile], NDArray[np.float64]]:
    """Return parallel slices in their order in space, with their (N, 3) positions in LPS mm.

    Raises
    ------
    InputFileError
        naming a slice without a position.
    """
    positions = np.stack([file.numbers("ImagePositionPatient", 3) for file in files])
    order = np.argsort(positions @ _normal(files), kind="stable")
    return [files[number] for number in order], positions[order]


def affine_of_slices(
    folder: Path, files: Sequence[DicomFile], positions: NDArray[np.float64], *, remarks: list[str]
) -> NDArray[np.float64]:
    """Return the (4, 4) affine of slices that are equally far apart: column, row and slice number to world mm RAS+.

    Parameters
    ----------
    folder : where the files lie, to name it.
    files, positions : two or more slices in their order in space, and their (N, 3) places in LPS mm.
    remarks : what was said so far of the folder, which may explain a gap; what is uncommon is added.

    Raises
    ------
    InputFileError
        if slices are not equally far apart, not on one line, or shifted against each other (tilted gantry).
    """
    origin, step = _line_through(positions)
    off_mm = np.linalg.norm(positions - origin - np.outer(np.arange(len(files)), step), axis=1)
    _require_even_steps(folder, files, positions, off_mm, remarks)
    _require_no_tilt(folder, step, _normal(files))
    if off_mm.max() > SAID_OFF_PLACE_MM:
        name = files[int(off_mm.argmax())].path.name
        remarks.append(f"{name} lies {off_mm.max():.3f} mm from its place in equal steps.")
    along_row, along_column = files[0].numbers("ImageOrientationPatient", 6).reshape(2, 3)
    between_rows, between_columns = files[0].numbers("PixelSpacing", 2)
    affine = np.eye(4)
    columns = (along_row * between_columns, along_column * between_rows, step)
    affine[:3, :3] = LPS_TO_RAS @ np.stack(columns, axis=1)
    affine[:3, 3] = LPS_TO_RAS @ origin
    return affine


def _line_through(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return origin and step, (3,) LPS mm each, of the equal steps nearest to (N, 3) positions."""
    numbers = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = numbers @ positions / (numbers @ numbers)
    return positions.mean(axis=0) + numbers[0] * step, step


def _require_even_steps(
    folder: Path,
    files: Sequence[DicomFile],
    positions: NDArray[np.float64],
    off_mm: NDArray[np.float64],
    remarks: Sequence[str],
) -> None:
    gaps_mm = np.diff(positions @ _normal(files))
    usual_mm = float(np.median(gaps_mm))
    allowed_mm = min(LARGEST_OFF_PLACE_MM, LARGEST_OFF_PLACE_SHARE * usual_mm)
    if off_mm.max() <= allowed_mm:
        return
    worst = int(np.abs(gaps_mm - usual_mm).argmax())
    before, after = files[worst].path.name, files[worst + 1].path.name
    if abs(gaps_mm[worst] - usual_mm) > allowed_mm:
        problem = (
            f"has unequal slice gaps: {gaps_mm[worst]:.3f} mm between {before} and {after}, {usual_mm:.3f} mm "
            "elsewhere; a slice is missing or there twice."
        )
        raise InputFileError(folder, " ".join([problem, *remarks]))
    file = files[int(off_mm.argmax())]
    raise InputFileError(
        file.path,
        f"lies {off_mm.max():.3f} mm beside the line through the other slices, expected a straight stack",
    )


def _require_no_tilt(folder: Path, step: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    tilt = np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0)))
    if tilt > LARGEST_TILT_DEGREES:
        raise InputFileError(
            folder,
            f"was taken with a gantry tilt of {tilt:.1f} degrees, so its slices are shifted against each other; "
            "straighten it first (dcm2niix does)",
        )
