"""Answers to points as rows: for CSV, JSON and markups of 3D Slicer."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.csv_table import csv_text
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.matching.answers import Answers
from anatomical_embedding.matching.decision import judgement_words
from anatomical_embedding.points.named_points import Coordinates, NamedPoints, as_ras
from anatomical_embedding.points.point_table import COORDINATES_COLUMN
from anatomical_embedding.points.slicer_fcsv import write_fcsv
from anatomical_embedding.points.slicer_markups import write_markups

ANSWER_COLUMNS = (
    "name", "target", "query_x_mm", "query_y_mm", "query_z_mm", "x_mm", "y_mm", "z_mm",
    "similarity", "cycle_error_mm", "confidence", "radius_50_mm", "radius_90_mm",
    "decision", "reason", "refined", "refinement_shift_mm",
)  # fmt: skip


UNKNOWN = "unknown"
"""The confidence of an answer of a model that holds none."""

NUM_DIGITS = 6
"""Behind the point, a nanometre: more only fills the lines."""

SLICER_ENDINGS = (".mrk.json", ".fcsv")
ANSWER_ENDINGS = (".csv", *SLICER_ENDINGS)
"""Of the names of files that answers are written to."""


def answer_rows(
    asked: NamedPoints, answers: Answers, *, target: str, coordinates: Coordinates
) -> list[dict[str, Any]]:
    """Return one row per point with the keys of `ANSWER_COLUMNS`.

    Numbers that are not there are None; the confidence is `unknown` where the decision is.
    """
    queries = as_ras(asked.points_mm, coordinates=coordinates)
    found = as_ras(answers.points_mm, coordinates=coordinates)
    return [
        dict(
            zip(
                ANSWER_COLUMNS,
                (
                    name,
                    target,
                    *map(known_number, queries[row]),
                    *map(known_number, found[row]),
                    known_number(answers.similarity[row]),
                    known_number(answers.cycle_error_mm[row]),
                    _confidence(answers, row),
                    known_number(answers.radius_50_mm[row]),
                    known_number(answers.radius_90_mm[row]),
                    answers.decision[row],
                    answers.reason[row],
                    answers.refined[row],
                    known_number(answers.refinement_shift_mm[row]),
                ),
                strict=True,
            )
        )
        for row, name in enumerate(asked.names)
    ]


def answers_csv(rows: Sequence[dict[str, Any]], *, coordinates: Coordinates) -> str:
    """Return rows of answers as the text of a CSV file; missing numbers are empty.

    One in LPS says so in a column of its own, as tables of points do.
    """
    stated = {COORDINATES_COLUMN: coordinates.upper()} if coordinates == "lps" else {}
    cells = [[*(row[column] for column in ANSWER_COLUMNS), *stated.values()] for row in rows]
    return csv_text([*ANSWER_COLUMNS, *stated], cells)


def write_answers(rows: Sequence[dict[str, Any]], path: Path | str, *, coordinates: Coordinates) -> None:
    """Write rows of answers as `.csv`, or as `.mrk.json` or `.fcsv` with the points that have a place.

    Markups are described by decision, confidence and radii.

    Raises
    ------
    InputFileError
        if the name ends in none of these, or markups would mix the points of several targets.
    """
    path = Path(path)
    if path.name.endswith(SLICER_ENDINGS):
        require_one_target(path, (row["target"] for row in rows))
        kept = [row for row in rows if row["x_mm"] is not None]
        points_mm = np.reshape([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in kept], (-1, 3))
        write = write_markups if path.name.endswith(".mrk.json") else write_fcsv
        write(
            as_ras(points_mm, coordinates=coordinates),
            [row["name"] for row in kept],
            path,
            descriptions=[
                judgement_words(row["decision"], row["confidence"], row["radius_50_mm"], row["radius_90_mm"])
                for row in kept
            ],
        )
    elif path.name.endswith(".csv"):
        with written_atomically(path) as temporary:
            temporary.write_bytes(answers_csv(rows, coordinates=coordinates).encode("utf-8"))
    else:
        raise InputFileError(path, f"expected a name that ends in {', '.join(ANSWER_ENDINGS)}")


def require_one_target(path: Path, targets: Iterable[str]) -> None:
    """Refuse to write the points of several scans as one list of markups, which would mix them.

    Raises
    ------
    InputFileError
        naming the file.
    """
    if path.name.endswith(SLICER_ENDINGS) and len(set(targets)) > 1:
        raise InputFileError(path, "would mix the points of several scans; write .csv, or ask for one target")


def _confidence(answers: Answers, row: int) -> float | str | None:
    known = known_number(answers.confidence[row])
    return UNKNOWN if answers.decision[row] == UNKNOWN else known


def known_number(value: float) -> float | None:
    """Return a number for JSON and tables: None stands for one that is not known.

    Examples
    --------
    >>> known_number(158.90315746631), known_number(-8.4e-9)
    (158.903157, 0.0)
    """
    return round(float(value), NUM_DIGITS) + 0.0 if math.isfinite(value) else None
