"""Whether a file is DICOM, by its first bytes, and where in a folder such files lie; no reader of DICOM is loaded."""

import os
from collections.abc import Iterator
from pathlib import Path

from anatomical_embedding.volumes.file_names import is_volume_name

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
NUM_FIRST_BYTES = PREAMBLE_BYTES + len(MAGIC)
STARTS_WITHOUT_PREAMBLE = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""A data set without the preamble begins with a tag of group 2 or 8."""
TABLE_OF_CONTENTS = "DICOMDIR"
"""Lies above the folders of what it lists, and is DICOM itself."""
MOST_FOLDERS_DEEP = 9
"""Exports of XNAT have six: `session/scans/3-CT/resources/DICOM/files` below a project."""


def begins_as_dicom(first_bytes: bytes) -> bool:
    """Return whether a file that begins with these bytes is DICOM.

    Examples
    --------
    >>> begins_as_dicom(bytes(128) + b"DICM"), begins_as_dicom(b"NRRD0004")
    (True, False)
    """
    return first_bytes[PREAMBLE_BYTES:] == MAGIC or first_bytes.startswith(STARTS_WITHOUT_PREAMBLE)


def holds_dicom(folder: Path | str) -> bool:
    """Return whether a folder holds a DICOM file itself, a table of contents apart; folders below do not count.

    Notes
    -----
    One file is opened where the first one is DICOM, as in most folders of a series.
    """
    try:
        with os.scandir(folder) as entries:
            return any(
                entry.is_file() and is_marked_dicom(entry.path)
                for entry in sorted(entries, key=lambda entry: entry.name)
            )
    except OSError:
        return False


def holds_dicom_below(folder: Path | str) -> bool:
    """Return whether a folder holds DICOM files only in folders below it, as exports of archives do."""
    return not holds_dicom(folder) and any(any(map(is_marked_dicom, files)) for files in _files_below(folder))


def entries_of_dicom(folder: Path) -> list[Path]:
    """Return what lies in a folder of DICOM, sorted: its entries or, where it `holds_dicom_below`, those files.

    Of folders below, all files are returned of those that hold DICOM, and none of the others: a home folder with an
    export somewhere in it is no scan of 100,000 files.

    Raises
    ------
    OSError
        if it cannot be listed.
    """
    below: list[str] = []
    if not holds_dicom(folder):
        for files in _files_below(folder):
            below += files if any(map(is_marked_dicom, files)) else []
    return sorted(map(Path, below) if below else folder.iterdir())


def _files_below(folder: Path | str) -> Iterator[list[str]]:
    """Give for a folder and each below it the files that may be DICOM by their names, in order; each folder once.

    Hidden files and folders are passed by, and so are folders deeper than any archive nests them. What is no regular
    file is passed by as well: to open a pipe waits for its writer.
    """
    top = os.fspath(folder)
    seen: set[str] = set()
    for place, folders, files in os.walk(top, followlinks=True):
        own = os.path.realpath(place)
        depth = len(Path(place).parts) - len(Path(top).parts)
        if own in seen or depth >= MOST_FOLDERS_DEEP:
            folders.clear()
        if own in seen:
            continue
        seen.add(own)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = sorted(name for name in files if not name.startswith(".") and not is_volume_name(name))
        paths = [os.path.join(place, name) for name in names]  # noqa: PTH118 - a path object for each of many files
        yield [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 - as above


def is_marked_dicom(path: Path | str) -> bool:
    """Return whether a file is DICOM by its first bytes, and no table of contents; one that cannot be read is not."""
    if Path(path).name.upper() == TABLE_OF_CONTENTS:
        return False
    try:
        with Path(path).open("rb") as stream:
            return begins_as_dicom(stream.read(NUM_FIRST_BYTES))
    except OSError:
        return False
