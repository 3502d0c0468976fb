"""Small DICOM series written tag by tag with pydicom, for tests of the reader."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from anatomical_embedding.volumes.dicom import DicomSeries, read_dicom_series

CT_CLASS, MR_CLASS, PET_CLASS = (UID(f"1.2.840.10008.5.1.4.1.1.{number}") for number in (2, 4, 128))
SECONDARY_CAPTURE_CLASS = UID("1.2.840.10008.5.1.4.1.1.7")
ENHANCED_CT_CLASS = UID("1.2.840.10008.5.1.4.1.1.2.1")
DOSE_CLASS = UID("1.2.840.10008.5.1.4.1.1.481.2")
SEGMENTATION_CLASS = UID("1.2.840.10008.5.1.4.1.1.66.4")
REPORT_CLASS = UID("1.2.840.10008.5.1.4.1.1.88.11")
SERIES, OTHER_SERIES = "1.2.826.0.1.3680043.2.1125.7.1", "1.2.826.0.1.3680043.2.1125.7.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def grey_ramp(num_slices: int = 6, *, rows: int = 7, columns: int = 8) -> NDArray[np.int64]:
    """Return stored numbers (slices, rows, columns) that differ everywhere: 0, 3, 6, ..."""
    return 3 * np.arange(num_slices * rows * columns).reshape(num_slices, rows, columns)


@dataclass(frozen=True)
class Layout:
    """How stored numbers become bytes."""

    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int | None = None
    is_signed: bool = False
    syntax: UID = ExplicitVRLittleEndian

    def set(self, dataset: Dataset, stored: NDArray) -> None:
        """Write (rows, columns) numbers and the tags that tell how they are packed."""
        high = self.bits_stored - 1 if self.high_bit is None else self.high_bit
        dataset.Rows, dataset.Columns = stored.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (
            self.bits_allocated,
            self.bits_stored,
            high,
        )
        dataset.PixelRepresentation = int(self.is_signed)
        patterns = (stored % 2**self.bits_stored) << (high + 1 - self.bits_stored)
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        dataset.PixelData = patterns.astype(f"{order}u{self.bits_allocated // 8}").tobytes()
        dataset["PixelData"].VR = "OW"


@dataclass
class Stack:
    """A series of slices: how it is placed, stored and named; `edit` changes the tags of slice k at the end."""

    stored: NDArray[np.int64] = field(default_factory=grey_ramp)  # (slices, rows, columns)
    orientation: tuple[float, ...] = AXIAL
    origin_mm: tuple[float, float, float] = (-10.0, -20.0, 30.0)
    step_mm: tuple[float, float, float] = (0.0, 0.0, 2.5)
    between_rows_mm: float = 1.5
    between_columns_mm: float = 0.75
    layout: Layout = field(default_factory=Layout)
    slope: Callable[[int], float | None] = lambda k: 1.0
    intercept: Callable[[int], float | None] = lambda k: -1024.0
    sop_class: UID = CT_CLASS
    modality: str = "CT"
    series: str = SERIES
    name: Callable[[int], str] = "IM{:04d}.dcm".format
    edit: Callable[[Dataset, int], None] = lambda dataset, k: None

    def write(self, folder: Path) -> Path:
        """Write the slices and return their folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(len(self.stored)):
            save(self.dataset(k), folder / self.name(k), syntax=self.layout.syntax)
        return folder

    def dataset(self, k: int) -> Dataset:
        """Return slice k with all its tags."""
        dataset = plain_object(self.sop_class, modality=self.modality, series=self.series, number=k + 1)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        position = np.array(self.origin_mm) + k * np.array(self.step_mm)
        dataset.ImagePositionPatient = [decimal(value) for value in position]
        dataset.ImageOrientationPatient = [decimal(value) for value in self.orientation]
        dataset.PixelSpacing = [decimal(self.between_rows_mm), decimal(self.between_columns_mm)]
        self.layout.set(dataset, self.stored[k])
        for keyword, value in (("RescaleSlope", self.slope(k)), ("RescaleIntercept", self.intercept(k))):
            if value is not None:
                setattr(dataset, keyword, decimal(value))
        self.edit(dataset, k)
        return dataset


def plain_object(
    sop_class: UID, *, modality: str = "CT", series: str = OTHER_SERIES, number: int = 1
) -> Dataset:
    """Return an object that says what it is and no more."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"{series}.{number}"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, "1.2.826.0.1.3680043.2.1125.7"
    dataset.Modality, dataset.InstanceNumber, dataset.SeriesNumber = modality, number, int(series[-1])
    dataset.SeriesDescription = f"Test {series[-1]}"
    return dataset


def save(dataset: Dataset, path: Path, *, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write an object in a transfer syntax that pydicom can write."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def decimal(value: float) -> str:
    """Return a number as a decimal string, which holds at most 16 characters."""
    return next(text for digits in range(14, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)


def read_series(folder: Path, *, series: str | None = None, largest_gap_mm: float = 10.0) -> DicomSeries:
    """Return a series as scans are read by the recipes: gaps of up to 10 mm are interpolated."""
    return read_dicom_series(folder, series=series, largest_gap_mm=largest_gap_mm)
