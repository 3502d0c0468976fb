"""Place and value of a pixel from the tags of its own DICOM file, pixel by pixel and without our reader.

DICOM PS3.3 C.7.6.2.1.1 (place), C.11.1.1.2 (rescale) and PS3.5 8.1.1 (bits).
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset


def place_by_tags(dataset: Dataset, *, row: int, column: int) -> NDArray[np.float64]:
    """Return the (3,) world mm RAS+ of the centre of a pixel."""
    position, orientation, spacing = (
        [float(value) for value in dataset[name].value]
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    lps = [
        position[axis] + orientation[axis] * spacing[1] * column + orientation[3 + axis] * spacing[0] * row
        for axis in range(3)
    ]
    return np.array([-lps[0], -lps[1], lps[2]])


def value_by_tags(dataset: Dataset, *, row: int, column: int) -> float:
    """Return the value of a pixel of an uncompressed slice after its rescale."""
    size = dataset.BitsAllocated // 8
    start = (row * dataset.Columns + column) * size
    order = "big" if dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.2" else "little"
    stored = int.from_bytes(dataset.PixelData[start : start + size], order)
    stored = (stored >> (dataset.HighBit + 1 - dataset.BitsStored)) % 2**dataset.BitsStored
    if dataset.PixelRepresentation == 1 and stored >= 2 ** (dataset.BitsStored - 1):
        stored -= 2**dataset.BitsStored
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None and intercept is None:
        return float(stored)
    return float(slope) * stored + float(intercept)
