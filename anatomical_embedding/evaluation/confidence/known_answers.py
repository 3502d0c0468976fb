"""Answers beside what speaks for them and beside the truth: what a confidence is fitted to, judged and scored by."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding.confidence import FEATURES, Confidence, feature_table
from anatomical_embedding.csv_table import FINITE, NUMBER, TEXT, choice, read_csv_table
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.landmarks.tables import (
    ANSWER,
    QUESTION_COLUMNS,
    TRUTH_COLUMNS,
    read_frame,
    read_matches,
)
from anatomical_embedding.index_file import read_index
from anatomical_embedding.matching.decision import judge
from anatomical_embedding.settings.confidence import DecisionSettings

EVIDENCE = [name for name in FEATURES if name != "similarity"]
"""Features that matches hold only where evidence was measured."""
JUDGED_NUMBERS = ("confidence", "probability_out_of_view", "radius_50_mm", "radius_90_mm")
JUDGED_COLUMNS = {"query_id": TEXT, **dict.fromkeys(JUDGED_NUMBERS, NUMBER), "decision": TEXT}
IS_IN_VIEW = "is_in_view"


@dataclass(frozen=True)
class KnownAnswers:
    """Answers whose truth is known, without those that failed.

    Attributes
    ----------
    features : (N, features), see `confidence.feature_table`.
    errors_mm : (N,) distance of answer and truth; NaN where the place lies out of view.
    is_in_view : (N,) whether the target shows the place.
    patient_ids, template_patient_ids : (N,) patients of the targets and of the templates.
    landmarks : (N,) what was asked for.
    sources : (N,) evaluations or trackings that they are of; a part of one as `name/part`.
    """

    features: NDArray[np.float64]
    errors_mm: NDArray[np.float64]
    is_in_view: NDArray[np.bool_]
    patient_ids: NDArray[np.str_]
    template_patient_ids: NDArray[np.str_]
    landmarks: NDArray[np.str_]
    sources: NDArray[np.str_]

    def part(self, rows: NDArray[np.int64]) -> "KnownAnswers":
        """Return some of the answers."""
        return KnownAnswers(*(getattr(self, field.name)[rows] for field in fields(self)))

    def sorted(self) -> "KnownAnswers":
        """Return the answers in an order of their own, whatever the order of the tables that they come from."""
        first_key_last = (
            *self.features.T,
            self.errors_mm,
            self.is_in_view,
            self.landmarks,
            self.template_patient_ids,
            self.patient_ids,
            self.sources,
        )
        return self.part(np.lexsort(first_key_last))


def read_truths(path: Path | str) -> pd.DataFrame:
    """Return queries with their true points and `is_in_view`; a file without this column shows every place.

    Raises
    ------
    InputFileError
        if a column is missing or malformed, or a query that is in view has no true point.
    """
    names = (*QUESTION_COLUMNS, *TRUTH_COLUMNS)
    columns = {
        name: NUMBER if name in TRUTH_COLUMNS else FINITE if name.endswith("_mm") else TEXT for name in names
    }
    if IS_IN_VIEW in read_csv_table(path)[0]:
        columns[IS_IN_VIEW] = choice("true", "false")
    queries = read_frame(path, columns, unique=("query_id",))
    queries[IS_IN_VIEW] = queries.get(IS_IN_VIEW, "true") == "true"
    without = queries[IS_IN_VIEW] & queries[list(TRUTH_COLUMNS)].isna().any(axis=1)
    if without.any():
        raise InputFileError(path, f"query {queries[without]['query_id'].iloc[0]!r} has no true point")
    return queries


def errors_mm(queries: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
    """Return the (N,) distance of answer and truth in the order of the queries; NaN if failed or out of view."""
    points = answers.set_index("query_id").loc[queries["query_id"], list(ANSWER)].to_numpy(dtype=np.float64)
    errors = np.linalg.norm(points - queries[list(TRUTH_COLUMNS)].to_numpy(dtype=np.float64), axis=1)
    return np.where(queries[IS_IN_VIEW], errors, np.nan)


def read_evidence(path: Path | str) -> pd.DataFrame:
    """Return answers with what speaks for them.

    Raises
    ------
    InputFileError
        if they were matched without evidence.
    """
    return read_matches(path, further_numbers=EVIDENCE)


def known_answers(
    queries: pd.DataFrame, answers: pd.DataFrame, *, patient_of: dict[str, str], source: str
) -> KnownAnswers:
    """Return the answers to queries whose truth is known.

    Parameters
    ----------
    queries, answers : from `read_truths` and `read_evidence`.
    patient_of : volume id to patient.
    source : evaluation or tracking that they are of.
    """
    ordered = answers.set_index("query_id", drop=False).loc[queries["query_id"]]
    is_answered = (ordered["status"] == "found").to_numpy()
    patient_ids, template_patient_ids = (
        queries[column].map(patient_of).to_numpy().astype(str)[is_answered]
        for column in ("target_id", "template_id")
    )
    return KnownAnswers(
        feature_table(ordered)[is_answered],
        errors_mm(queries, answers)[is_answered],
        queries[IS_IN_VIEW].to_numpy()[is_answered],
        patient_ids,
        template_patient_ids,
        queries["landmark"].to_numpy().astype(str)[is_answered],
        sources=np.full(is_answered.sum(), source),
    )


def read_known_answers(queries: Path, matches: Path, index: Path, *, source: str) -> KnownAnswers:
    """Return the answers of one evaluation or tracking, or of a part of it.

    Parameters
    ----------
    queries, matches : tables (CSV) of the questions with their truth and of the answers with their evidence.
    index : of the volumes (CSV), for the patients.
    source : evaluation or tracking that they are of.
    """
    patient_of = {row.volume_id: row.patient_id for row in read_index(index)}
    return known_answers(read_truths(queries), read_evidence(matches), patient_of=patient_of, source=source)


def joined_answers(parts: Sequence[KnownAnswers]) -> KnownAnswers:
    """Return the answers of several evaluations as one."""
    names = [field.name for field in fields(KnownAnswers)]
    return KnownAnswers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def judge_answers(
    answers: pd.DataFrame, confidence: Confidence | None, *, settings: DecisionSettings
) -> pd.DataFrame:
    """Return answers with `JUDGED_COLUMNS`, and why they are not found as `reason`.

    The point of an answer that is called out of view is taken away: it must not pass for one that was found.
    """
    judged = judge(
        confidence,
        answers,
        failures=answers["reason"].tolist(),
        is_in_body=np.ones(len(answers), dtype=bool),
        settings=settings,
    )
    table = answers.assign(
        confidence=judged.probability,
        probability_out_of_view=judged.probability_out_of_view,
        radius_50_mm=judged.radius_50_mm,
        radius_90_mm=judged.radius_90_mm,
        decision=judged.decision,
        reason=judged.reason,
    )
    table.loc[table["decision"] == "out_of_view", list(ANSWER)] = np.nan
    return table


def read_judged(path: Path | str) -> pd.DataFrame:
    """Return judged answers; empty numbers are NaN.

    Raises
    ------
    InputFileError
        if a column is missing or holds something else than numbers.
    """
    return read_frame(path, JUDGED_COLUMNS, unique=("query_id",))
