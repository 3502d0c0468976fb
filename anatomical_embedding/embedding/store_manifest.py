"""The list of a data set's embedding stores: a CSV file that the matching stage reads.

One row per volume, sorted by id. Paths are relative to the list and stay in its folder or below, so that the folder
can be moved as a whole.
"""

from collections.abc import Mapping
from pathlib import Path

from anatomical_embedding.csv_table import TEXT, path_below, read_table, relative_text, write_csv_table
from anatomical_embedding.files import sha256_of_file

COLUMNS = ("volume_id", "store_path", "sha256")


def write_store_manifest(stores: Mapping[str, Path], path: Path | str) -> None:
    """Write the list of stores atomically, volume id to path, with the checksum of every file.

    Raises
    ------
    InputFileError
        if a store lies outside the folder of the list.
    """
    rows = [
        (volume_id, relative_text(store, table=path), sha256_of_file(store))
        for volume_id, store in sorted(stores.items())
    ]
    write_csv_table(COLUMNS, rows, path)


def read_store_manifest(path: Path | str) -> dict[str, Path]:
    """Return volume id to absolute path of the stores in a list; the stores are not opened.

    Raises
    ------
    InputFileError
        if the columns are others, a volume occurs twice, or a path leaves the folder of the list.
    """
    columns = {"volume_id": TEXT, "store_path": path_below(Path(path).parent.resolve()), "sha256": TEXT}
    rows = read_table(path, columns, unique=("volume_id",))
    return {cells["volume_id"]: cells["store_path"] for _, cells in rows}
