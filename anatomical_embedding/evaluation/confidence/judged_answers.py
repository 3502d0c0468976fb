"""The table of judged answers: one row a query, with evidence, probabilities and decision."""

from pathlib import Path

import pandas as pd

from anatomical_embedding.errors import InputFileError

JUDGED_COLUMNS = ("query_id", "probability_within_10mm", "probability_out_of_view", "decision")


def read_judged(path: Path | str) -> pd.DataFrame:
    """Return judged answers; empty numbers are NaN.

    Raises
    ------
    InputFileError
        if a column is missing.
    """
    judged = pd.read_csv(path, dtype={"query_id": str, "template_id": str, "target_id": str})
    missing = [name for name in JUDGED_COLUMNS if name not in judged]
    if missing:
        raise InputFileError(path, f"has no column {missing[0]!r}; judge the matches again")
    return judged
