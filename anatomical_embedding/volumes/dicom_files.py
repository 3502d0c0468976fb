"""Which files of a folder are the slices of its one DICOM series, and what becomes of the others.

Folders of DICOM come with localizers, dose reports, a DICOMDIR, notes and half-copied files. A file that is certainly
no slice is left out and said; one that may be a slice but cannot be read is refused, because without it a slice would
be missing in silence. Where several series remain nothing is guessed: they are listed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.dicom_header import DicomFile, name_of_uid, read_header

STORAGE = "1.2.840.10008.5.1.4.1.1"
SLICE_CLASSES = {f"{STORAGE}.{number}" for number in ("2", "4", "128")}
"""CT, MR and PET: classes whose every object is one slice."""
NOT_SLICE_CLASSES = {f"{STORAGE}.{number}" for number in ("481.2", "66.4", "66.7", "30")}
"""RT dose, segmentation, label map and parametric map: pixels with a place that are no scan."""
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
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


def find_series_files(folder: Path | str) -> SeriesFiles:
    """Return the slices of the one DICOM series that lies in a folder; folders below it are not looked into.

    Raises
    ------
    InputFileError
        if the folder holds no series or several, or a file that may be one of its slices but cannot be read.
    """
    folder = Path(folder)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputFileError(folder, f"cannot be read: {error.strerror}; check the path") from error
    files = {path: read_header(path) for path in paths}
    left_out = {path: reason for path, file in files.items() if (reason := _no_slice(path, file))}
    images = [file for path, file in files.items() if file is not None and path not in left_out]
    if not images:
        raise _no_series(folder, left_out)
    others = _other_images(folder, images)
    slices = tuple(file for file in images if file.path not in others)
    _require_no_lost_slice({path: files[path] for path in left_out}, slices)
    left_out |= others
    if len(slices) < SMALLEST_NUM_SLICES:
        problem = f"holds {len(slices)} slice, expected {SMALLEST_NUM_SLICES} or more."
        raise InputFileError(folder, " ".join([problem, *left_out_sentences(left_out)]))
    return SeriesFiles(slices, tuple(left_out_sentences(left_out)))


def names_of(paths: Iterable[Path]) -> str:
    """Return the names of files: the first few, and the number of the others.

    Examples
    --------
    >>> names_of([Path("a/1.dcm"), Path("a/2.dcm")]), names_of(Path(str(number)) for number in range(12))
    ('1.dcm, 2.dcm', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    names = [" ".join(path.name.split()) for path in paths]
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
    is_multi_frame = frames not in {"", "0", "1"} or "Enhanced" in kind
    is_coloured = colours not in GREY or file.text("SamplesPerPixel") not in {"", "1"}
    has_no_pixels = "Rows" not in file.tags
    reasons = (
        (_is_cut_in_header(file), "a broken DICOM file"),
        (sop_class == DICOMDIR_CLASS, "a table of contents (DICOMDIR)"),
        (has_no_pixels or sop_class in NOT_SLICE_CLASSES, f"an object of the kind {kind}, not a slice"),
        (is_multi_frame, f"a multi-frame file ({frames or 1} frames, {kind})"),
        (is_coloured, f"a colour picture ({colours})"),
        (
            sop_class not in SLICE_CLASSES and not file.has_place,
            f"an image of the kind {kind} that does not state its position",
        ),
    )
    return next((reason for is_so, reason in reasons if is_so), "")


def _is_cut_in_header(file: DicomFile) -> bool:
    """Tell whether a header breaks off: that of a slice, or of nobody knows what, without a size."""
    return "Rows" not in file.tags and file.text("SOPClassUID") in {"", *SLICE_CLASSES}


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _other_images(folder: Path, images: Sequence[DicomFile]) -> dict[Path, str]:
    """Return the images that do not belong to the one series, with what they are."""
    has_slices = any(not file.is_localizer for file in images)
    others = {file.path: "a localizer" for file in images if has_slices and file.is_localizer}
    series: dict[str, list[DicomFile]] = {}
    for file in images:
        if file.path not in others:
            series.setdefault(file.text("SeriesInstanceUID"), []).append(file)
    volumes = [files for files in series.values() if len(files) >= SMALLEST_NUM_SLICES]
    candidates = volumes or list(series.values())
    if len(candidates) > 1:
        listed = ", ".join(_described(files) for files in candidates[:MOST_SERIES])
        more = f" and {len(candidates) - MOST_SERIES} more" if len(candidates) > MOST_SERIES else ""
        raise InputFileError(
            folder,
            f"holds {len(candidates)} DICOM series, expected one: {listed}{more}; put the slices of one of them "
            "in a folder of its own",
        )
    single = [files for files in series.values() if files is not candidates[0]]
    return others | {files[0].path: f"the one image of {_described(files)}" for files in single}


def _described(files: Sequence[DicomFile]) -> str:
    first = files[0]
    number = first.text("SeriesNumber") or "without number"
    images = "1 image" if len(files) == 1 else f"{len(files)} images"
    return f'series {number} "{first.text("SeriesDescription")}" ({images}, {first.text("Modality")})'


def _no_series(folder: Path, left_out: dict[Path, str]) -> InputFileError:
    for path, reason in left_out.items():
        if reason.startswith(("a multi-frame", "a colour")):
            return InputFileError(
                path, f"is {reason}, expected one grey slice in a file; convert it first (dcm2niix does)"
            )
    found = left_out_sentences(left_out) or ["The folder is empty."]
    problem = "holds no DICOM series that can be read; name a NIfTI file or such a folder."
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
