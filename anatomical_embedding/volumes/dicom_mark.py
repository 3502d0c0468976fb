"""Whether a file is DICOM, by its first bytes; no reader of DICOM has to be loaded for it."""

import os
from pathlib import Path

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
NUM_FIRST_BYTES = PREAMBLE_BYTES + len(MAGIC)
STARTS_WITHOUT_PREAMBLE = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""A data set without the preamble begins with a tag of group 2 or 8."""


def begins_as_dicom(first_bytes: bytes) -> bool:
    """Return whether a file that begins with these bytes is DICOM.

    Examples
    --------
    >>> begins_as_dicom(bytes(128) + b"DICM"), begins_as_dicom(b"NRRD0004")
    (True, False)
    """
    return first_bytes[PREAMBLE_BYTES:] == MAGIC or first_bytes.startswith(STARTS_WITHOUT_PREAMBLE)


def holds_dicom(folder: Path | str) -> bool:
    """Return whether a folder holds a DICOM file itself; folders below it are not looked into.

    Notes
    -----
    One file is opened where the first one is DICOM, as in most folders of a series.
    """
    try:
        with os.scandir(folder) as entries:
            return any(_is_dicom(entry) for entry in sorted(entries, key=lambda entry: entry.name))
    except OSError:
        return False


def _is_dicom(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file():
        return False
    with Path(entry.path).open("rb") as stream:
        return begins_as_dicom(stream.read(NUM_FIRST_BYTES))
