"""What the report shows of lesion tracking, read from the files of its stages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anatomical_embedding.csv_table import NUMBER, TEXT
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.confidence.known_answers import read_judged, read_truths
from anatomical_embedding.evaluation.landmarks.tables import read_frame, read_matches
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.report.json_file import read_json
from anatomical_embedding.report.names import answer_words
from anatomical_embedding.settings.tracking import TrackingSettings

START = "affine_start"
"""Name of the baseline: the affine start that the annotations hold."""

PAIR_COLUMNS = {
    "pair_id": TEXT,
    **dict.fromkeys(("slice_thickness_mm", "radius_mm", "error_mm"), NUMBER),
}
"""What is read of every annotated pair."""


@dataclass(frozen=True)
class TrackedAnswers:
    """One method with one model on one tracking.

    Attributes
    ----------
    tracking, dataset, split, model, method : names.
    scores, start_scores : figures by protocol of the method and of the affine start.
    comparison : paired differences of the two by protocol.
    pairs, start_pairs : one row per annotated pair, with `PAIR_COLUMNS`.
    queries, matches, errors : one row per query; `errors` has `error_mm`, infinite where there is no answer.
    volumes : volume id to index row.
    judged : probabilities, radii and decisions.
    confidence : scores of the confidence.
    """

    tracking: str
    dataset: str
    split: str
    model: str
    method: str
    scores: dict[str, Any]
    start_scores: dict[str, Any]
    comparison: dict[str, Any]
    pairs: pd.DataFrame
    start_pairs: pd.DataFrame
    queries: pd.DataFrame
    matches: pd.DataFrame
    errors: pd.DataFrame
    volumes: dict[str, IndexRow]
    judged: pd.DataFrame
    confidence: dict[str, Any]

    @property
    def name(self) -> str:
        """How the report calls the method."""
        return answer_words(self.method, self.model)


def read_tracked_answers(
    prefixes: Sequence[Path], indices: Sequence[Path], *, trackings: Mapping[str, TrackingSettings]
) -> list[TrackedAnswers]:
    """Return what is known of each answer.

    Parameters
    ----------
    prefixes : `trackings/<tracking>/<split>/<model>.<method>`, to which the suffixes of the files are added.
    indices : index of the data set of each.
    trackings : their settings.

    Raises
    ------
    InputFileError
        if a file is missing or malformed, or the tracking is not configured.
    """
    return [
        _read_answers(prefix, index, trackings=trackings)
        for prefix, index in zip(prefixes, indices, strict=True)
    ]


def summary_rows(answers: Sequence[TrackedAnswers]) -> Iterator[dict[str, Any]]:
    """Yield one entry for the summary for each protocol and method, the affine start of a tracking once."""
    started = set()
    for answer in answers:
        both: list[tuple[str | None, str, dict[str, Any]]] = [(answer.model, answer.method, answer.scores)]
        if answer.tracking not in started:
            both.append((None, START, answer.start_scores))
            started.add(answer.tracking)
        for model, method, scores in both:
            for protocol, figures in scores.items():
                yield {
                    "model": model,
                    "dataset": answer.dataset,
                    "protocol": protocol,
                    "method": method,
                    "tracking": answer.tracking,
                    **{name: value for name, value in figures.items() if name != "strata"},
                    "confidence": answer.confidence if model else None,
                }


def _read_answers(prefix: Path, index: Path, *, trackings: Mapping[str, TrackingSettings]) -> TrackedAnswers:
    tracking = prefix.parent.parent.name
    if tracking not in trackings:
        raise InputFileError(prefix, f"is of the tracking {tracking!r}, which is not configured")
    model, _, method = prefix.name.rpartition(".")
    scores = read_json(_with_suffix(prefix, "scores.json"))
    start = prefix.with_name(START)
    pairs = _read_pairs(_with_suffix(prefix, "pairs.csv"))
    queries = read_truths(prefix.with_name("queries.csv"))
    errors = queries[["query_id"]].merge(
        pairs[["pair_id", "error_mm"]], left_on="query_id", right_on="pair_id", how="left"
    )
    errors["error_mm"] = errors["error_mm"].fillna(np.inf)
    return TrackedAnswers(
        tracking=tracking,
        dataset=trackings[tracking].dataset,
        split=prefix.parent.name,
        model=model,
        method=method,
        scores=scores["protocols"],
        start_scores=read_json(_with_suffix(start, "scores.json"))["protocols"],
        comparison=scores["comparison"]["protocols"],
        pairs=pairs,
        start_pairs=_read_pairs(_with_suffix(start, "pairs.csv")),
        queries=queries,
        matches=read_matches(_with_suffix(prefix, "matches.csv")),
        errors=errors,
        volumes={row.volume_id: row for row in read_index(index)},
        judged=read_judged(_with_suffix(prefix, "judged.csv")),
        confidence=read_json(_with_suffix(prefix, "confidence_scores.json")),
    )


def _with_suffix(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(f"{prefix.name}.{suffix}")


def _read_pairs(path: Path) -> pd.DataFrame:
    return read_frame(path, PAIR_COLUMNS)
