"""The list of a data set's embedding stores: a CSV file that the matching stage reads.

One row a volume, sorted by id. Paths are relative to the list and stay in its folder or below, so that the folder
can be moved as a whole.
"""

import csv
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import sha256_of_file, written_atomically

COLUMNS = ("volume_id", "store_path", "sha256")
FIRST_ROW = 2  # the header is line 1


def write_store_manifest(stores: Mapping[str, Path], path: Path | str) -> None:
    """Write the list of stores atomically, volume id to path, with the checksum of every file.

    Raises
    ------
    InputFileError
        if a store lies outside the folder of the list.
    """
    path = Path(path)
    folder = path.parent.resolve()
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for volume_id, store in sorted(stores.items()):
            if not store.resolve().is_relative_to(folder):
                raise InputFileError(
                    path, f"{store} lies outside its folder; keep the stores beside or below it"
                )
            relative = store.resolve().relative_to(folder).as_posix()
            writer.writerow((volume_id, relative, sha256_of_file(store)))


def read_store_manifest(path: Path | str) -> dict[str, Path]:
    """Return volume id to absolute path of the stores in a list; the stores are not opened.

    Raises
    ------
    InputFileError
        if the columns are others, a volume occurs twice, or a path leaves the folder of the list.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *records = list(csv.reader(stream)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as a list of stores ({error})") from error
    if header != list(COLUMNS):
        raise InputFileError(
            path, f"line 1: expected the columns {','.join(COLUMNS)}, got {','.join(header)}"
        )
    stores: dict[str, Path] = {}
    for line, record in enumerate(records, start=FIRST_ROW):
        if len(record) != len(COLUMNS):
            raise InputFileError(path, f"line {line}: has {len(record)} cells, expected {len(COLUMNS)}")
        volume_id, relative, _ = record
        if volume_id in stores:
            raise InputFileError(path, f"line {line}: the volume {volume_id!r} occurs twice; export again")
        inside = PurePosixPath(relative)
        if not relative or inside.is_absolute() or ".." in inside.parts:
            raise InputFileError(
                path, f"line {line}, store_path: expected a path inside its folder, got {relative!r}"
            )
        stores[volume_id] = path.parent.resolve() / relative
    return stores
