"""Folders of DICOM slices: one series becomes one volume, or is refused with the reason.

The place of a volume follows the positions and directions of its slices (DICOM PS3.3 C.7.6.2), not the order or the
names of the files. A volume has one affine, so its slices must be parallel, equally far apart, and stacked along their
normal: a series with a gap, a repeated slice or a tilted gantry is no volume without resampling, which would have to
guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.volume import Volume

POSITION, ORIENTATION, PIXEL_SPACING, MODALITY = "0020|0032", "0020|0037", "0028|0030", "0008|0060"
LARGEST_GAP_DIFFERENCE = 0.01
"""Share of the slice distance that gaps may differ by: positions are often rounded to 0.01 mm."""
LARGEST_TILT_DEGREES = 0.1
LARGEST_DIRECTION_DIFFERENCE = 1e-4
SMALLEST_NUM_SLICES = 2
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
MODALITIES: dict[str, Modality] = {"CT": "ct", "MR": "mr"}


@dataclass(frozen=True)
class _Slice:
    """Where one slice lies, in LPS mm."""

    path: Path
    position: NDArray[np.float64]  # (3,) centre of the first pixel
    along_row: NDArray[np.float64]  # (3,) direction in which the column number rises
    along_column: NDArray[np.float64]  # (3,)
    spacing_mm: NDArray[np.float64]  # (2,) between columns, between rows

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.along_row, self.along_column)


def read_dicom_series(folder: Path | str) -> Volume:
    """Return the volume of the one DICOM series in a folder, with its rescale slope and intercept applied.

    Raises
    ------
    InputFileError
        if the folder holds no series or several, if a slice cannot be read, has no position or another size, or if the
        slices are not parallel, not equally far apart, or shifted against each other (tilted gantry).
    """
    folder = Path(folder)
    slices = _sorted_slices(folder)
    step = _slice_step(folder, slices)
    try:
        image = SimpleITK.ReadImage([str(entry.path) for entry in slices])
    except RuntimeError as error:
        raise InputFileError(folder, f"cannot be read as one DICOM volume: {_reason(error)}") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputFileError(folder, "holds colour pictures, expected one number a pixel")
    array = SimpleITK.GetArrayFromImage(image).T  # (column number, row number, slice)
    if array.min() == array.max():
        raise InputFileError(folder, f"every voxel has the value {array.flat[0]}, expected an image")
    first = slices[0]
    affine = np.eye(4)
    columns = (first.along_row * first.spacing_mm[0], first.along_column * first.spacing_mm[1], step)
    affine[:3, :3] = LPS_TO_RAS @ np.stack(columns, axis=1)
    affine[:3, 3] = LPS_TO_RAS @ first.position
    return Volume(array if array.dtype.kind == "f" else _as_int16(array), affine)


def dicom_modality(folder: Path | str) -> Modality | None:
    """Return `ct` or `mr` as the series in a folder says, None for another word.

    Raises
    ------
    InputFileError
        if the folder holds no series or several.
    """
    path = _series_files(Path(folder))[0]
    return MODALITIES.get(_read_tags(path).get(MODALITY, "").strip())


def _series_files(folder: Path) -> list[Path]:
    """Return the files of the one series in a folder."""
    series = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise InputFileError(
            folder, "holds no DICOM series that can be read; name a NIfTI file or such a folder"
        )
    if len(series) > 1:
        raise InputFileError(
            folder,
            f"holds {len(series)} DICOM series, expected one; put the slices of one series in a folder",
        )
    return [Path(name) for name in SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])]


def _sorted_slices(folder: Path) -> list[_Slice]:
    """Return the slices along their common normal."""
    paths = _series_files(folder)
    if len(paths) < SMALLEST_NUM_SLICES:
        raise InputFileError(folder, f"holds {len(paths)} slice, expected {SMALLEST_NUM_SLICES} or more")
    slices = [_read_slice(path) for path in paths]
    first = slices[0]
    for other in slices:
        turned = [other.along_row - first.along_row, other.along_column - first.along_column]
        if np.abs(turned).max() > LARGEST_DIRECTION_DIFFERENCE:
            raise InputFileError(other.path, f"is turned against {first.path.name}, expected parallel slices")
        if not np.allclose(other.spacing_mm, first.spacing_mm, rtol=LARGEST_DIRECTION_DIFFERENCE):
            raise InputFileError(other.path, f"has another pixel spacing than {first.path.name}")
    return sorted(slices, key=lambda entry: float(entry.position @ first.normal))


def _read_slice(path: Path) -> _Slice:
    tags = _read_tags(path)
    try:
        position, orientation, spacing = (
            np.array([float(number) for number in tags[tag].split("\\")])
            for tag in (POSITION, ORIENTATION, PIXEL_SPACING)
        )
        row, column = orientation.reshape(2, 3)
    except (KeyError, ValueError) as error:
        raise InputFileError(
            path, "does not say where its slice lies (position, orientation, pixel spacing); export it again"
        ) from error
    return _Slice(path, position, row, column, spacing[::-1])


def _read_tags(path: Path) -> dict[str, str]:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputFileError(path, f"cannot be read as DICOM: {_reason(error)}") from error
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}


def _slice_step(folder: Path, slices: Sequence[_Slice]) -> NDArray[np.float64]:
    """Return the (3,) way in LPS mm from a slice to the next, checked to be the same everywhere."""
    positions = np.stack([entry.position for entry in slices])
    normal = slices[0].normal / np.linalg.norm(slices[0].normal)
    gaps_mm = np.diff(positions @ normal)
    usual_mm = float(np.median(gaps_mm))
    odd = np.flatnonzero(np.abs(gaps_mm - usual_mm) > LARGEST_GAP_DIFFERENCE * abs(usual_mm))
    if odd.size or usual_mm <= 0:
        worst = int(odd[0]) if odd.size else 0
        raise InputFileError(
            folder,
            f"has unequal slice gaps: {gaps_mm[worst]:.3f} mm between {slices[worst].path.name} and "
            f"{slices[worst + 1].path.name}, {usual_mm:.3f} mm elsewhere; a slice is missing or there twice",
        )
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    tilt = np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0)))
    if tilt > LARGEST_TILT_DEGREES:
        raise InputFileError(
            folder,
            f"was taken with a gantry tilt of {tilt:.1f} degrees, so its slices are shifted against each other; "
            "straighten it first (dcm2niix does)",
        )
    return step


def _as_int16(array: NDArray) -> NDArray:
    limits = np.iinfo(np.int16)
    fits = limits.min <= array.min() and array.max() <= limits.max
    return array.astype(np.int16) if fits else array


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
