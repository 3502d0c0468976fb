"""The header of one DICOM file: the tags that a volume needs, as they are written in the file."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.config import IGNORE, disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ImplicitVRLittleEndian

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_mark import NUM_FIRST_BYTES, begins_as_dicom

PLAIN_TEXTS = ("CS", "DA", "DS", "DT", "IS", "TM", "UI")
"""Kinds of values that are ASCII with backslashes between (DICOM PS3.5 6.2)."""
PADDING = "\0 "
"""At the end of a value."""
LARGEST_NUMBER = 1e20
"""Beyond this no length in mm, count or factor makes sense, and arithmetic with it would overflow."""
STACK_TAGS = (
    *("TemporalPositionIdentifier", "AcquisitionNumber", "EchoTime", "DiffusionBValue"),
    *("ConvolutionKernel", "KVP", "SliceThickness", "ImageType"),
)
"""Tags that are one for all slices of a volume, the most telling first."""
DIFFERENCES = (*STACK_TAGS, "TriggerTime", "AcquisitionTime", "ContentTime", "InstanceNumber")
"""Tags that may tell apart two images of one place, the most telling first."""
CONCATENATION_TAGS = ("ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber")
HEADER_TAGS = (
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality"),
    *("FrameOfReferenceUID", "PatientID", "StudyInstanceUID", "StudyDate", "AcquisitionDate"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
    *DIFFERENCES,
    *CONCATENATION_TAGS,
)


FRAMES = "PerFrameFunctionalGroupsSequence"
PIXEL_TAGS = ("PixelData", "NumberOfFrames", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
OTHER_PIXEL_TAGS = ("FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class DicomFile:
    """One DICOM file, or one frame of it, and the tags that a volume needs.

    Attributes
    ----------
    path : the file.
    tags : keyword -> values as they are written in the file; a tag that is empty is absent.
    frame : number of the frame, from 0; None for a file that is one image.
    """

    path: Path
    tags: dict[str, tuple[str, ...]]
    frame: int | None = None

    @property
    def name(self) -> str:
        """What a user knows the image by."""
        return self.path.name if self.frame is None else f"{self.path.name} frame {self.frame + 1}"

    def fault(self, problem: str) -> InputFileError:
        """Return the error that says what is wrong with the image."""
        frame = "" if self.frame is None else f"frame {self.frame + 1}: "
        return InputFileError(self.path, f"{frame}{problem}")

    def text(self, keyword: str) -> str:
        r"""Return the values of a tag on one line with `\` between them, empty where it is absent."""
        written = " ".join("\\".join(self.tags.get(keyword, ())).split())
        return "".join(letter if letter.isprintable() else "?" for letter in written)

    def numbers(self, keyword: str, count: int) -> NDArray[np.float64]:
        """Return the (count,) values of a tag.

        Raises
        ------
        InputFileError
            if the tag is absent, holds another number of values, or one that is no number within bounds.
        """
        try:
            values = np.array([float(value) for value in self.tags.get(keyword, ())])
        except ValueError:
            values = np.full(count, np.nan)
        if len(values) != count or not (np.abs(values) < LARGEST_NUMBER).all():
            wanted = "one number" if count == 1 else f"{count} numbers"
            given = self.text(keyword) or "nothing"
            raise self.fault(f"has {given} for {keyword}, expected {wanted}; export the series again")
        return values

    def number(self, keyword: str) -> float:
        """Return the one value of a tag; see `numbers`."""
        return float(self.numbers(keyword, 1)[0])

    @property
    def is_localizer(self) -> bool:
        """Whether the scanner calls the image a localizer (scout, topogram)."""
        return "LOCALIZER" in (value.upper() for value in self.tags.get("ImageType", ()))

    @property
    def is_mosaic(self) -> bool:
        """Whether the image is a sheet of all slices of a volume (Siemens), which does not say where these lie."""
        words = (value.upper() for value in self.tags.get("ImageType", ()))
        return "MOSAIC" in words and not self.has_frames

    @property
    def has_frames(self) -> bool:
        """Whether the file holds several images and says where each of them lies."""
        return FRAMES in self.tags

    @property
    def has_place(self) -> bool:
        """Whether the file says where its image lies."""
        return "ImagePositionPatient" in self.tags and "ImageOrientationPatient" in self.tags


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep pydicom quiet about values that break the standard; what needs a value checks it."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def name_of_uid(uid: str) -> str:
    """Return the name of a class or transfer syntax in the standard; the UID itself where it has none.

    Examples
    --------
    >>> name_of_uid("1.2.840.10008.5.1.4.1.1.2")
    'CT Image Storage'
    """
    return UID(uid, validation_mode=IGNORE).name


def read_dicom_header(path: Path) -> DicomFile | None:
    """Return a DICOM file with its header, without tags where that is broken; None for what is no DICOM file.

    Raises
    ------
    InputFileError
        if the file may not be read.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            start = stream.read(NUM_FIRST_BYTES)
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror}; check its permissions") from error
    if not begins_as_dicom(start):
        return None
    try:
        with without_warnings():
            return DicomFile(
                path, written_tags(_read_tags(path, (*HEADER_TAGS, FRAMES), stop_before_pixels=True))
            )
    except Exception:  # a parser of any bytes whatever may fail in any way
        return DicomFile(path, {})


def read_dataset(path: Path, *, stop_before_pixels: bool) -> Dataset:
    """Return all tags of a DICOM file.

    Raises
    ------
    InputFileError
        if they cannot be read to the end.
    """
    try:
        with without_warnings():
            return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=True)
    except Exception as error:  # see read_dicom_header
        raise InputFileError(
            path, "is cut short or broken, its tags cannot be read; copy it again"
        ) from error


def read_pixel_data(path: Path) -> Dataset:
    """Return the pixel data of a DICOM file, as they are packed there.

    Raises
    ------
    InputFileError
        if the file holds none, or others than whole numbers, or ends within them.
    """
    try:
        with without_warnings():
            dataset = _read_tags(path, (*PIXEL_TAGS, *OTHER_PIXEL_TAGS), stop_before_pixels=False)
            is_present = bool(dataset.get("PixelData"))
    except Exception as error:  # see read_dicom_header
        raise InputFileError(
            path, "is cut short, its pixels cannot be read; copy the series again"
        ) from error
    other = next((tag for tag in OTHER_PIXEL_TAGS if tag in dataset), None)
    if not is_present and other is not None:
        raise InputFileError(
            path,
            f"holds its pixels as {other}, which is not read; export the series with whole numbers (PixelData)",
        )
    if not is_present:
        raise InputFileError(path, "holds no pixels; copy the series again, or remove what is not a slice")
    return dataset


def _read_tags(path: Path, tags: Sequence[str], *, stop_before_pixels: bool) -> Dataset:
    wanted = [_tag_of(keyword) for keyword in tags]
    return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, specific_tags=wanted, force=True)


@cache
def _tag_of(keyword: str) -> BaseTag:
    """Return the number of a tag, looked up once."""
    return Tag(keyword)


def written_tags(header: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the tags of a header that a volume needs, as they are written."""
    tags = {}
    for keyword in HEADER_TAGS:
        values = written_values(header, keyword)
        if any(values):
            tags[keyword] = values
    if FRAMES in header:
        tags[FRAMES] = ("present",)
    meta = getattr(header, "file_meta", Dataset())
    tags["TransferSyntaxUID"] = (str(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)),)
    if "SOPClassUID" not in tags and "MediaStorageSOPClassUID" in meta:
        tags["SOPClassUID"] = (str(meta.MediaStorageSOPClassUID),)
    return tags


def written_values(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a tag as they are written; one empty text where it is absent.

    Plain texts are taken as they lie in the file, faster than pydicom makes values of them: a folder may hold thousands
    of files.
    """
    raw = header.get_item(_tag_of(keyword), keep_deferred=True)
    if raw is None:
        return ("",)
    if isinstance(raw, RawDataElement) and raw.VR in PLAIN_TEXTS and raw.value is not None:
        return tuple(part.rstrip(PADDING).strip() for part in raw.value.decode("latin-1").split("\\"))
    value = _value(header, keyword)
    entries = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple("" if entry is None else str(entry).strip() for entry in entries)


def _value(header: Dataset, keyword: str) -> object:
    try:
        return header.get(keyword)
    except Exception:  # such as letters where a number belongs; what needs the tag says so
        return "an unreadable value"
