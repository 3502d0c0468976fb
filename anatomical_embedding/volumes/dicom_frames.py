"""The frames of one multi-frame DICOM file (enhanced CT and MR), each as a slice with tags of its own.

Where a frame lies, and how its stored numbers become values, stands in functional groups: in those of the frame, else
in the shared ones (DICOM PS3.3 C.7.6.16). Read into the tags of single slices, they are judged like a series of files.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import (
    FRAMES,
    DicomFile,
    read_dataset,
    without_warnings,
    written_values,
)

SHARED = "SharedFunctionalGroupsSequence"
GROUPS = (
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("PixelValueTransformationSequence", "RescaleType", "RescaleType"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("FrameContentSequence", "FrameAcquisitionDateTime", "AcquisitionTime"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("CTReconstructionSequence", "ConvolutionKernel", "ConvolutionKernel"),
    ("CTXRayDetailsSequence", "KVP", "KVP"),
    ("PixelMeasuresSequence", "SliceThickness", "SliceThickness"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("CTImageFrameTypeSequence", "FrameType", "ImageType"),
    ("MRImageFrameTypeSequence", "FrameType", "ImageType"),
    ("SegmentIdentificationSequence", "ReferencedSegmentNumber", "ReferencedSegmentNumber"),
)
"""Functional group, its tag, and the tag of a single slice that says the same."""


def read_frames_of_parts(files: Sequence[DicomFile]) -> list[DicomFile]:
    """Return the frames of the files that one multi-frame image was divided into, a concatenation, or of its one file.

    Raises
    ------
    InputFileError
        as `read_frames`, or if a part is missing (DICOM PS3.3 C.7.6.16.2.2.4).
    """
    stated = [int(file.number("InConcatenationNumber")) for file in files if "ConcatenationUID" in file.tags]
    totals = [
        int(file.number("InConcatenationTotalNumber"))
        for file in files
        if "InConcatenationTotalNumber" in file.tags
    ]
    count = max([*stated, *totals], default=0)
    missing = sorted(set(range(1, count + 1)) - set(stated))
    if missing:
        numbers = ", ".join(map(str, missing))
        raise InputFileError(
            files[0].path,
            f"is one part of an image in {count} files, of which number {numbers} is not here; name the folder that "
            "holds all of them",
        )
    return [frame for file in files for frame in read_frames(file)]


def read_frames(file: DicomFile) -> list[DicomFile]:
    """Return the frames of a multi-frame file as slices.

    Raises
    ------
    InputFileError
        if the file says where another number of frames lies than it holds, or its tags cannot be read.
    """
    dataset = read_dataset(file.path, stop_before_pixels=True)
    stated = int(file.number("NumberOfFrames")) if "NumberOfFrames" in file.tags else 1
    try:
        with without_warnings():
            shared = dict(_tags((dataset.get(SHARED) or [Dataset()])[0]))
            frames = [file.tags | shared | dict(_tags(group)) for group in dataset.get(FRAMES) or []]
    except Exception as error:  # of sequences that are none, in any way
        raise InputFileError(file.path, "has a header that is broken; copy or export it again") from error
    if len(frames) != stated:
        raise InputFileError(
            file.path,
            f"holds {stated} frames and says of {len(frames)} where they lie; copy or export it again",
        )
    return [DicomFile(file.path, tags, frame=number) for number, tags in enumerate(frames)]


def _tags(group: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the tags in the functional groups of one frame, under the names that they have in a single slice."""
    for sequence, keyword, of_slice in GROUPS:
        items = group.get(sequence)
        values = written_values(items[0], keyword) if items else ("",)
        if any(values):
            yield of_slice, values
