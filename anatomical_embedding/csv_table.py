"""CSV tables: read strictly, one header and every row as long as it; written so that any text in a cell survives."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

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


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""Return a table as text, lines ending in `\n`, cells quoted where they need it; None is an empty cell.

    Examples
    --------
    >>> csv_text(["name", "x_mm"], [["lesion 1, left", 2.5], ["b", None]])
    'name,x_mm\n"lesion 1, left",2.5\nb,\n'
    """
    table = [list(header), *map(list, rows)]
    # Older versions of the csv module leave a lone carriage return unquoted, and read it as the end of a line.
    has_return = any(isinstance(cell, str) and "\r" in cell for row in table for cell in row)
    stream = io.StringIO(newline="")
    writer = csv.writer(
        stream, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
    )
    writer.writerows(table)
    return stream.getvalue()
