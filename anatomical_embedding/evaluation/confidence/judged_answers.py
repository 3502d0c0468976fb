"""The table of judged answers: one row per query, with evidence, probabilities and decision."""

from pathlib import Path

import pandas as pd

from anatomical_embedding.csv_table import NUMBER, TEXT
from anatomical_embedding.evaluation.landmarks.tables import read_frame

JUDGED_COLUMNS = {
    "query_id": TEXT,
    "probability_within_10mm": NUMBER,
    "probability_out_of_view": NUMBER,
    "decision": TEXT,
}


def read_judged(path: Path | str) -> pd.DataFrame:
    """Return judged answers; empty numbers are NaN.

    Raises
    ------
    InputFileError
        if a column is missing or holds something else than numbers.
    """
    return read_frame(path, JUDGED_COLUMNS, unique=("query_id",))
