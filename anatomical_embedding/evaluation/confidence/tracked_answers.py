"""Answers to tracking queries beside their evidence, truth and decision."""

from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding.csv_table import NUMBER, TEXT
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.confidence.features import FEATURES, feature_table
from anatomical_embedding.evaluation.confidence.tracking_confidence import CORRECT_MM, Confidence
from anatomical_embedding.evaluation.landmarks.tables import read_frame

POINT_COLUMNS = ["x_mm", "y_mm", "z_mm"]
TRUTH = ["truth_x_mm", "truth_y_mm", "truth_z_mm"]
EVIDENCE = [name for name in FEATURES if name != "similarity"]
"""Features that the matches do not hold already."""


def join_evidence(matches: pd.DataFrame, evidence_path: Path | str) -> pd.DataFrame:
    """Return the matches with the columns of an evidence file, in their order.

    Raises
    ------
    InputFileError
        if the file lacks a column or a query, or a cell is not a number.
    """
    columns = {"query_id": TEXT, **dict.fromkeys(EVIDENCE, NUMBER)}
    evidence = read_frame(evidence_path, columns, unique=("query_id",))
    joined = matches.merge(evidence, on="query_id", how="left", validate="one_to_one", indicator=True)
    if not (joined["_merge"] == "both").all():
        query_id = joined.loc[joined["_merge"] != "both", "query_id"].iloc[0]
        raise InputFileError(evidence_path, f"has no row of the query {query_id!r}; assess the matches again")
    return joined.drop(columns="_merge")


def errors_mm(queries: pd.DataFrame, answers: pd.DataFrame) -> np.ndarray:
    """Return the (N,) distance of answer and truth in the order of the queries; NaN if failed or out of view."""
    points = answers.set_index("query_id").loc[queries["query_id"], POINT_COLUMNS].to_numpy(dtype=np.float64)
    return np.linalg.norm(points - queries[TRUTH].to_numpy(dtype=np.float64), axis=1)


def are_correct(errors: np.ndarray) -> np.ndarray:
    """Return (N,) whether answers are within 10 mm; NaN is not."""
    return np.asarray(errors <= CORRECT_MM)


def judge_answers(answers: pd.DataFrame, confidence: Confidence) -> pd.DataFrame:
    """Return the answers with `probability_within_10mm`, `probability_out_of_view` and `decision`.

    The point of a lesion that is called out of view is taken away: it must not pass for one that was found. Status
    is then `out_of_fov`.
    """
    within, out = confidence.probabilities(feature_table(answers))
    judged = answers.assign(
        probability_within_10mm=within,
        probability_out_of_view=out,
        decision=confidence.decide(within, out),
    )
    is_gone = judged["decision"] == "out_of_fov"
    judged.loc[is_gone, POINT_COLUMNS] = np.nan
    judged.loc[is_gone & (judged["status"] == "found"), "reason"] = (
        "the lesion is likely outside the field of view"
    )
    judged.loc[is_gone, "status"] = "out_of_fov"
    return judged
