"""Lesions at visits, their sizes and the decisions on them as CSV tables: columns, written and read."""

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_args

from anatomical_embedding.csv_table import (
    FINITE,
    IDENTIFIER,
    NUMBER,
    POSITIVE_WHOLE,
    TEXT,
    Column,
    choice,
    csv_text,
    number,
    read_table,
    write_csv_table,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import append_line
from anatomical_embedding.follow.records import (
    Action,
    DecisionRow,
    How,
    LesionRow,
    MaskKind,
    MeasurementRow,
    State,
)

XYZ = ("x_mm", "y_mm", "z_mm")
IN_ONE_CELL = frozenset({"related", "part_long_axes_mm", "part_short_axes_mm"})
"""Fields of several numbers, with blanks between; others of several stand in a column each."""


def _read_lesion_numbers(cell: str) -> tuple[int, ...]:
    return tuple(int(word) for word in cell.split())


def _read_lengths(cell: str) -> tuple[float, ...]:
    return tuple(float(word) for word in cell.split())


PROBABILITY = number(
    lambda cell: float(cell) if cell else math.nan,
    lambda value: math.isnan(value) or 0 <= value <= 1,
    "a number from 0 to 1, or nothing",
)
DATE = Column(datetime.date.fromisoformat, "a date such as 2026-03-31").or_empty()
TIME = Column(datetime.datetime.fromisoformat, "a time such as 2026-03-31T09:30:00+00:00")
LESION_NUMBERS = Column(_read_lesion_numbers, "numbers of lesions with blanks between, or nothing")
LENGTHS = Column(_read_lengths, "lengths with blanks between, or nothing")

LESION_COLUMNS = {
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "date": DATE,
    "state": choice(*get_args(State)),
    "probability": PROBABILITY,
    "radius_mm": NUMBER,
    **dict.fromkeys(XYZ, NUMBER),
    "how": choice(*get_args(How)),
    "disagreement_mm": NUMBER,
    "refined": TEXT,
    "mask": choice(*get_args(MaskKind)),
    "related": LESION_NUMBERS,
    "label": TEXT,
    "note": TEXT,
}
END_POINTS = ("long_start", "long_end", "short_start", "short_end")
MEASUREMENT_COLUMNS = {
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "volume_ml": FINITE,
    "long_axis_mm": FINITE,
    "short_axis_mm": FINITE,
    **{f"{end}_{axis}": NUMBER for end in END_POINTS for axis in XYZ},
    "mean": NUMBER,
    "sd": NUMBER,
    "part_long_axes_mm": LENGTHS,
    "part_short_axes_mm": LENGTHS,
}
DECISION_COLUMNS = {
    "time": TIME,
    "name": TEXT,
    "lesion": POSITIVE_WHOLE,
    "visit": IDENTIFIER,
    "action": choice(*get_args(Action)),
    **dict.fromkeys(XYZ, NUMBER),
}


def write_lesions(rows: Iterable[LesionRow], path: Path | str) -> None:
    """Write `lesions.csv` atomically."""
    write_csv_table(list(LESION_COLUMNS), [_cells(row) for row in rows], path)


def read_lesions(path: Path | str) -> list[LesionRow]:
    """Return the rows of `lesions.csv`.

    Raises
    ------
    InputFileError
        naming the line and the column at fault.
    """
    rows = read_table(path, LESION_COLUMNS, unique=("lesion", "visit"))
    return [LesionRow(*_grouped(cells, {"x_mm": "point_mm"})) for _, cells in rows]


def write_measurements(rows: Iterable[MeasurementRow], path: Path | str) -> None:
    """Write `measurements.csv` atomically."""
    write_csv_table(list(MEASUREMENT_COLUMNS), [_cells(row) for row in rows], path)


def read_measurements(path: Path | str) -> list[MeasurementRow]:
    """Return the rows of `measurements.csv`; raises as `read_lesions`."""
    rows = read_table(path, MEASUREMENT_COLUMNS, unique=("lesion", "visit"))
    firsts = {f"{end}_x_mm": end for end in END_POINTS}
    return [MeasurementRow(*_grouped(cells, firsts)) for _, cells in rows]


def append_decision(row: DecisionRow, path: Path | str) -> None:
    """Add a line to `decisions.csv`, which is made where it is not there yet; what stands there stays.

    Raises
    ------
    OutputFileError
        if there is no room for the line; no part of it is left.
    """
    text = csv_text(list(DECISION_COLUMNS), [_cells(row)])
    header, line = text.split("\n", 1)
    append_line(Path(path), line.rstrip("\n"), header=header)


def read_decisions(path: Path | str) -> list[DecisionRow]:
    """Return what was decided, oldest first; nothing where there is no such file. Raises as `read_lesions`."""
    if not Path(path).exists():
        return []
    rows = read_table(path, DECISION_COLUMNS)
    for line, cells in rows:
        if cells["action"] == "move" and not all(math.isfinite(cells[name]) for name in XYZ):
            raise InputFileError(path, f"line {line}: moves a lesion to no place; give its {', '.join(XYZ)}")
    return [DecisionRow(*_grouped(cells, {"x_mm": "point_mm"})) for _, cells in rows]


def _cells(row: Any) -> list[Any]:
    """Return the fields of a row as cells: points spread over three, numbers short, NaN and None empty."""
    cells: list[Any] = []
    for name, value in zip(row.__dataclass_fields__, astuple(row), strict=True):
        if name in IN_ONE_CELL:
            cells.append(numbers_in_cell(value))
        elif isinstance(value, tuple):
            cells.extend(map(cell_of, value))
        else:
            cells.append(cell_of(value))
    return cells


def numbers_in_cell(values: Iterable[float]) -> str:
    """Return several numbers as they stand in one cell, with blanks between."""
    return " ".join(str(cell_of(value)) for value in values)


def cell_of(value: Any) -> Any:
    """Return a value as it stands in a table: six digits of a number, nothing for NaN, a date in ISO form."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value.isoformat() if isinstance(value, datetime.date) else value


def _grouped(cells: dict[str, Any], firsts: dict[str, str]) -> Sequence[Any]:
    """Return the values of a row in order, three columns from each of `firsts` on as one point."""
    values: list[Any] = []
    names = list(cells)
    place = 0
    while place < len(names):
        width = len(XYZ) if names[place] in firsts else 1
        group = [cells[name] for name in names[place : place + width]]
        values.append(tuple(group) if names[place] in firsts else group[0])
        place += width
    return values
