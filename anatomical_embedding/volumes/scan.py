"""What a raw scan is called and which one it is: a file or a folder of DICOM slices."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from anatomical_embedding.errors import UserError
from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.identifiers import first_clash
from anatomical_embedding.volumes.dicom_mark import entries_of_dicom
from anatomical_embedding.volumes.file_names import without_ending
from anatomical_embedding.volumes.volume_file import files_of


def scan_name(path: Path | str) -> str:
    """Return what a scan is called: its file or folder without the ending; the folder's own name for `.` and `..`.

    Examples
    --------
    >>> scan_name("scans/first.visit.nii.gz"), scan_name("scans/series_3/"), scan_name("X.NII.GZ")
    ('first.visit', 'series_3', 'X')
    """
    name = Path(path).name
    if name in ("", ".."):
        name = Path(path).resolve().name or "scan"
    return without_ending(name)


def folder_name(path: Path | str) -> str:
    """Return what the folder is called that holds a scan."""
    return Path(path).resolve().parent.name


def distinct_names(paths: Sequence[Path | str]) -> list[str]:
    """Return what several scans are called; scans of one name get that of their folder before it.

    Raises
    ------
    UserError
        if two names are still the same.

    Examples
    --------
    >>> distinct_names(["a/ct.nii.gz", "b/ct.nii.gz", "b/mr.nii.gz"])
    ['a_ct', 'b_ct', 'mr']
    """
    plain = [scan_name(path) for path in paths]
    counts = Counter(name.casefold() for name in plain)
    names = [
        f"{folder_name(path)}_{name}" if counts[name.casefold()] > 1 else name
        for path, name in zip(paths, plain, strict=True)
    ]
    clash = first_clash(names)
    if clash is not None:
        raise UserError(f"two scans are called {clash[1]}; rename one of them")
    return names


def sha256_of_scan(path: Path | str, *, series: str | None = None) -> str:
    """Return the checksum of a scan: of its file, or of all its files or those of its folder, with their names in it.

    A series that is told apart from others of its folder has a checksum of its own.
    """
    path = Path(path)
    entries = entries_of_dicom(path) if path.is_dir() else files_of(path)
    if entries == (path,):
        return sha256_of_file(path)
    digest = hashlib.sha256()
    for entry in entries:
        if entry.is_file():
            name = entry.relative_to(path).as_posix() if path.is_dir() else entry.name
            digest.update(f"{name} {sha256_of_file(entry)}\n".encode())
    if series is not None and path.is_dir():
        digest.update(series.encode())
    return digest.hexdigest()
