"""The values of DICOM slices: each slice's stored numbers, taken to units by its own rescale.

`value = slope * stored + intercept` (DICOM PS3.3 C.11.1), slice by slice: in PET and some MR every slice has a slope of
its own, and a series may begin with another intercept than it goes on with. How a slice is to be shown (MONOCHROME1,
window, padding) changes no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_files import names_of
from anatomical_embedding.volumes.dicom_header import DicomFile
from anatomical_embedding.volumes.dicom_pixels import read_all_stored

WHOLE_TYPES = (np.int16, np.uint16, np.int32, np.int64)
LARGEST_INT32_SOURCE_BYTES = 2
LARGEST_INT32_INTERCEPT = 2**30


@dataclass(frozen=True)
class Rescale:
    """How one slice's stored numbers become values.

    Attributes
    ----------
    slope, intercept : 1 and 0 where the file gives neither.
    is_given : whether the file gives both.
    """

    slope: float
    intercept: float
    is_given: bool

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers stay whole."""
        return self.slope.is_integer() and self.intercept.is_integer()


def read_rescale(file: DicomFile) -> Rescale:
    """Return the rescale of a slice; a tag that is empty is absent.

    Raises
    ------
    InputFileError
        if the file gives slope or intercept alone, a slope of zero, or a table instead.
    """
    given = [keyword in file.tags for keyword in ("RescaleSlope", "RescaleIntercept")]
    if not any(given):
        if "ModalityLUTSequence" in file.tags:
            raise file.fault("gives its values by a table (Modality LUT), expected slope and intercept")
        return Rescale(1.0, 0.0, is_given=False)
    slope, intercept = file.number("RescaleSlope"), file.number("RescaleIntercept")
    if slope == 0:
        raise file.fault("has a rescale slope of 0, so its values are lost; export it again")
    return Rescale(slope, intercept, is_given=True)


def read_values(files: Sequence[DicomFile]) -> NDArray:
    """Return the (columns, rows, slices) values of slices of one size, in the order given.

    Whole numbers stay whole where every slope and intercept is: int16 if they fit, else the next wider type. Everything
    else is float32.

    Raises
    ------
    InputFileError
        naming the files whose pixels are missing, cut short or packed in a way that cannot be unpacked.
    """
    rescales = [read_rescale(file) for file in files]
    stored = _read_all(files)
    ends = [
        rescale.slope * float(end) + rescale.intercept
        for pixels, rescale in zip(stored, rescales, strict=True)
        for end in (pixels.min(), pixels.max())
    ]
    is_whole = all(rescale.is_whole for rescale in rescales)
    volume = np.empty((len(files), *stored[0].shape), _number_type(min(ends), max(ends), is_whole=is_whole))
    for values, pixels, rescale in zip(volume, stored, rescales, strict=True):
        _fill(values, pixels, rescale)
    return volume.T


def _read_all(files: Sequence[DicomFile]) -> list[NDArray]:
    """Return the stored numbers of all slices, or name every file that cannot be read."""
    stored, faults = [], {}
    for file, found in zip(files, read_all_stored(files), strict=True):
        if isinstance(found, InputFileError):
            faults[file.name] = found
        else:
            stored.append(found)
    if faults:
        first, *others = faults
        too = f" (and {names_of(others)} too)" if others else ""
        raise InputFileError(faults[first].path, f"{faults[first].problem}{too}") from faults[first]
    return stored


def _number_type(lowest: float, highest: float, *, is_whole: bool) -> type[np.number]:
    for kind in WHOLE_TYPES if is_whole else ():
        limits = np.iinfo(kind)
        if limits.min <= lowest and highest <= limits.max:
            return kind
    return np.float32


def _fill(values: NDArray, pixels: NDArray, rescale: Rescale) -> None:
    """Write one slice's values, in arithmetic that is exact for whole numbers."""
    is_short = pixels.dtype.itemsize <= LARGEST_INT32_SOURCE_BYTES
    is_shift = rescale.slope == 1 and rescale.intercept.is_integer()
    if is_short and is_shift and abs(rescale.intercept) < LARGEST_INT32_INTERCEPT:
        values[...] = np.add(pixels, np.int32(rescale.intercept), dtype=np.int32)
    else:
        values[...] = pixels * np.float64(rescale.slope) + rescale.intercept
