"""What in a folder is a scan: a file by its name, a folder by whether it, or else a folder below it, holds DICOM."""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.dicom_mark import holds_dicom, holds_dicom_below
from anatomical_embedding.volumes.file_names import (
    DICOM_SUFFIXES,
    even_copies,
    is_volume_name,
    without_ending,
)

CASE_IMAGES: dict[Modality, str] = {"ct": "ct", "mr": "mri"}
"""Name of the scan of a case, without the ending of its format."""
MOST_FOLDERS = 1000
"""That are looked into for a scan to name in an error."""


def entries_of(root: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name.

    Raises
    ------
    InputFileError
        if it is none, or cannot be read.
    """
    try:
        with os.scandir(root) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputFileError(
            root,
            f"cannot be read as a folder ({error.strerror}); set the data set's root"
            + ("" if root.is_absolute() else f", a path from {Path.cwd()} or an absolute one"),
        ) from error


def is_scan(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a scan: a file of a known name, or a folder that itself holds a DICOM file."""
    if is_volume_name(entry.name):
        return True
    if entry.name.startswith("."):
        return False
    return holds_dicom(entry.path) if entry.is_dir() else entry.name.lower().endswith(DICOM_SUFFIXES)


def is_export(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder that holds DICOM only in folders below it."""
    return not entry.name.startswith(".") and entry.is_dir() and holds_dicom_below(entry.path)


def name_of_scan(entry: os.DirEntry[str]) -> str:
    """Return what a scan is called: the name of its folder, or of its file without the ending of the format."""
    is_folder = entry.is_dir() and not is_volume_name(entry.name)
    return entry.name if is_folder else without_ending(entry.name)


def scans_of(entries: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Return the entries that are scans, without those that stand aside for a better copy (`copied_evenly`).

    Where no entry is one, the folders with DICOM in folders below them are: the patients of an archive's export.
    """
    entries = list(entries)
    scans = [entry for entry in entries if is_scan(entry)]
    if not scans:
        return [entry for entry in entries if is_export(entry)]
    copied = copied_evenly(entry.name for entry in scans)
    return [entry for entry in scans if entry.name not in copied]


def nested_scan(root: Path) -> str:
    """Return what to do where scans lie in folders of folders, as in BIDS; empty where none is found there."""
    for folder, folders, files in islice(os.walk(root), MOST_FOLDERS):
        folders.sort()
        scans = sorted(filter(is_volume_name, files))
        if scans and Path(folder) != root:
            place = Path(folder, scans[0]).relative_to(root)
            return f"; scans lie in folders below, such as {place}: put links to those of the data set into one folder"
    return ""


def copied_evenly(names: Iterable[str]) -> dict[str, str]:
    """Return the scans of which dcm2niix made a copy with even slices, and the name of that copy.

    Examples
    --------
    >>> copied_evenly(["a.nii.gz", "a_Eq_1.nii.gz", "b_Eq_1.nii.gz"])
    {'a.nii.gz': 'a_Eq_1.nii.gz'}
    """
    known = frozenset(names)
    return {
        name: copy
        for name in sorted(known)
        for copy in reversed(even_copies(name))
        if is_volume_name(name) and copy in known
    }


def case_images(folder: Path, *, modality: Modality) -> list[Path]:
    """Return the scans of a case folder, of any format; more than one is an error of who made it."""
    name = CASE_IMAGES[modality]
    return [
        Path(entry.path)
        for entry in entries_of(folder)
        if entry.name.lower().startswith(name)
        and name_of_scan(entry).lower() == name
        and (is_scan(entry) or is_export(entry))
    ]
