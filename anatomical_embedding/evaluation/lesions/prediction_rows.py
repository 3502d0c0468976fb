"""Rows of prediction files, each attached to the annotated pair that it answers.

Three forms: the published one (a list under `results`, without pair names, so a row belongs to the pair with its file
names and its source centre), that of the annotation file (an object that maps pair names to fields), and our CSV.
A row of a pair that the annotations do not know is refused here; whether every pair has its row is not asked.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.csv_table import NUMBER, TEXT, choice, read_csv_table, typed_rows
from anatomical_embedding.datasets.lesion_annotations import (
    NUMBERS,
    LesionPairs,
    numbers_of_field,
    rows_of_file,
)
from anatomical_embedding.errors import InputFileError

PREDICTION_KEY = "predict target center"
TRUTH_ATTRIBUTES = ("target_center_vox", "target_box_vox", "target_spacing_mm", "target_diameter_vox")
"""Fields of the annotations that a JSON row may repeat."""

CENTER_TOLERANCE_VOX = 0.05 + 1e-6
"""The annotations are rounded to one decimal: half of its last digit."""

NAME_COLUMNS = ("pair_id", "query_id")
MM_COLUMNS = ("x_mm", "y_mm", "z_mm")
VOXEL_COLUMNS = ("x_vox", "y_vox", "z_vox")


@dataclass(frozen=True)
class PredictedRow:
    """A row of a prediction file.

    Attributes
    ----------
    place : where it stands in the file, such as "row 12", for messages.
    pair : index of the annotated pair.
    point : (3,) predicted centre; NaN where the file gives none.
    reason : why the row declares the pair failed; empty if it does not.
    carried : attribute of `LesionPairs` -> the numbers that the row repeats of the annotations.
    """

    place: str
    pair: int
    point: list[float]
    reason: str
    carried: Mapping[str, list[float]]


def rows_of_json(path: Path, pairs: LesionPairs) -> list[PredictedRow]:
    """Return the rows of either JSON form; points are annotation indices.

    Raises
    ------
    InputFileError
        naming the row that is malformed or belongs to no annotated pair.
    """
    named_rows, are_named = rows_of_file(path)
    index_of_id = {pair_id: index for index, pair_id in enumerate(pairs.pair_ids)}
    pairs_of_files: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, files in enumerate(zip(pairs.source_files, pairs.target_files, strict=True)):
        pairs_of_files[files].append(index)
    rows = []
    for number, (name, row) in enumerate(named_rows, start=1):
        place = f"row {number}"
        if are_named:
            pair = _pair_of_id(path, place, name, index_of_id)
            _check_same_files(path, place, row, pairs, pair)
        else:
            candidates = pairs_of_files.get((str(row.get("source")), str(row.get("target"))), [])
            pair = _pair_of_center(path, place, row, pairs, candidates)
        where = f"{place}, pair {pairs.pair_ids[pair]!r}"
        carried = {
            attribute: numbers_of_field(path, where, row[key], key=key, count=count)
            for attribute, (key, count) in ((name, NUMBERS[name]) for name in TRUTH_ATTRIBUTES)
            if key in row
        }
        rows.append(PredictedRow(place, pair, _predicted_point(path, where, row), "", carried))
    return rows


def _predicted_point(path: Path, where: str, row: Mapping[str, Any]) -> list[float]:
    """Return the (3,) predicted centre of a JSON row; `null` is NaN."""
    if PREDICTION_KEY not in row:
        raise InputFileError(path, f"{where}: {PREDICTION_KEY!r} is missing")
    if row[PREDICTION_KEY] is None:
        return [np.nan] * 3
    return numbers_of_field(path, where, row[PREDICTION_KEY], key=PREDICTION_KEY, count=3)


def _pair_of_id(path: Path, place: str, pair_id: str, index_of_id: Mapping[str, int]) -> int:
    """Return the index of a pair given its name."""
    if pair_id not in index_of_id:
        raise InputFileError(path, f"{place}: the annotations know no pair {pair_id!r}")
    return index_of_id[pair_id]


def _check_same_files(path: Path, place: str, row: Mapping[str, Any], pairs: LesionPairs, pair: int) -> None:
    """Refuse a named row whose file names are those of another pair."""
    annotated = {"source": pairs.source_files[pair], "target": pairs.target_files[pair]}
    for key, expected in annotated.items():
        if row.get(key, expected) != expected:
            raise InputFileError(
                path,
                f"{place}, pair {pairs.pair_ids[pair]!r}: {key!r} is {row[key]!r}, expected {expected!r}; "
                "do the predictions belong to these annotations?",
            )


def _pair_of_center(
    path: Path, place: str, row: Mapping[str, Any], pairs: LesionPairs, candidates: list[int]
) -> int:
    """Return the index of the pair with the row's files and, within rounding, its source centre."""
    center = numbers_of_field(path, place, row.get("source center"), key="source center", count=3)
    near = [
        index
        for index in candidates
        if np.abs(pairs.source_center_vox[index] - center).max() <= CENTER_TOLERANCE_VOX
    ]
    if len(near) != 1:
        raise InputFileError(
            path,
            f"{place}: the annotations know {len(near) or 'no'} pair{'s' if len(near) > 1 else ''} of "
            f"{row.get('source')!r} and {row.get('target')!r} with source centre {center}, expected one",
        )
    return near[0]


def rows_of_csv(
    path: Path, pairs: LesionPairs, *, set_aside: Collection[str]
) -> tuple[list[PredictedRow], bool]:
    """Return the rows of a prediction CSV, and whether their points are world mm rather than annotation indices.

    Parameters
    ----------
    path : CSV; pairs are named by the column `pair_id`, or `query_id` as in the matches of this project.
    pairs : the annotated pairs.
    set_aside : names of pairs that are not scored; their rows are left out.

    Raises
    ------
    InputFileError
        naming the column or line that is malformed or belongs to no annotated pair.
    """
    header, table = read_csv_table(path)
    present = [columns for columns in (MM_COLUMNS, VOXEL_COLUMNS) if set(columns) <= set(header)]
    name_column = next((name for name in NAME_COLUMNS if name in header), None)
    if name_column is None or len(present) != 1:
        raise InputFileError(
            path, f"has the columns {header}, expected pair_id and either {MM_COLUMNS} or {VOXEL_COLUMNS}"
        )
    index_of_id = {pair_id: index for index, pair_id in enumerate(pairs.pair_ids)}
    columns = {name_column: TEXT, **dict.fromkeys(present[0], NUMBER)}
    optional = {"status": choice("found", "failed"), "reason": TEXT}
    columns |= {name: column for name, column in optional.items() if name in header}
    scored = [(line, cells) for line, cells in table if cells[name_column] not in set_aside]
    rows = []
    for line, cells in typed_rows(path, scored, columns):
        place = f"line {line}"
        pair = _pair_of_id(path, place, cells[name_column], index_of_id)
        point = [cells[name] for name in present[0]]
        is_failed = cells.get("status") == "failed"
        if is_failed and not np.isnan(point).all():
            raise InputFileError(path, f"{place}: failed, yet has coordinates {point}; leave them empty")
        reason = (cells.get("reason") or "no reason given") if is_failed else ""
        rows.append(PredictedRow(place, pair, point, reason, {}))
    return rows, present == [MM_COLUMNS]
