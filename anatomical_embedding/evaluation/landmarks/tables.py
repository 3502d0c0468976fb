"""The CSV files of a landmark evaluation: queries, matches and errors, read strictly and written atomically.

Identifiers stay text ("007" and "NA" are names, not numbers); coordinates are world mm RAS+.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.csv_table import (
    FINITE,
    NUMBER,
    TEXT,
    Column,
    choice,
    read_csv_table,
    read_table,
    typed_rows,
)
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically

QUERY_POINT = ("query_x_mm", "query_y_mm", "query_z_mm")
QUESTION_COLUMNS = ("query_id", "template_id", "target_id", "landmark", *QUERY_POINT)
"""What a matching method may read of a queries file."""
VIEW_COLUMNS = ("view_low_mm", "view_high_mm")
"""Heights between which the target is seen, where a file of queries has these columns; empty for all of it."""
TRUTH_COLUMNS = ("truth_x_mm", "truth_y_mm", "truth_z_mm")
ANSWER = ("x_mm", "y_mm", "z_mm")
MATCH_COLUMNS: Mapping[str, Column] = {
    **dict.fromkeys(("query_id", "method"), TEXT),
    **dict.fromkeys((*ANSWER, "similarity"), NUMBER),
    "status": choice("found", "failed"),
    "reason": TEXT,
}
ERROR_COLUMNS: Mapping[str, Column] = {
    **dict.fromkeys(("query_id", "template_id", "target_id", "landmark", "method"), TEXT),
    **dict.fromkeys(("error_mm", "error_x_mm", "error_y_mm", "error_z_mm"), NUMBER),
    "status": TEXT,
}


def read_questions(path: Path | str) -> pd.DataFrame:
    """Return the queries without the truth: all that a matching method may see, with `VIEW_COLUMNS` where they stand.

    Raises
    ------
    InputFileError
        if a column is missing, a coordinate is no finite number, or a query_id stands twice.
    """
    return _read_queries(path, QUESTION_COLUMNS, may_have=VIEW_COLUMNS)


def read_queries(path: Path | str) -> pd.DataFrame:
    """Return the queries with the true points, for scoring.

    Raises
    ------
    InputFileError
        if a column is missing, a coordinate is no finite number, or a query_id stands twice.
    """
    return _read_queries(path, QUESTION_COLUMNS + TRUTH_COLUMNS)


def read_matches(path: Path | str, *, further_numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Return the answers of one method; coordinates of failed rows are NaN.

    Parameters
    ----------
    further_numbers : columns that only some methods write, to be read as well.

    Raises
    ------
    InputFileError
        if a column is missing, a status is neither `found` nor `failed`, a found row lacks a finite
        coordinate, or the rows do not all name the same method.
    """
    columns = {**MATCH_COLUMNS, **dict.fromkeys(further_numbers, NUMBER)}
    rows = read_table(path, columns, may_have_more=True)
    typed_rows(path, [row for row in rows if row[1]["status"] == "found"], dict.fromkeys(ANSWER, FINITE))
    matches = as_frame([cells for _, cells in rows], columns)
    methods = sorted(matches["method"].unique())
    if len(methods) > 1:
        raise InputFileError(
            path, f"holds answers of several methods ({', '.join(methods)}); write one file per method"
        )
    return matches


def read_errors(path: Path | str) -> pd.DataFrame:
    """Return the error of every query of one method; infinite for failed ones.

    Raises
    ------
    InputFileError
        if a column is missing or a number cannot be read.
    """
    errors = read_frame(path, ERROR_COLUMNS)
    errors.loc[errors["status"] == "failed", "error_mm"] = np.inf
    return errors


def write_table(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table atomically as CSV: numbers with six decimals, missing and infinite ones empty."""
    table = table.replace([np.inf, -np.inf], np.nan)
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def read_frame(
    path: Path | str, columns: Mapping[str, Column], *, unique: Sequence[str] = ()
) -> pd.DataFrame:
    """Return some columns of a table, see `csv_table.read_table`; numbers as float64.

    Raises
    ------
    InputFileError
        naming the line and the column at fault.
    """
    rows = read_table(path, columns, may_have_more=True, unique=unique)
    return as_frame([cells for _, cells in rows], columns)


def as_frame(rows: Sequence[Mapping[str, object]], columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return rows as a table that keeps its types when it has no row."""
    numbers = [name for name, column in columns.items() if column in (FINITE, NUMBER)]
    return pd.DataFrame(rows, columns=list(columns)).astype(dict.fromkeys(numbers, np.float64))


def _read_queries(path: Path | str, names: Sequence[str], *, may_have: Sequence[str] = ()) -> pd.DataFrame:
    columns = {name: FINITE if name.endswith("_mm") else TEXT for name in names}
    header, _ = read_csv_table(path)
    columns |= {name: NUMBER for name in may_have if name in header}
    return read_frame(path, columns, unique=("query_id",))
