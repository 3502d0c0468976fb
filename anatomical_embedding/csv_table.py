"""CSV tables: the one reader, strict and typed, and a writer under which any text in a cell survives.

A table is described by its columns, name -> `Column`. Every error names the file, and the line and column at fault.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.identifiers import is_identifier

NumberedRow = tuple[int, dict[str, Any]]
"""The line on which a row ends, and its cells by column."""


@dataclass(frozen=True)
class Column:
    """What the cells of a column hold.

    Attributes
    ----------
    read : cell -> its value; raises `ValueError` where the cell holds something else.
    expected : what it reads, to follow "expected" in a message.
    """

    read: Callable[[str], Any]
    expected: str

    def or_empty(self) -> "Column":
        """Return this column with None for empty cells."""
        return Column(lambda cell: self.read(cell) if cell else None, f"{self.expected}, or nothing")


def matching(is_good: Callable[[str], object], expected: str) -> Column:
    """Return a column of the texts that pass a test."""

    def read(cell: str) -> str:
        if not is_good(cell):
            raise ValueError
        return cell

    return Column(read, expected)


def choice(*words: str) -> Column:
    """Return a column that holds one of a few words."""
    return matching(words.__contains__, f"one of {', '.join(words)}")


def number(parse: Callable[[str], float], is_good: Callable[[float], object], expected: str) -> Column:
    """Return a column of the numbers that pass a test."""

    def read(cell: str) -> float:
        value = parse(cell)
        if not is_good(value):
            raise ValueError
        return value

    return Column(read, expected)


def path_below(folder: Path) -> Column:
    """Return a column of paths that stay below a folder; they are read as absolute ones."""

    def read(cell: str) -> Path:
        path = PurePosixPath(cell)
        if not cell.strip() or path.is_absolute() or ".." in path.parts:
            raise ValueError
        return folder / cell

    return Column(read, "a path below the table's own folder, relative to it")


def relative_text(place: Path, *, table: Path | str) -> str:
    """Return a path as it stands in a table, for `path_below` to read.

    Raises
    ------
    InputFileError
        naming the table, if the path does not lie below the table's folder.
    """
    try:
        return place.resolve().relative_to(Path(table).parent.resolve()).as_posix()
    except ValueError:
        raise InputFileError(
            table, f"{place} lies outside its folder; a table names files beside it or below"
        ) from None


TEXT = Column(str, "text")
IDENTIFIER = matching(is_identifier, "an identifier of letters, digits, '_', '.' and '-'")
SHA256 = matching(re.compile("[0-9a-f]{64}").fullmatch, "64 hexadecimal digits")
NUMBER = Column(lambda cell: float(cell) if cell.strip() else math.nan, "a number, or nothing")
"""Empty cells are NaN."""
FINITE = number(float, math.isfinite, "a finite number")
POSITIVE = number(float, lambda value: 0 < value < math.inf, "a positive number")
POSITIVE_WHOLE = number(int, lambda value: value > 0, "a positive whole number")


def read_table(
    path: Path | str,
    columns: Mapping[str, Column],
    *,
    may_have_more: bool = False,
    unique: Sequence[str] = (),
) -> list[NumberedRow]:
    """Return the rows of a table in its order, with the values of these columns.

    Parameters
    ----------
    columns : name -> what its cells hold.
    may_have_more : whether other columns are passed over; otherwise they are refused.
    unique : columns whose values together may stand in one row only.

    Raises
    ------
    InputFileError
        if the file is no CSV table (see `read_csv_table`), a column is missing or too many, a cell holds something
        else than its column should, or a row repeats another.
    """
    header, texts = read_csv_table(path)
    missing = [name for name in columns if name not in header]
    unknown = [] if may_have_more else [name for name in header if name not in columns]
    if missing or unknown:
        raise InputFileError(
            path,
            f"line 1: expected the columns {','.join(columns)}; missing: {', '.join(missing) or 'none'}, "
            f"unknown: {', '.join(unknown) or 'none'}",
        )
    rows = typed_rows(path, texts, columns)
    first_line: dict[tuple[Any, ...], int] = {}
    for line, cells in rows if unique else ():
        first = first_line.setdefault(tuple(cells[name] for name in unique), line)
        if first != line:
            key = ", ".join(f"{name} {cells[name]!r}" for name in unique)
            raise InputFileError(path, f"line {line}: {key} repeats line {first}; keep one of the two")
    return rows


def typed_rows(
    path: Path | str, rows: Iterable[NumberedRow], columns: Mapping[str, Column]
) -> list[NumberedRow]:
    """Return rows of texts as the values of some columns.

    Raises
    ------
    InputFileError
        naming the line and the column of the first cell that holds something else than its column should.
    """
    return [
        (line, {name: _value(path, line, name, cells[name], column) for name, column in columns.items()})
        for line, cells in rows
    ]


def _value(path: Path | str, line: int, name: str, cell: str, column: Column) -> Any:
    try:
        return column.read(cell)
    except ValueError:
        raise InputFileError(path, f"line {line}, {name}: expected {column.expected}, got {cell!r}") from None


def read_csv_table(path: Path | str) -> tuple[list[str], list[NumberedRow]]:
    """Return the header, and the rows as texts; lines that hold nothing are passed over.

    Cells may stand between semicolons, as spreadsheets of many countries write them, if the header has no comma.

    Raises
    ------
    InputFileError
        if the file cannot be read, is not UTF-8 CSV, has no header, names a column twice, or has a row of another
        length.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            first = stream.readline()
            separator = ";" if ";" in first and "," not in first else ","
            reader = csv.reader(chain([first], stream), delimiter=separator, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise InputFileError(path, f"cannot be read as a CSV table ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"is not a CSV file in UTF-8: {error}") from error
    if not header:
        raise InputFileError(path, "line 1: is empty, expected the names of the columns")
    if len(set(header)) < len(header):
        raise InputFileError(path, f"line 1: names a column twice: {', '.join(header)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputFileError(path, f"line {line}: has {len(cells)} cells, expected {len(header)}")
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def write_csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]], path: Path | str) -> None:
    """Write a table atomically, see `csv_text`."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(csv_text(header, rows).encode("utf-8"))


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
