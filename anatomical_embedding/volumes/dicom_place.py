"""Where the slices of a DICOM series lie, and the one affine that says so.

A volume has one affine, so its slices must be parallel, equally far apart, and stacked along their normal (DICOM PS3.3
C.7.6.2). Unequal gaps and a tilted gantry are brought to such a grid (`dicom_straight`); a slice beside the others is
refused. A tilt too small to matter is kept in the affine, which is sheared then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.affine import LPS_SIGNS
from anatomical_embedding.volumes.dicom_header import DicomFile
from anatomical_embedding.volumes.dicom_stacks import require_one_acquisition
from anatomical_embedding.volumes.dicom_straight import Straightening, straightening_of
from anatomical_embedding.volumes.nifti_geometry import require_extent

LARGEST_OFF_PLACE_MM = 0.05
"""How far a slice may lie from where the affine has it; positions are often rounded to 0.01 mm."""
LARGEST_OFF_PLACE_SHARE = 0.05
"""The same as a share of the slice distance, for thin slices."""
SAID_OFF_PLACE_MM = 0.01
SMALLEST_NUM_PIXELS = 2
LARGEST_TILT_DEGREES = 0.1
"""That is kept as a shear of the affine; slices that are tilted more are resampled."""
MOST_TILT_DEGREES = 45.0
"""No gantry tilts by more."""
LARGEST_DIRECTION_DIFFERENCE = 1e-4
LARGEST_COSINE_ERROR = 1e-3
LPS_TO_RAS = np.diag(LPS_SIGNS)


@dataclass(frozen=True)
class SlicePlaces:
    """Where the volume of a series lies.

    Attributes
    ----------
    affine : (4, 4) column, row and slice number to world mm RAS+.
    straightening : how the slices are brought to that grid; None where they lie on it.
    """

    affine: NDArray[np.float64]
    straightening: Straightening | None


def require_equal_slices(files: Sequence[DicomFile]) -> None:
    """Check that all slices have one patient, modality, size, pixel spacing and direction.

    Raises
    ------
    InputFileError
        naming a slice that differs from most others.
    """
    for file in files:
        if file.text("PatientID") != files[0].text("PatientID"):
            raise file.fault(
                f"is of another patient than {files[0].name}, by its PatientID, though of the same series; give each a "
                "folder",
            )
        if file.text("Modality") != files[0].text("Modality"):
            raise file.fault(
                f"is of modality {file.text('Modality')}, {files[0].name} of {files[0].text('Modality')}; "
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
            raise files[odd[0]].fault(
                f"{fault} the other slices ({files[odd[0]].text(keyword)}), expected slices of one kind",
            )


def _require_size(file: DicomFile) -> None:
    rows, columns = int(file.number("Rows")), int(file.number("Columns"))
    if min(rows, columns) < SMALLEST_NUM_PIXELS:
        raise file.fault(f"has {rows} rows and {columns} columns, expected 2 or more of both")


def _require_directions(file: DicomFile) -> None:
    directions = file.numbers("ImageOrientationPatient", 6).reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > LARGEST_COSINE_ERROR:
        raise file.fault(
            f"has the directions {file.text('ImageOrientationPatient')}, expected two unit vectors at right angles",
        )
    if file.numbers("PixelSpacing", 2).min() <= 0:
        raise file.fault(f"has the pixel spacing {file.text('PixelSpacing')}, expected more than 0")


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


def place_of_slices(
    folder: Path,
    files: Sequence[DicomFile],
    positions: NDArray[np.float64],
    *,
    largest_gap_mm: float,
    remarks: list[str],
) -> SlicePlaces:
    """Return where the volume of parallel slices lies.

    Parameters
    ----------
    folder : where the files lie, to name it.
    files, positions : two or more slices in their order in space, and their (N, 3) places in LPS mm.
    largest_gap_mm : between neighbouring slices, where gaps are unequal.
    remarks : what was said so far of the folder, which may explain a gap; what is uncommon is added.

    Raises
    ------
    InputFileError
        if slices do not lie on one line, one gap is larger than the others and than allowed, or no scan in mm is as
        large, as small or as far away.
    """
    origin, step = _line_through(positions)
    off_mm = np.linalg.norm(positions - origin - np.outer(np.arange(len(files)), step), axis=1)
    normal = _normal(files)
    heights_mm = positions @ normal
    gaps_mm = np.diff(heights_mm)
    usual_mm = float(np.median(gaps_mm))
    allowed_mm = min(LARGEST_OFF_PLACE_MM, LARGEST_OFF_PLACE_SHARE * usual_mm)
    if off_mm.max() <= allowed_mm and _tilt_degrees(step, normal) <= LARGEST_TILT_DEGREES:
        if off_mm.max() > SAID_OFF_PLACE_MM:
            name = files[int(off_mm.argmax())].name
            remarks.append(f"{name} lies {off_mm.max():.3f} mm from its place in equal steps.")
        return SlicePlaces(_sound_affine(folder, files, origin, step), None)
    uneven = _uneven_gaps(
        folder, files, gaps_mm, allowed_mm=allowed_mm, largest_gap_mm=largest_gap_mm, remarks=remarks
    )
    lean = _lean(files, positions, heights_mm, allowed_mm=max(allowed_mm, SAID_OFF_PLACE_MM))
    tilted = _tilt(folder, _tilt_degrees(lean + normal, normal))
    drifted = f"has slices up to {off_mm.max():.3f} mm from equal steps"
    along, between = _pixel_steps(files)
    pixels_vox = (positions - positions[0]) @ np.stack(
        [along / (along @ along), between / (between @ between)], axis=1
    )
    first_vox = pixels_vox.min(axis=0)
    how, step_mm = straightening_of(heights_mm, pixels_vox)
    remarks.append(
        f"{' and '.join(filter(None, [tilted, uneven])) or drifted}; resampled onto a straight grid with slices every "
        f"{step_mm:.4g} mm, by the exact places of the slices."
    )
    corner = positions[0] + first_vox[0] * along + first_vox[1] * between
    return SlicePlaces(_sound_affine(folder, files, corner, step_mm * normal), how)


def _sound_affine(
    folder: Path, files: Sequence[DicomFile], origin: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (4, 4) affine of column, row and slice number to world mm RAS+, of an extent that scanners make."""
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ np.stack((*_pixel_steps(files), step), axis=1)
    affine[:3, 3] = LPS_TO_RAS @ origin
    shape = (int(files[0].number("Columns")), int(files[0].number("Rows")), len(files))
    require_extent(affine, shape=shape, unit="mm", path=folder)
    return affine


def _pixel_steps(files: Sequence[DicomFile]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (3,) steps from column to column and from row to row, LPS mm."""
    directions = files[0].numbers("ImageOrientationPatient", 6).reshape(2, 3)
    # Rounded directions are no unit vectors, and their error would grow with the size of the image.
    along_row, along_column = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    between_rows, between_columns = files[0].numbers("PixelSpacing", 2)
    return along_row * between_columns, along_column * between_rows


def _tilt_degrees(step: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Return the angle between the way from slice to slice and their normal."""
    return float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0))))


def _line_through(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return origin and step, (3,) LPS mm each, of the equal steps nearest to (N, 3) positions."""
    numbers = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = numbers @ positions / (numbers @ numbers)
    return positions.mean(axis=0) + numbers[0] * step, step


def _uneven_gaps(
    folder: Path,
    files: Sequence[DicomFile],
    gaps_mm: NDArray[np.float64],
    *,
    allowed_mm: float,
    largest_gap_mm: float,
    remarks: Sequence[str],
) -> str:
    """Return what is to be said of unequal gaps, empty where they are equal; refuse one that is too large."""
    usual_mm = float(np.median(gaps_mm))
    worst = int(np.abs(gaps_mm - usual_mm).argmax())
    if abs(gaps_mm[worst] - usual_mm) <= allowed_mm:
        return ""
    neighbours = f"{files[worst].name} and {files[worst + 1].name}"
    problem = (
        f"has unequal slice gaps: {gaps_mm[worst]:.3f} mm between {neighbours}, {usual_mm:.3f} mm elsewhere"
    )
    if gaps_mm[worst] > max(largest_gap_mm, usual_mm):
        cause = f"{problem}; a slice is missing. Gaps of up to {largest_gap_mm:g} mm are interpolated (--largest-gap)."
        raise InputFileError(folder, " ".join([cause, *remarks]))
    require_one_acquisition(folder, files)
    return problem


def _tilt(folder: Path, degrees: float) -> str:
    """Return what is to be said of a gantry tilt, empty where it is small; refuse one that no scanner has."""
    if degrees > MOST_TILT_DEGREES:
        raise InputFileError(
            folder,
            f"has slices that are shifted against each other as by a gantry tilt of {degrees:.0f} degrees, which "
            "no scanner has; export the series again",
        )
    is_tilted = degrees > LARGEST_TILT_DEGREES
    return f"was acquired with a gantry tilt of {degrees:.1f} degrees" if is_tilted else ""


def _lean(
    files: Sequence[DicomFile],
    positions: NDArray[np.float64],
    heights_mm: NDArray[np.float64],
    *,
    allowed_mm: float,
) -> NDArray[np.float64]:
    """Return the (3,) shift of slices within their planes for each mm of height, the same for all of them.

    Raises
    ------
    InputFileError
        naming a slice that lies beside the line of the others.
    """
    normal = _normal(files)
    in_plane = positions - np.outer(heights_mm, normal)
    height = heights_mm - heights_mm.mean()
    lean = height @ in_plane / (height @ height)
    off_mm = np.linalg.norm(in_plane - in_plane.mean(axis=0) - np.outer(height, lean), axis=1)
    if off_mm.max() > allowed_mm:
        raise files[int(off_mm.argmax())].fault(
            f"lies {off_mm.max():.3f} mm beside the line through the other slices, expected a straight stack"
        )
    return lean
