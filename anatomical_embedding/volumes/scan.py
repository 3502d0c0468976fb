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
    """Return what several scans are called; scans of one name get that of the nearest folder in which they differ.

    Raises
    ------
    UserError
        if two names are still the same.

    Examples
    --------
    >>> distinct_names(["a/ct.nii.gz", "b/ct.nii.gz", "b/mr.nii.gz"]), distinct_names(["a/CT/files", "b/CT/files"])
    (['a_ct', 'b_ct', 'mr'], ['a_files', 'b_files'])
    """
    names = [scan_name(path) for path in paths]
    alike = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    for name in alike:
        places = [place for place, other in enumerate(names) if other.casefold() == name]
        folders = _folders_that_differ([Path(paths[place]).resolve() for place in places])
        for place, folder in zip(places, folders, strict=True):
            names[place] = f"{folder}_{names[place]}"
    clash = first_clash(names)
    if clash is not None:
        raise UserError(f"two scans are called {clash[1]}; rename one of them")
    return names


def _folders_that_differ(paths: Sequence[Path]) -> list[str]:
    """Return for each scan the name of a folder above it, the nearest ones that all differ; else those that hold it."""
    above = [[folder.name for folder in path.parents if folder.name] for path in paths]
    levels = [list(level) for level in zip(*above, strict=False)]
    differing = (level for level in levels if first_clash(level) is None)
    return next(differing, [names[0] if names else "" for names in above])


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
