"""The index of a data set's prepared volumes: a CSV file that the later stages read.

One row per volume, sorted by id. Paths are relative to the index and stay in its folder or below, so that the
folder can be moved as a whole and an index cannot name files elsewhere.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import get_args

from anatomical_embedding.csv_table import (
    IDENTIFIER,
    POSITIVE,
    POSITIVE_WHOLE,
    SHA256,
    choice,
    path_below,
    read_table,
    relative_text,
    write_csv_table,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import first_clash
from anatomical_embedding.settings.split import Split
from anatomical_embedding.settings.volumes import Modality

SPLITS: tuple[str, ...] = get_args(Split)
FIRST_ROW = 2  # the header is line 1


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


def write_index(rows: Iterable[IndexRow], path: Path | str) -> None:
    """Write an index atomically, sorted by volume id, with paths relative to it.

    Raises
    ------
    InputFileError
        if ids repeat, a patient is in two splits, or a file lies outside the index's folder.
    """
    numbered = list(enumerate(sorted(rows, key=lambda row: row.volume_id), start=FIRST_ROW))
    _check_rows(numbered, path=path)
    texts = [
        [relative_text(cell, table=path) if isinstance(cell, Path) else cell for cell in astuple(row)]
        for _, row in numbered
    ]
    write_csv_table(COLUMNS, texts, path)


def read_index(path: Path | str) -> list[IndexRow]:
    """Return the rows of an index in the order of the file; the files they name are not opened.

    Raises
    ------
    InputFileError
        naming the index, the line and the column at fault: columns missing or unknown, ids that repeat or are
        no identifiers, paths that are absolute or leave the folder, values out of range, a patient in two
        splits.
    """
    place = path_below(Path(path).parent.resolve())
    columns = {
        "volume_id": IDENTIFIER,
        "patient_id": IDENTIFIER,
        "modality": choice(*get_args(Modality)),
        "split": choice(*SPLITS),
        "image_path": place,
        "body_mask_path": place,
        "labels_path": place.or_empty(),
        "sha256": SHA256,
        **dict.fromkeys(("size_x", "size_y", "size_z"), POSITIVE_WHOLE),
        **dict.fromkeys(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), POSITIVE),
    }
    numbered = [(line, IndexRow(**cells)) for line, cells in read_table(path, columns)]
    _check_rows(numbered, path=path)
    return [row for _, row in numbered]


def _check_rows(numbered: list[tuple[int, IndexRow]], *, path: Path | str) -> None:
    """Refuse rows that repeat an id, or a patient in two splits; each comes with its line."""
    clash = first_clash(row.volume_id for _, row in numbered)
    if clash:
        lines = [line for line, row in numbered if row.volume_id in clash]
        raise InputFileError(
            path,
            f"lines {lines[0]} and {lines[1]}: the volume id {clash[0]!r} occurs twice; remove or rename one",
        )
    split_of: dict[str, str] = {}
    for line, row in numbered:
        if split_of.setdefault(row.patient_id, row.split) != row.split:
            raise InputFileError(
                path,
                f"line {line}: patient {row.patient_id!r} is in {row.split} and in "
                f"{split_of[row.patient_id]}; all volumes of a patient belong to one split",
            )
