"""The stored numbers of one DICOM slice, unpacked.

Plain pixels are taken from the file by their layout (DICOM PS3.5 8.1.1); compressed ones are unpacked by ITK.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import (
    DicomFile,
    name_of_uid,
    read_pixel_data,
    without_warnings,
)

UNPACKED = {
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    *(DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian),
}
BITS_ALLOCATED = (8, 16, 32)
STANDARD_ERROR = 2


def read_all_stored(files: Iterable[DicomFile]) -> Iterator[NDArray | InputFileError]:
    """Give the stored numbers of each image, or why they cannot be read; a file of many frames is read once."""
    path: Path | None = None
    packed = Dataset()
    for file in files:
        try:
            if file.path != path:
                path, packed = None, read_pixel_data(file.path)
                path = file.path
            yield _numbers(file, packed)
        except InputFileError as error:
            yield error


def read_stored_image(file: DicomFile) -> NDArray:
    """Return the (rows, columns) stored numbers of one image.

    Raises
    ------
    InputFileError
        if the pixels are missing, cut short, of a kind that no slice has, or cannot be unpacked.
    """
    return _numbers(file, read_pixel_data(file.path))


def _numbers(file: DicomFile, packed: Dataset) -> NDArray:
    """Return the stored numbers of an image whose file is read."""
    shape = (int(file.number("Rows")), int(file.number("Columns")))
    layout = _layout(file)
    syntax = file.text("TransferSyntaxUID")
    if syntax not in UNPACKED:
        return _unpack(file, _packed_frame(file, packed), shape=shape)
    if syntax == ExplicitVRBigEndian and layout.bits_allocated == BITS_ALLOCATED[0]:
        raise file.fault("holds bytes in big-endian order; convert it first (dcm2niix does)")
    sign = "i" if layout.is_signed else "u"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    stored_type = np.dtype(f"{order}{sign}{layout.bits_allocated // 8}")
    num_bytes = shape[0] * shape[1] * stored_type.itemsize
    expected = num_bytes * _num_frames(packed)
    got = len(packed.PixelData)
    if got < expected:
        raise file.fault(f"is cut short: {got} of {expected} bytes of pixels; copy the series again")
    if got >= 2 * expected:
        raise file.fault(f"holds {got} bytes of pixels, expected {expected} for its size")
    pixels = np.frombuffer(
        packed.PixelData, stored_type, count=shape[0] * shape[1], offset=num_bytes * (file.frame or 0)
    ).reshape(shape)
    return layout.numbers(pixels.astype(stored_type.newbyteorder("="), copy=False))


def _num_frames(packed: Dataset) -> int:
    """Return the number of images in a file."""
    try:
        return max(int(packed.get("NumberOfFrames") or 1), 1)
    except (TypeError, ValueError):
        return 1


def _packed_frame(file: DicomFile, packed: Dataset) -> bytes:
    """Return the compressed pixels of one image, in a capsule of their own."""
    if file.frame is None:
        return packed.PixelData
    table = packed.get("ExtendedOffsetTable")
    try:
        with without_warnings():
            frame = get_frame(
                packed.PixelData,
                file.frame,
                number_of_frames=_num_frames(packed),
                extended_offsets=(table, packed.ExtendedOffsetTableLengths) if table else None,
            )
            return encapsulate([frame])
    except Exception as error:  # of damaged offsets, in any way
        raise file.fault("is cut short or broken, its pixels cannot be told apart; copy it again") from error


@dataclass(frozen=True)
class _Layout:
    """Where the bits of a stored number lie (DICOM PS3.5 8.1.1)."""

    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool

    def numbers(self, pixels: NDArray) -> NDArray:
        """Return the stored numbers; bits beside them, such as overlays of old scanners, fall away."""
        if self.bits_stored == self.bits_allocated:
            return pixels
        # The right shift of a signed type repeats the sign.
        above = self.bits_allocated - 1 - self.high_bit
        return (pixels << above) >> (self.bits_allocated - self.bits_stored)


def _layout(file: DicomFile) -> _Layout:
    allocated, stored, high = (int(file.number(name)) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in BITS_ALLOCATED or not 0 < stored <= allocated or not stored - 1 <= high < allocated:
        raise file.fault(
            f"stores {stored} bits up to bit {high} in {allocated}, expected at most as many in 8, 16 or 32",
        )
    return _Layout(allocated, stored, high, is_signed=file.number("PixelRepresentation") == 1)


def _unpack(file: DicomFile, packed: bytes, *, shape: tuple[int, int]) -> NDArray:
    """Return the stored numbers of a compressed slice.

    Notes
    -----
    ITK (GDCM) unpacks more than other libraries, but applies the rescale itself, not for every kind of object, and
    turns MONOCHROME1 round. So it is given the pixels alone, in a file that has nothing to apply.
    """
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as folder, _silent_c_libraries(), without_warnings():
        path = Path(folder) / "slice.dcm"
        try:
            _pixels_alone(file, packed, shape=shape).save_as(path, enforce_file_format=True)
            pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
        except (RuntimeError, ValueError) as error:
            name = name_of_uid(file.text("TransferSyntaxUID"))
            raise file.fault(
                f"is packed as {name}, or damaged, and cannot be unpacked; convert the series first",
            ) from error
    if pixels.shape != (1, *shape):
        raise file.fault(f"unpacks to {pixels.shape[1:]} pixels, expected {shape}; export it again")
    return pixels[0]


def _pixels_alone(file: DicomFile, packed: bytes, *, shape: tuple[int, int]) -> Dataset:
    """Return an object of packed pixels and what is needed to unpack them."""
    alone = Dataset()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.MediaStorageSOPClassUID = alone.SOPClassUID = SecondaryCaptureImageStorage
    alone.file_meta.MediaStorageSOPInstanceUID = alone.SOPInstanceUID = UID("1.2.3")
    alone.file_meta.TransferSyntaxUID = UID(file.text("TransferSyntaxUID"))
    alone.PhotometricInterpretation, alone.SamplesPerPixel = "MONOCHROME2", 1
    alone.Rows, alone.Columns = shape
    for name in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(alone, name, int(file.number(name)))
    alone.PixelData = packed
    alone["PixelData"].VR = "OB"
    alone["PixelData"].is_undefined_length = True
    return alone


@contextmanager
def _silent_c_libraries() -> Iterator[None]:
    """Keep from the user what the decoders inside ITK print on standard error, even for sound files."""
    sys.stderr.flush()
    kept, nowhere = os.dup(STANDARD_ERROR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)
