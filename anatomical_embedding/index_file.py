"""The index of a data set's prepared volumes: a CSV file that the later stages read.

One row a volume, sorted by id. Paths are relative to the index and stay in its folder or below, so that the
folder can be moved as a whole and an index cannot name files elsewhere.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast, get_args

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.identifiers import first_clash, is_identifier
from anatomical_embedding.settings.volumes import Modality

SPLITS = ("train", "validation", "test")
FIRST_ROW = 2  # the header is line 1

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class IndexRow:
    """One prepared volume; the fields are the columns of the file.

    Attributes
    ----------
    volume_id, patient_id : identifiers.
    modality : ct or mr.
    split : train, validation or test.
    image_path, body_mask_path : absolute paths of the prepared volume and its mask.
    labels_path : absolute path of the organ labels, None where the data set has none.
    sha256 : of the image file.
    size_x, size_y, size_z : voxels along the array axes, which run left, posterior and superior.
    spacing_x_mm, spacing_y_mm, spacing_z_mm : distance of their centres.
    """

    volume_id: str
    patient_id: str
    modality: Modality
    split: str
    image_path: Path
    body_mask_path: Path
    labels_path: Path | None
    sha256: str
    size_x: int
    size_y: int
    size_z: int
    spacing_x_mm: float
    spacing_y_mm: float
    spacing_z_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along X, Y and Z."""
        return self.size_x, self.size_y, self.size_z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing along X, Y and Z."""
        return self.spacing_x_mm, self.spacing_y_mm, self.spacing_z_mm


COLUMNS = tuple(field.name for field in fields(IndexRow))
PATH_COLUMNS = ("image_path", "body_mask_path", "labels_path")


def write_index(rows: Iterable[IndexRow], path: Path | str) -> None:
    """Write an index atomically, sorted by volume id, with paths relative to it.

    Raises
    ------
    InputFileError
        if ids repeat, a patient is in two splits, or a file lies outside the index's folder.
    """
    path = Path(path)
    rows = sorted(rows, key=lambda row: row.volume_id)
    _check_rows(rows, path=path)
    folder = path.parent.resolve()
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            cells = {column: getattr(row, column) for column in COLUMNS}
            for column in PATH_COLUMNS:
                cells[column] = _relative_text(cells[column], folder=folder, index_path=path)
            writer.writerow(cells.values())


def read_index(path: Path | str) -> list[IndexRow]:
    """Return the rows of an index in the order of the file; the files they name are not opened.

    Raises
    ------
    InputFileError
        naming the index, the line and the column at fault: columns missing or unknown, ids that repeat or are
        no identifiers, paths that are absolute or leave the folder, values out of range, a patient in two
        splits.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            records = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as an index ({error})") from error
    header = records[0] if records else []
    if header != list(COLUMNS):
        missing = sorted(set(COLUMNS) - set(header))
        unknown = sorted(set(header) - set(COLUMNS))
        raise InputFileError(
            path,
            f"line 1: expected the columns {','.join(COLUMNS)}; missing {missing or 'none'}, "
            f"unknown {unknown or 'none'}; write the index again",
        )
    folder = path.parent.resolve()
    rows = [
        _parse_row(record, folder=folder, where=f"line {line}", index_path=path)
        for line, record in enumerate(records[1:], start=FIRST_ROW)
    ]
    _check_rows(rows, path=path)
    return rows


def _parse_row(record: list[str], *, folder: Path, where: str, index_path: Path) -> IndexRow:
    if len(record) != len(COLUMNS):
        raise InputFileError(index_path, f"{where}: has {len(record)} cells, expected {len(COLUMNS)}")
    cells = dict(zip(COLUMNS, record, strict=True))

    def fail(column: str, expected: str) -> InputFileError:
        return InputFileError(index_path, f"{where}, {column}: expected {expected}, got {cells[column]!r}")

    def checked(column: str, is_good: Callable[[str], object], expected: str) -> str:
        if not is_good(cells[column]):
            raise fail(column, expected)
        return cells[column]

    def number(column: str, parse: Callable[[str], Number]) -> Number:
        try:
            value = parse(cells[column])
        except ValueError:
            value = parse("0")
        if not (math.isfinite(value) and value > 0):
            raise fail(column, "a positive number")
        return value

    def located(column: str) -> Path:
        return folder / checked(column, _stays_inside, "a path inside the index's folder, relative to it")

    identifier = "an identifier of letters, digits, '_', '.' and '-'"
    modalities = get_args(Modality)
    return IndexRow(
        volume_id=checked("volume_id", is_identifier, identifier),
        patient_id=checked("patient_id", is_identifier, identifier),
        modality=cast(Modality, checked("modality", modalities.__contains__, f"one of {modalities}")),
        split=checked("split", SPLITS.__contains__, f"one of {SPLITS}"),
        image_path=located("image_path"),
        body_mask_path=located("body_mask_path"),
        labels_path=located("labels_path") if cells["labels_path"] else None,
        sha256=checked("sha256", re.compile("[0-9a-f]{64}").fullmatch, "64 hexadecimal digits"),
        size_x=number("size_x", int),
        size_y=number("size_y", int),
        size_z=number("size_z", int),
        spacing_x_mm=number("spacing_x_mm", float),
        spacing_y_mm=number("spacing_y_mm", float),
        spacing_z_mm=number("spacing_z_mm", float),
    )


def _stays_inside(text: str) -> bool:
    """Say whether a path is relative and never climbs."""
    path = PurePosixPath(text)
    return bool(text.strip()) and not path.is_absolute() and ".." not in path.parts


def _relative_text(path: Path | None, *, folder: Path, index_path: Path) -> str:
    if path is None:
        return ""
    try:
        return path.resolve().relative_to(folder).as_posix()
    except ValueError:
        raise InputFileError(
            index_path, f"{path} lies outside the index's folder; an index names files in its folder or below"
        ) from None


def _check_rows(rows: list[IndexRow], *, path: Path) -> None:
    clash = first_clash(row.volume_id for row in rows)
    if clash:
        lines = [FIRST_ROW + number for number, row in enumerate(rows) if row.volume_id in clash]
        raise InputFileError(
            path,
            f"lines {lines[0]} and {lines[1]}: the volume id {clash[0]!r} occurs twice; remove or rename one",
        )
    split_of: dict[str, str] = {}
    for line, row in enumerate(rows, start=FIRST_ROW):
        if split_of.setdefault(row.patient_id, row.split) != row.split:
            raise InputFileError(
                path,
                f"line {line}: patient {row.patient_id!r} is in {row.split} and in "
                f"{split_of[row.patient_id]}; all volumes of a patient belong to one split",
            )
