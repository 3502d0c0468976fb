"""The CSV files of a landmark evaluation: queries, matches and errors, read strictly and written atomically.

Identifiers stay text ("007" and "NA" are names, not numbers); coordinates are world mm RAS+.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically

QUESTION_COLUMNS = (
    "query_id",
    "template_id",
    "target_id",
    "landmark",
    "query_x_mm",
    "query_y_mm",
    "query_z_mm",
)
"""What a matching method may read of a queries file."""
TRUTH_COLUMNS = ("truth_x_mm", "truth_y_mm", "truth_z_mm")
MATCH_COLUMNS = ("query_id", "method", "x_mm", "y_mm", "z_mm", "similarity", "status", "reason")

ERROR_COLUMNS = (
    "query_id",
    "template_id",
    "target_id",
    "landmark",
    "method",
    "error_mm",
    "error_x_mm",
    "error_y_mm",
    "error_z_mm",
    "status",
)

COLUMNS_THAT_MAY_BE_EMPTY = ("similarity",)


def read_questions(path: Path | str) -> pd.DataFrame:
    """Return the queries without the truth: all that a matching method may see.

    Raises
    ------
    InputFileError
        if a column is missing, a coordinate is no finite number, or a query_id stands twice.
    """
    return _read_queries(path, QUESTION_COLUMNS)


def read_queries(path: Path | str) -> pd.DataFrame:
    """Return the queries with the true points, for scoring.

    Raises
    ------
    InputFileError
        if a column is missing, a coordinate is no finite number, or a query_id stands twice.
    """
    return _read_queries(path, QUESTION_COLUMNS + TRUTH_COLUMNS)


def read_matches(path: Path | str, *, further_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the answers of one method; coordinates of failed rows are NaN.

    Parameters
    ----------
    further_columns : columns that only some methods write, to be read as well.

    Raises
    ------
    InputFileError
        if a column is missing, a status is neither `found` nor `failed`, a found row lacks a finite
        coordinate, or the rows do not all name the same method.
    """
    matches = _read_columns(path, MATCH_COLUMNS + further_columns)
    unknown = ~matches["status"].isin(["found", "failed"])
    if unknown.any():
        row = matches[unknown].iloc[0]
        raise InputFileError(
            path, f"query {row.query_id!r} has the status {row.status!r}, expected 'found' or 'failed'"
        )
    _refuse_unless_finite(path, matches[matches["status"] == "found"], ("x_mm", "y_mm", "z_mm"))
    methods = sorted(matches["method"].unique())
    if len(methods) > 1:
        raise InputFileError(
            path, f"holds answers of several methods ({', '.join(methods)}); write one file a method"
        )
    return matches


def read_errors(path: Path | str) -> pd.DataFrame:
    """Return the error of every query of one method; infinite for failed ones.

    Raises
    ------
    InputFileError
        if a column is missing or a number cannot be read.
    """
    errors = _read_columns(path, ERROR_COLUMNS)
    errors.loc[errors["status"] == "failed", "error_mm"] = np.inf
    return errors


def write_table(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table atomically as CSV: numbers with six decimals, missing and infinite ones empty."""
    table = table.replace([np.inf, -np.inf], np.nan)
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def _read_queries(path: Path | str, columns: tuple[str, ...]) -> pd.DataFrame:
    queries = _read_columns(path, columns)
    _refuse_unless_finite(path, queries, [name for name in columns if name.endswith("_mm")])
    repeated = queries["query_id"].duplicated()
    if repeated.any():
        raise InputFileError(path, f"query {queries[repeated].iloc[0].query_id!r} stands more than once")
    return queries


def _read_columns(path: Path | str, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputFileError(path, f"cannot be read as a CSV table ({error})") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputFileError(
            path,
            f"has no column {missing[0]!r}; expected {', '.join(columns)}, got {', '.join(table.columns)}",
        )
    table = table[list(columns)].copy()
    for name in columns:
        if name.endswith("_mm") or name in COLUMNS_THAT_MAY_BE_EMPTY:
            table[name] = _numbers(path, table, name)
    return table


def _numbers(path: Path | str, table: pd.DataFrame, name: str) -> pd.Series:
    numbers = pd.to_numeric(table[name].replace("", "nan"), errors="coerce").astype(np.float64)
    wrong = numbers.isna() & ~table[name].str.lower().isin(["", "nan"])
    if wrong.any():
        raise InputFileError(
            path, f"row {_line_number(wrong)}, column {name}: {table[name][wrong].iloc[0]!r} is not a number"
        )
    return numbers


def _refuse_unless_finite(path: Path | str, table: pd.DataFrame, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        wrong = ~np.isfinite(table[name])
        if wrong.any():
            raise InputFileError(
                path,
                f"row {_line_number(wrong)}, column {name}: expected a finite number, got "
                f"{table[name][wrong].iloc[0]}",
            )


def _line_number(is_wrong: pd.Series) -> int:
    """Return the line of the file that holds the first wrong row; the header is line 1."""
    return int(is_wrong.index[is_wrong][0]) + 2
