"""Folders of DICOM slices, and files of many frames: one series becomes one volume, or is refused with the reason.

The place of a volume follows the positions and directions of its slices, not the order or the names of the files
(`dicom_place`); each slice has its own rescale (`dicom_values`); what else lies in the folder is left out and said, or
refused where a slice may be lost with it (`dicom_files`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.dicom_files import SMALLEST_NUM_SLICES, find_series_files, names_of
from anatomical_embedding.volumes.dicom_header import DIFFERENCES, DicomFile, name_of_uid
from anatomical_embedding.volumes.dicom_pixels import read_stored_image
from anatomical_embedding.volumes.dicom_place import (
    place_of_slices,
    require_equal_slices,
    sorted_along_normal,
)
from anatomical_embedding.volumes.dicom_stacks import how_to_part, look_at_turns
from anatomical_embedding.volumes.dicom_straight import straighten
from anatomical_embedding.volumes.dicom_values import read_rescale, read_values
from anatomical_embedding.volumes.scan_checks import MODALITIES
from anatomical_embedding.volumes.volume import Volume

SAME_PLACE_MM = 1e-3
MODALITY_OF_CLASS = {
    f"1.2.840.10008.5.1.4.1.1.{number}": word
    for word, numbers in (
        ("CT", ("2", "2.1", "2.2")),
        ("MR", ("4", "4.1", "4.4")),
        ("PT", ("128", "128.1", "130")),
    )
    for number in numbers
}
"""For files that do not say their modality."""
OF_ONE_SCAN = {
    "StudyInstanceUID": "study",
    "StudyDate": "study date",
    "AcquisitionDate": "acquisition date",
}
"""What no slices of one scan name several of, but for the acquisition of one that goes on after midnight."""
HOUNSFIELD_UNITS = {"", "HU"}


@dataclass(frozen=True)
class DicomSeries:
    """The volume of a series and what its files say of it.

    Attributes
    ----------
    volume : values after each slice's own rescale, and their place in the world.
    modality : `ct` or `mr`, None for another word.
    modality_word : as it is written, such as `PT` for PET; empty where nothing is.
    object_kind : name of the kind of object in the standard; empty where the files do not say it.
    has_rescale : whether slope and intercept are given; without them it is unknown what the values of a CT are.
    remarks : what was left out, corrected or is uncommon, one sentence each with the name of the file.
    frame_of_reference : UID of the world that it lies in; empty where its files do not say one, or several.
    """

    volume: Volume
    modality: Modality | None
    modality_word: str
    object_kind: str
    has_rescale: bool
    remarks: tuple[str, ...]
    frame_of_reference: str


def read_dicom_series(folder: Path | str, *, series: str | None = None, largest_gap_mm: float) -> DicomSeries:
    """Return the one DICOM series in a folder or a multi-frame file, each slice with its own rescale applied.

    Slices of a tilted gantry or with unequal gaps are resampled onto a straight grid, and that is said.

    Parameters
    ----------
    folder : folder of slices, or a file of many frames.
    series : number or UID of the one to take where a folder holds several.
    largest_gap_mm : unequal gaps up to this are interpolated.

    Raises
    ------
    InputFileError
        if the folder holds no series or several; if a file that may be a slice cannot be read; or if the slices are not
        of one size, not parallel, not on one line, two of them lie at one place, or a gap is too large. The message
        names the file.
    """
    folder = Path(folder)
    found = find_series_files(folder, series=series)
    remarks = list(found.remarks)
    require_equal_slices(found.slices)
    _look_at_frames(found.slices, remarks)
    _look_at_origin(found.slices, remarks)
    files, positions = sorted_along_normal(found.slices)
    files, positions = _without_copies(files, positions, remarks)
    if len(files) < SMALLEST_NUM_SLICES:
        raise files[0].fault("is the only slice of its folder, apart from copies; expected 2 or more")
    places = place_of_slices(folder, files, positions, largest_gap_mm=largest_gap_mm, remarks=remarks)
    has_rescale = _has_rescale(files)
    sop_class = files[0].text("SOPClassUID")
    word = files[0].text("Modality") or MODALITY_OF_CLASS.get(sop_class, "")
    _look_at_units(files, word, has_rescale=has_rescale, remarks=remarks)
    array = read_values(files)
    if array.min() == array.max():
        raise InputFileError(folder, f"every voxel has the value {array.flat[0]}, expected an image")
    look_at_turns(folder, files, array, remarks=remarks)
    if places.straightening is not None:
        array = straighten(array, places.straightening)
    return DicomSeries(
        Volume(array, places.affine),
        MODALITIES.get(word),
        word,
        name_of_uid(sop_class) if sop_class else "",
        has_rescale,
        tuple(remarks),
        _one_frame(files),
    )


def _look_at_frames(files: Sequence[DicomFile], remarks: list[str]) -> None:
    """Say where slices of one series name different worlds; a scanner does not, a careless anonymiser does."""
    first = files[0]
    others = [file for file in files if file.text("FrameOfReferenceUID") != first.text("FrameOfReferenceUID")]
    if others:
        remarks.append(
            f"{names_of(file.name for file in others)}: another frame of reference than {first.name}; "
            "positions are taken as of one."
        )


def _look_at_origin(files: Sequence[DicomFile], remarks: list[str]) -> None:
    """Say where slices of one series name different studies or dates."""
    for keyword, what in OF_ONE_SCAN.items():
        named = [file for file in files if file.text(keyword)]
        others = [file for file in named if file.text(keyword) != named[0].text(keyword)]
        if others:
            remarks.append(
                f"{names_of(file.name for file in others)}: another {what} than {named[0].name}, in one series; look "
                "whether they are of one scan."
            )


def _one_frame(files: Sequence[DicomFile]) -> str:
    """Return the frame of reference that all slices name; empty where they name several."""
    named = {file.text("FrameOfReferenceUID") for file in files}
    return named.pop() if len(named) == 1 else ""


def _without_copies(
    files: Sequence[DicomFile], positions: NDArray[np.float64], remarks: list[str]
) -> tuple[list[DicomFile], NDArray[np.float64]]:
    """Leave out a slice that is there twice with the same values; refuse two images of one place that differ."""
    is_first = np.r_[True, np.linalg.norm(np.diff(positions, axis=0), axis=1) > SAME_PLACE_MM]
    kept = [int(number) for number in np.flatnonzero(is_first)]
    first_of_place = [kept[place] for place in np.cumsum(is_first) - 1]
    copies = {}
    for number, first in enumerate(first_of_place):
        if number == first:
            continue
        if not _same_values(files[first], files[number]):
            raise _two_at_one_place(files[first], files[number], num_images=len(files), num_places=len(kept))
        copies[files[number].name] = files[first].name
    if copies:
        remarks.append(f"Left out {names_of(copies)}: the same as {names_of(copies.values())}.")
    return [files[number] for number in kept], positions[kept]


def _same_values(first: DicomFile, other: DicomFile) -> bool:
    return read_rescale(first) == read_rescale(other) and np.array_equal(
        read_stored_image(first), read_stored_image(other)
    )


def _two_at_one_place(
    first: DicomFile, other: DicomFile, *, num_images: int, num_places: int
) -> InputFileError:
    differing = [keyword for keyword in DIFFERENCES if first.text(keyword) != other.text(keyword)]
    tag = ""
    if differing:
        values = [image.text(differing[0]) or "none" for image in (first, other)]
        tag = f" ({differing[0]} {' and '.join(values)})"
    return other.fault(
        f"lies at the same place as {first.name}, with other values{tag}: {num_images} images at {num_places} "
        f"places, as a series of several phases or echoes has; {how_to_part(other)}",
    )


def _has_rescale(files: Sequence[DicomFile]) -> bool:
    """Return whether slices give a rescale; a mixture is refused, because nobody knows what the others are."""
    given = [read_rescale(file).is_given for file in files]
    if any(given) and not all(given):
        without = files[given.index(False)]
        raise without.fault(
            "gives no rescale slope and intercept, the other slices do; export the series again"
        )
    return all(given)


def _look_at_units(files: Sequence[DicomFile], word: str, *, has_rescale: bool, remarks: list[str]) -> None:
    """Say what is uncommon about the values, and refuse those whose sense is unknown."""
    inverted = [file for file in files if file.text("PhotometricInterpretation") == "MONOCHROME1"]
    if inverted and not (word == "CT" and has_rescale):
        raise inverted[0].fault(
            "shows its lowest values white (MONOCHROME1), so it is unknown whether the values are inverted; export it "
            "as MONOCHROME2",
        )
    if inverted:
        remarks.append(
            f"{names_of(file.name for file in inverted)}: lowest values are shown white (MONOCHROME1), which changes "
            "no HU; values are taken as stored."
        )
    projections = [file for file in files if {"MIP", "MINIP", "PROJECTION IMAGE"} & set(_kinds(file))]
    if projections:
        remarks.append(
            f"{names_of(file.name for file in projections)}: a projection through several slices, not one slice."
        )
    other_units = [file for file in files if file.text("RescaleType") not in HOUNSFIELD_UNITS]
    if word == "CT" and other_units:
        remarks.append(
            f"{names_of(file.name for file in other_units)}: values are said to be of type "
            f"{other_units[0].text('RescaleType')}, expected HU."
        )


def _kinds(file: DicomFile) -> list[str]:
    """Return the words that say what kind of image it is."""
    return [word.strip().upper().replace("MIN IP", "MINIP") for word in file.tags.get("ImageType", ())]
