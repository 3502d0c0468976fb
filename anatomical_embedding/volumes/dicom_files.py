"""Which files of a folder are the slices of its one DICOM series, and what becomes of the others.

Folders of DICOM come with localizers, dose reports, a DICOMDIR, notes and half-copied files. A file that is certainly
no slice is left out and said; one that may be a slice but cannot be read is refused, because without it a slice would
be missing in silence. Where several series remain nothing is guessed: they are listed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import (
    CTImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    ParametricMapStorage,
    PositronEmissionTomographyImageStorage,
    RTDoseStorage,
    SegmentationStorage,
)

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_frames import read_frames_of_parts
from anatomical_embedding.volumes.dicom_header import DicomFile, name_of_uid, read_dicom_header
from anatomical_embedding.volumes.dicom_mark import entries_of_dicom
from anatomical_embedding.volumes.file_names import is_volume_name

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
"""Has no name in pydicom yet."""
SLICE_CLASSES = {CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage}
"""Whose every object is one slice."""
NOT_SLICE_CLASSES = {RTDoseStorage, SegmentationStorage, LABEL_MAP_STORAGE, ParametricMapStorage}
"""Pixels with a place that are no scan."""
COLOURS = "PhotometricInterpretation"
GREY = {"", "MONOCHROME1", "MONOCHROME2"}
SMALLEST_NUM_SLICES = 2
MOST_NAMES = 10
MOST_SERIES = 12


@dataclass(frozen=True)
class SeriesFiles:
    """The slices of the one series of a folder, and what was left out.

    Attributes
    ----------
    slices : two or more files, in the order of their names.
    remarks : sentences that name the files left out and say what they are.
    """

    slices: tuple[DicomFile, ...]
    remarks: tuple[str, ...]


def find_series_files(path: Path | str, *, series: str | None = None) -> SeriesFiles:
    """Return the slices of the one DICOM series in a folder, or the frames of one multi-frame file.

    Folders below the folder are looked into where it holds no DICOM file itself, as in exports of archives.

    Parameters
    ----------
    path : folder, or file of many frames.
    series : number or UID of the series to take where a folder holds several; None refuses such a folder.

    Raises
    ------
    InputFileError
        if the folder holds no series or several, or a file that may be one of its slices but cannot be read; if the
        file is not a whole volume.
    """
    path = Path(path)
    if not path.is_dir():
        return SeriesFiles(tuple(_frames_of_file(path)), ())
    try:
        paths = entries_of_dicom(path)
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror}; check the path") from error
    files = {entry: read_dicom_header(entry) for entry in paths}
    left_out = {entry: reason for entry, file in files.items() if (reason := _no_slice(entry, file))}
    images = [file for entry, file in files.items() if file is not None and entry not in left_out]
    if not images:
        raise _no_series(path, left_out)
    slices, others = _one_series(path, images, series=series)
    folders = {file.path.parent for file in slices}
    _require_no_lost_slice({entry: files[entry] for entry in left_out if entry.parent in folders}, slices)
    left_out |= others
    if slices[0].has_frames:
        slices = read_frames_of_parts(slices)
    if len(slices) < SMALLEST_NUM_SLICES:
        problem = f"holds {len(slices)} slice, expected {SMALLEST_NUM_SLICES} or more."
        raise InputFileError(
            path, " ".join([problem, *_lies_below(path, slices), *left_out_sentences(left_out)])
        )
    return SeriesFiles(tuple(slices), (*_lies_below(path, slices), *left_out_sentences(left_out)))


def _lies_below(folder: Path, slices: Sequence[DicomFile]) -> list[str]:
    """Say where the slices lie that are not in the folder itself."""
    places = sorted({file.path.parent.relative_to(folder).as_posix() for file in slices} - {"."})
    more = f" and {len(places) - MOST_SERIES} more" if len(places) > MOST_SERIES else ""
    return [f"Its slices lie in {', '.join(places[:MOST_SERIES])}{more} of this folder."] if places else []


def is_dicom_file(path: Path) -> bool:
    """Say whether a file is DICOM, by its beginning."""
    return path.is_file() and read_dicom_header(path) is not None


def read_slice_header(path: Path) -> DicomFile | None:
    """Return the header of a file that may be a slice or the frames of a scan; None for all else.

    Localizers and what was made of a scan, such as segmentations, doses and screenshots, are none of it.

    Raises
    ------
    InputFileError
        if the file may not be read.
    """
    file = read_dicom_header(path)
    return None if file is None or file.is_localizer or _no_slice(path, file) else file


def _frames_of_file(path: Path) -> list[DicomFile]:
    """Return the frames of one file that is a whole volume."""
    file = read_dicom_header(path)
    if file is None:
        raise InputFileError(
            path, "is not a DICOM file; expected one of many frames, or a folder of one series"
        )
    reason = _no_slice(path, file)
    if reason:
        raise InputFileError(path, f"is {reason}, expected a scan")
    if not file.has_frames:
        raise InputFileError(
            path,
            "is one slice of a series; name the folder that holds all of them, with --series where it holds several",
        )
    frames = read_frames_of_parts([file])
    if len(frames) < SMALLEST_NUM_SLICES:
        raise InputFileError(path, f"holds {len(frames)} frame, expected {SMALLEST_NUM_SLICES} or more")
    return frames


def names_of(files: Iterable[Path | str]) -> str:
    """Return the names of files or frames: the first few, and the number of the others.

    Examples
    --------
    >>> names_of([Path("a/1.dcm"), Path("a/2.dcm")]), names_of(Path(str(number)) for number in range(12))
    ('1.dcm, 2.dcm', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    names = [" ".join((file if isinstance(file, str) else file.name).split()) for file in files]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def left_out_sentences(left_out: dict[Path, str]) -> list[str]:
    """Return, for each reason why files are left out, one sentence that names them.

    Examples
    --------
    >>> left_out_sentences({Path("a.txt"): "not a DICOM file", Path("b"): "a folder", Path("c.md"): "not a DICOM file"})
    ['Left out a.txt, c.md: not a DICOM file.', 'Left out b: a folder.']
    """
    return [
        f"Left out {names_of(path for path, given in left_out.items() if given == reason)}: {reason}."
        for reason in dict.fromkeys(left_out.values())
    ]


def _no_slice(path: Path, file: DicomFile | None) -> str:
    """Return what a file is, where it is no slice or none that can be read; empty for a slice."""
    if file is None:
        if path.is_dir():
            return "a folder"
        return "an empty file" if _is_empty(path) else "not a DICOM file"
    sop_class = file.text("SOPClassUID")
    kind, frames, colours = name_of_uid(sop_class), file.text("NumberOfFrames"), file.text(COLOURS)
    is_multi_frame = not file.has_frames and (frames not in {"", "0", "1"} or "Enhanced" in kind)
    is_coloured = colours not in GREY or file.text("SamplesPerPixel") not in {"", "1"}
    has_no_pixels = "Rows" not in file.tags
    reasons = (
        (_is_cut_in_header(file), "a broken DICOM file"),
        (sop_class == MediaStorageDirectoryStorage, "a table of contents (DICOMDIR)"),
        (has_no_pixels or sop_class in NOT_SLICE_CLASSES, f"an object of the kind {kind}, not a slice"),
        (
            is_multi_frame,
            f"a multi-frame file ({frames or 1} frames, {kind}) that does not state their positions",
        ),
        (is_coloured, f"a colour picture ({colours})"),
        (file.is_mosaic, "a mosaic of all slices of a volume, which does not state their positions"),
        (
            sop_class not in SLICE_CLASSES and not file.has_place and not file.has_frames,
            f"an image of the kind {kind} that does not state its position",
        ),
    )
    return next((reason for is_so, reason in reasons if is_so), "")


def _is_cut_in_header(file: DicomFile) -> bool:
    """Tell whether a header breaks off: that of a slice, or of nobody knows what, without a size."""
    return "Rows" not in file.tags and file.text("SOPClassUID") in {"", *SLICE_CLASSES}


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _one_series(
    folder: Path, images: Sequence[DicomFile], *, series: str | None
) -> tuple[list[DicomFile], dict[Path, str]]:
    """Return the files of the one series, or of the one that is asked for, and what the other images are."""
    has_slices = any(not file.is_localizer for file in images)
    others = {file.path: "a localizer" for file in images if has_slices and file.is_localizer}
    groups: dict[str, list[DicomFile]] = {}
    for file in images:
        if file.path not in others:
            own = file.text("ConcatenationUID") or (file.path if _holds_several(file) else "")
            groups.setdefault(f"{file.text('SeriesInstanceUID')} {file.has_frames} {own}", []).append(file)
    every = list(groups.values())
    volumes = [files for files in every if len(files) >= SMALLEST_NUM_SLICES or _holds_several(files[0])]
    candidates = volumes or every
    if series is not None:
        candidates = [files for files in every if series in names_of_series(files[0])]
        if not candidates:
            raise InputFileError(
                folder, f"holds no series {series}, but {_listed(every)}; --series takes one of them"
            )
    if len(candidates) > 1:
        raise InputFileError(
            folder,
            f"holds {len(candidates)} DICOM series{_of_patients(candidates)}, expected one: {_listed(candidates)}; "
            f"{_how_to_choose(candidates)}{_or_its_folder(folder, candidates)}",
        )
    rest = [files for files in every if files is not candidates[0]]
    others |= {
        file.path: f"{'the one image' if len(files) == 1 else 'images'} of {_described(files)}"
        for files in rest
        for file in files
    }
    return candidates[0], others


def _holds_several(file: DicomFile) -> bool:
    """Return whether a file is a volume of its own; some scanners write enhanced images of one frame, a file each."""
    return file.has_frames and file.text("NumberOfFrames") not in {"", "1"}


def names_of_series(file: DicomFile) -> tuple[str, str]:
    """Return what `--series` calls the series of a file: its number and its UID."""
    return file.text("SeriesNumber"), file.text("SeriesInstanceUID")


def _how_to_choose(candidates: Sequence[Sequence[DicomFile]]) -> str:
    """Return how a user says which of several series is wanted."""
    numbers, uids = zip(*(names_of_series(files[0]) for files in candidates), strict=True)
    if all(numbers) and len(set(numbers)) == len(numbers):
        return f"--series takes one, such as --series {numbers[0]}"
    if len(set(uids)) == len(uids):
        return f"--series takes one by its UID, such as --series {uids[0]}"
    return f"name one of the files, such as {candidates[0][0].name}"


def _or_its_folder(folder: Path, candidates: Sequence[Sequence[DicomFile]]) -> str:
    """Return how a series in a folder of its own is named; empty where they share folders."""
    places = [{file.path.parent for file in files} for files in candidates]
    alone = [place for place in places if len(place) == 1 and sum(place == other for other in places) == 1]
    if not alone or alone[0] == {folder}:
        return ""
    return f", or name its folder, such as {alone[0].pop().relative_to(folder).as_posix()} in it"


def _of_patients(candidates: Sequence[Sequence[DicomFile]]) -> str:
    """Say so where series are of several patients, as in a folder of many patients that is named as one scan."""
    patients = {files[0].text("PatientID") for files in candidates}
    return f" of {len(patients)} patients" if len(patients) > 1 else ""


def _listed(candidates: Sequence[Sequence[DicomFile]]) -> str:
    listed = ", ".join(_described(files) for files in candidates[:MOST_SERIES])
    return listed + (f" and {len(candidates) - MOST_SERIES} more" if len(candidates) > MOST_SERIES else "")


def _described(files: Sequence[DicomFile]) -> str:
    first = files[0]
    number = first.text("SeriesNumber") or "without number"
    images = "1 image" if len(files) == 1 else f"{len(files)} images"
    if first.has_frames:
        parts = f" in {len(files)} files" if len(files) > 1 else ""
        frames = sum(int(file.number("NumberOfFrames")) for file in files if "NumberOfFrames" in file.tags)
        images = f"{first.name}, {frames or len(files)} frames{parts}"
    return f'series {number} "{first.text("SeriesDescription")}" ({images}, {first.text("Modality")})'


def _no_series(folder: Path, left_out: dict[Path, str]) -> InputFileError:
    for path, reason in left_out.items():
        if reason.startswith(("a multi-frame", "a colour", "a mosaic")):
            return InputFileError(
                path, f"is {reason}, expected grey slices; convert it first (dcm2niix does)"
            )
    found = left_out_sentences(left_out) or ["The folder is empty."]
    volume = next((path.name for path in left_out if is_volume_name(path.name)), "")
    example = f", such as {volume}," if volume else ""
    problem = f"holds no DICOM series that can be read; name a file with a volume{example} or such a folder."
    return InputFileError(folder, " ".join([problem, *found]))


def _require_no_lost_slice(left_out: dict[Path, DicomFile | None], slices: Sequence[DicomFile]) -> None:
    """Refuse what may be a slice and cannot be read; without it a slice would be missing in silence."""
    lost = [path for path, file in left_out.items() if _may_be_slice(path, file, slices)]
    if lost:
        others = f", and so do {names_of(lost[1:])}" if len(lost) > 1 else ""
        raise InputFileError(
            lost[0],
            f"looks like a slice of the series, but is cut short, empty or not a DICOM file{others}; copy the series "
            "again, or remove what is not a slice",
        )


def _may_be_slice(path: Path, file: DicomFile | None, slices: Sequence[DicomFile]) -> bool:
    """Tell whether an unreadable file may be a slice: it is DICOM that breaks off, or is called as slices are."""
    if file is not None:
        series = file.text("SeriesInstanceUID")
        return _is_cut_in_header(file) and series in {"", slices[0].text("SeriesInstanceUID")}
    if path.is_dir() or path.name.startswith("."):
        return False
    has_ending = path.suffix in {entry.path.suffix for entry in slices}
    is_called_so = _name_pattern(path) in {_name_pattern(entry.path) for entry in slices}
    return is_called_so or (has_ending and (path.suffix != "" or _is_empty(path)))


def _name_pattern(path: Path) -> str:
    """Return a name with its numbers left open, such as IM#.dcm."""
    return re.sub(r"\d+", "#", path.name)
