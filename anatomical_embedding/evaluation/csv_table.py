"""CSV tables read strictly: one header, every row as long as it."""

import csv
from pathlib import Path

from anatomical_embedding.errors import InputFileError


def read_csv_table(path: Path | str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header, and number of the line and cells by column of every row.

    Raises
    ------
    InputFileError
        if the file is not UTF-8 CSV, has no header, names a column twice, or has a row of another length.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, cells) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"is not a CSV file in UTF-8: {error}") from error
    if not header:
        raise InputFileError(path, "is empty, expected a header")
    if len(set(header)) < len(header):
        raise InputFileError(path, f"names a column twice: {header}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputFileError(path, f"line {line}: has {len(cells)} cells, expected {len(header)}")
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]
