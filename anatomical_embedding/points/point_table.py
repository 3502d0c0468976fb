"""Tables of points as spreadsheets write them: commas, semicolons or tabs, a decimal point or a decimal comma."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.points.named_points import (
    Coordinates,
    ListedPoint,
    NamedPoints,
    PointForm,
    placed_points,
)

POINT_COLUMNS = ("x_mm", "y_mm", "z_mm")
ANTS_COLUMNS = ("x", "y", "z")
VOXEL_COLUMNS = ("i", "j", "k")
NAME_COLUMN = "name"
NAME_COLUMNS = (NAME_COLUMN, "label", "landmark", "id")
TARGET_COLUMN = "target"
TARGET_LESION_WORDS = {"yes", "no", "true", "false", "target", "non-target", "nontarget"}
"""With these the column `target` says which lesions are targets of RECIST, and not whose points they are."""
OWNER_COLUMNS = frozenset(
    {
        *("volumeid", "scan", "scanid", TARGET_COLUMN, "visit", "timepoint", "session", "sessionid"),
        *("patient", "patientid", "patientname", "pid", "subject", "subjectid", "case", "caseid"),
        *("series", "seriesid", "seriesuid", "seriesinstanceuid"),
        *("study", "studyid", "studyuid", "studyinstanceuid"),
        *("image", "imageid", "imagename", "imagepath", "imagefile", "file", "filename", "filepath"),
    }
)
"""Columns, by their letters and digits alone, that say whose points they are: of the landmarks of a run, answers of
`match`, lesions of `follow` and tables of many patients."""
COORDINATES_COLUMN = "coordinates"
COORDINATES_COLUMNS = frozenset(
    {COORDINATES_COLUMN}
    | {f"{begin}{end}" for begin in ("coord", "coordinate") for end in ("sys", "system", "space", "frame")}
)
"""The same of columns that say what the numbers are, as does any other whose words are all of `STATED_COORDINATES`."""
STATED_COORDINATES: dict[str, Coordinates] = {"ras": "ras", "ras+": "ras", "lps": "lps", "lps+": "lps"}
UNIT_COLUMNS, MILLIMETRES = (
    ("unit", "units"),
    ("mm", "millimeter", "millimetre", "millimeters", "millimetres"),
)
"""Columns in which a table says row by row what its numbers are."""
SLICER_COLUMNS: dict[tuple[str, str, str], Coordinates] = {("r", "a", "s"): "ras", ("l", "p", "s"): "lps"}
"""Of the tables that 3D Slicer makes of control points, which say their coordinates so."""
PLACED_COLUMN, NOT_PLACED = "defined", ("0", "false")
"""There a point without a position has numbers as well."""
TIME_COLUMN = "t"
"""ANTs writes it behind x, y and z; other programs do not."""
Columns = tuple[str, str, str]
COLUMN_SETS: tuple[Columns, ...] = (POINT_COLUMNS, *SLICER_COLUMNS, ANTS_COLUMNS, VOXEL_COLUMNS)
"""Names of the columns that hold coordinates; of several in one table the first is read, which says what it is."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
"""What a spreadsheet may put above the header."""
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number with at most one decimal mark, and none between thousands."""


def read_point_table(path: Path, *, coordinates: Coordinates) -> NamedPoints:
    """Return the points of a table with the columns x_mm, y_mm, z_mm (or x, y, z, or i, j, k) and name or label.

    The numbers are returned as they stand, and the form says their coordinates: those that are told, LPS for the
    columns x, y, z, t of ANTs, voxels for i, j, k, and what 3D Slicer calls r, a, s or l, p, s. The separator is the
    one that splits the header into these columns; where it is no comma, decimals may be written with a comma, all of
    them. A row that has no number at all is a point that was never placed; an empty row is none.

    Raises
    ------
    InputFileError
        naming the line at fault: a coordinate missing or no finite number, more cells than columns, two ways to write
        decimals; or if a column is missing or twice, or the file is not text in UTF-8 (or UTF-16 with its mark).
    """
    text = _text(path)
    separator, header, columns = _separator(text, path=path)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    numbers = _Numbers(path, separator=separator)
    listed: list[ListedPoint] = []
    said: dict[str, dict[str, int]] = {column: {} for column in header if column not in columns}
    try:
        for cells in _below_header(reader):
            if len(cells) > len(header):
                raise InputFileError(
                    path,
                    f"line {reader.line_num}: has {len(cells)} cells, expected {len(header)}; put a name that holds "
                    f"{SEPARATORS[separator]} in double quotes",
                )
            row = dict(zip(header, cells, strict=False))
            for column, lines in said.items():
                if cell := row.get(column, "").strip():  # tables may say it of their first point alone
                    lines.setdefault(cell, reader.line_num)
            listed.append(_listed_point(row, columns, numbers, line=reader.line_num))
    except csv.Error as error:
        raise InputFileError(path, f"line {reader.line_num}: is not a line of a table ({error})") from error
    if {cell.lower() for cell in said.get(TARGET_COLUMN, {})} <= TARGET_LESION_WORDS:
        said.pop(TARGET_COLUMN, None)
    for column, lines in said.items():
        if _letters(column) in OWNER_COLUMNS and len(lines) > 1:
            first, other = list(lines)[:2]
            raise InputFileError(
                path,
                f"line {lines[other]}: is a point of the {column} {other!r}, those above are of {first!r}; give the "
                "points of one scan",
            )
    stated, of_rows = _said_of_numbers(said, columns, default=coordinates, path=path)
    form, remarks = _form(header, columns, default=stated, path=path)
    return replace(placed_points(listed, path=path, remarks=[*of_rows, *remarks]), form=form)


def _said_of_numbers(
    said: dict[str, dict[str, int]], columns: Columns, *, default: Coordinates, path: Path
) -> tuple[Coordinates, list[str]]:
    """Return the coordinates that a table states row by row, the default where it does not, and a remark.

    Raises
    ------
    InputFileError
        naming the line that states other units than mm, or coordinates that are not known, or others than the line or
        the columns above.
    """
    for column in () if columns in (POINT_COLUMNS, VOXEL_COLUMNS) else UNIT_COLUMNS:
        for cell, line in said.get(column, {}).items():
            if cell.lower() not in MILLIMETRES:
                raise InputFileError(
                    path,
                    f"line {line}: says {cell!r} in the column {column}, expected mm; write the numbers in mm",
                )
    # Voxels, and what columns are called after, need no word.
    found = None if columns == VOXEL_COLUMNS else SLICER_COLUMNS.get(columns)
    for column, lines in said.items():
        if not _states_coordinates(column, lines):
            continue
        for cell, line in lines.items():
            stated = STATED_COORDINATES.get(cell.lower())
            if stated is None or found not in (None, stated):
                expected = "RAS or LPS" if found is None else found.upper()
                raise InputFileError(
                    path,
                    f"line {line}: says {cell!r} in the column {column}, expected {expected}, as all of its points",
                )
            found = stated
    if found is None or found == default or columns in SLICER_COLUMNS:
        return default, []
    return found, [f"{path}: its points are {found.upper()} mm, as it says itself"]


def _states_coordinates(column: str, cells: Iterable[str]) -> bool:
    """Return whether a column says what the numbers are, by its name or by what all of its cells say."""
    if column in NAME_COLUMNS:
        return False
    words = {cell.lower() for cell in cells}
    return _letters(column) in COORDINATES_COLUMNS or (bool(words) and words <= set(STATED_COORDINATES))


def _letters(column: str) -> str:
    return "".join(filter(str.isalnum, column))


def _form(
    header: list[str], columns: Columns, *, default: Coordinates, path: Path
) -> tuple[PointForm, list[str]]:
    """Return what the columns of a table say of its numbers, and what is to be said of that."""
    if columns == VOXEL_COLUMNS:
        return PointForm("table", "voxel"), [
            f"{path}: its columns i, j, k are taken as voxels counted from 0, as ITK and elastix do; ITK-SNAP and "
            "MATLAB show them counted from 1"
        ]
    if columns in SLICER_COLUMNS:
        return PointForm("table", SLICER_COLUMNS[columns]), []
    if columns == ANTS_COLUMNS and TIME_COLUMN in header:
        return PointForm("ants", "lps"), [
            f"{path}: its columns x, y, z, t are those of ANTs, taken as LPS mm"
        ]
    if columns == ANTS_COLUMNS:
        meaning = "voxels" if default == "voxel" else f"{default.upper()} mm"
        return PointForm("table", default), [
            f"{path}: its columns x, y, z do not say what they are, taken as {meaning}"
        ]
    return PointForm("table", default), []


def _text(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputFileError(path, f"is not text in UTF-8 ({error.reason}); save it as CSV UTF-8") from error
    first, _, rest = text.partition("\n")
    return rest if SEPARATOR_LINE.fullmatch(first.strip()) else text


def _separator(text: str, *, path: Path) -> tuple[str, list[str], Columns]:
    """Return the separator that gives the columns, the names of all columns, and those of the coordinates."""
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    headers = {
        separator: [cell.strip().lower() for cell in next(csv.reader([first_line], delimiter=separator), [])]
        for separator in SEPARATORS
    }
    choices = [(separator, columns) for columns in COLUMN_SETS for separator in SEPARATORS]
    separator, columns = max(choices, key=lambda choice: len(set(headers[choice[0]]) & set(choice[1])))
    header = headers[separator]
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputFileError(
            path,
            f"has no column {missing[0]}; expected {', '.join(POINT_COLUMNS)} and maybe {NAME_COLUMN} in the first "
            f"line, with {', '.join(SEPARATORS.values())} between; x, y, z, voxels i, j, k, and the columns r, a, s or "
            "l, p, s of 3D Slicer are read too",
        )
    wanted = [column for column in header if column in (*columns, *NAME_COLUMNS)]
    if len(set(wanted)) < len(wanted):
        raise InputFileError(path, f"names a column twice: {', '.join(header)}")
    return separator, header, columns


def _below_header(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Pass on the rows that hold something, but the first."""
    rows = (cells for cells in reader if any(cell.strip() for cell in cells))
    next(rows, None)
    return rows


def _listed_point(row: dict[str, str], columns: Columns, numbers: "_Numbers", *, line: int) -> ListedPoint:
    name = next((row[column].strip() for column in NAME_COLUMNS if column in row), "")
    if columns in SLICER_COLUMNS and row.get(PLACED_COLUMN, "").strip().lower() in NOT_PLACED:
        return ListedPoint(name, None, f"line {line} says that it is not defined")
    cells = [row.get(column, "").strip() for column in columns]
    if not any(cells):
        return ListedPoint(name, None, f"line {line} gives it no position")
    return ListedPoint(name, [numbers.read(cell, line=line) for cell in cells])


class _Numbers:
    """Reads the numbers of one table, which must write decimals in one way."""

    def __init__(self, path: Path, *, separator: str):
        self._path = path
        self._separator = separator
        self._mark = ""
        self._mark_line = 0

    def read(self, text: str, *, line: int) -> float:
        """Return a finite number."""
        mark = next((mark for mark in ".," if mark in text), "")
        number = float(text.replace(",", ".")) if NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(number):
            raise InputFileError(self._path, f"line {line}: expected three numbers in mm, got {text!r}")
        if mark and self._mark and mark != self._mark:
            raise InputFileError(
                self._path,
                f"line {line}: {text!r} has the decimal mark {mark!r}, line {self._mark_line} has {self._mark!r}; "
                "write all numbers in one way",
            )
        if mark:
            self._mark, self._mark_line = mark, line
        return number
