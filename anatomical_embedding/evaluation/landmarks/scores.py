"""Scores of matched landmarks: how far every answer lies from the truth, in mm of the target's world."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.evaluation.bootstrap import weighted_quantile
from anatomical_embedding.evaluation.landmarks.organ_hits import OrganHits
from anatomical_embedding.evaluation.landmarks.tables import ANSWER, TRUTH_COLUMNS
from anatomical_embedding.evaluation.statistics import METRICS, bootstrap_intervals, metrics_of
from anatomical_embedding.settings.evaluation import BootstrapSettings


@dataclass(frozen=True)
class ScoreEntry:
    """One line of the table of scores.

    Attributes
    ----------
    model : name of the trained model; None for methods without one.
    dataset, protocol, method : what was asked, how, and who answered.
    num_queries, num_failed : failed queries are part of the queries.
    organ_hits : of the queries that lie in an organ; None where the data set has no label maps.
    metrics : metric name to value; infinite where too many queries failed (see `statistics`).
    confidence_level : of the intervals, such as 0.95.
    intervals : metric name to (low, high); None where there are too few subjects.
    """

    model: str | None
    dataset: str
    protocol: str
    method: str
    num_queries: int
    num_failed: int
    organ_hits: OrganHits | None
    metrics: Mapping[str, float]
    confidence_level: float
    intervals: Mapping[str, tuple[float, float]] | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for `scores.json`: infinite values are null, 95 % intervals stand under `ci95`."""
        intervals = self.intervals
        return {
            "model": self.model,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "method": self.method,
            "num_queries": self.num_queries,
            "num_failed": self.num_failed,
            "organ_hits": None if self.organ_hits is None else asdict(self.organ_hits),
            **{name: _null_if_infinite(self.metrics[name]) for name in METRICS},
            f"ci{100 * self.confidence_level:g}": None
            if intervals is None
            else {name: [_null_if_infinite(end) for end in intervals[name]] for name in METRICS},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, path: Path | str) -> "ScoreEntry":
        """Return the entry that `as_json` wrote.

        Raises
        ------
        InputFileError
            naming `path` and the first key that is missing.
        """
        keys = ("model", "dataset", "protocol", "method", "num_queries", "num_failed", "organ_hits", *METRICS)
        missing = [key for key in keys if key not in content]
        interval_keys = [key for key in content if re.fullmatch(r"ci\d+(\.\d+)?", key)]
        if missing or len(interval_keys) != 1:
            problem = f"has no key {missing[0]!r}" if missing else "has no confidence intervals under 'ci95'"
            raise InputFileError(path, f"{problem}; expected a file written by score_landmarks")
        intervals = content[interval_keys[0]]
        hits = content["organ_hits"]
        return cls(
            **{key: content[key] for key in keys[:6]},
            organ_hits=None if hits is None else OrganHits(**hits),
            metrics={name: _infinite_if_null(content[name]) for name in METRICS},
            confidence_level=float(interval_keys[0][2:]) / 100,
            intervals=None
            if intervals is None
            else {
                name: (_infinite_if_null(intervals[name][0]), _infinite_if_null(intervals[name][1]))
                for name in METRICS
            },
        )


def errors_of_matches(
    queries: pd.DataFrame, matches: pd.DataFrame, *, matches_path: Path | str
) -> pd.DataFrame:
    """Return one row per query with the distance to the truth and its signed parts (match minus truth).

    Parameters
    ----------
    queries : queries with truth.
    matches : answers of one method, in any order.
    matches_path : named in error messages.

    Returns
    -------
    Table with `ERROR_COLUMNS`, in the order of the queries; failed queries have an infinite
    `error_mm` and no signed parts.

    Raises
    ------
    InputFileError
        if a query has no row or several, or a row belongs to no query.
    """
    _refuse_unless_one_row_each(queries["query_id"], matches["query_id"], matches_path)
    answers = matches.set_index("query_id").loc[queries["query_id"]]
    is_found = (answers["status"] == "found").to_numpy()
    truth_mm = queries[list(TRUTH_COLUMNS)].to_numpy()
    signed_mm = answers[list(ANSWER)].to_numpy(dtype=np.float64) - truth_mm
    signed_mm[~is_found] = np.nan
    errors = queries[["query_id", "template_id", "target_id", "landmark"]].reset_index(drop=True)
    errors["method"] = answers["method"].to_numpy()
    errors["error_mm"] = np.where(is_found, np.linalg.norm(signed_mm, axis=1), np.inf)
    errors[["error_x_mm", "error_y_mm", "error_z_mm"]] = signed_mm
    errors["status"] = answers["status"].to_numpy()
    return errors


def score_errors(
    errors: pd.DataFrame,
    *,
    subject_of_volume: Mapping[str, str],
    model: str | None,
    dataset: str,
    protocol: str,
    organ_hits: OrganHits | None,
    settings: BootstrapSettings,
) -> ScoreEntry:
    """Return the metrics of a table of errors with their confidence intervals over subjects.

    Parameters
    ----------
    errors : table of `errors_of_matches`.
    subject_of_volume : volume_id to patient_id.
    model, dataset, protocol, organ_hits : written into the entry.
    settings : the bootstrap.

    Raises
    ------
    UserError
        if a volume has no subject.
    """
    distances = errors["error_mm"].to_numpy()
    return ScoreEntry(
        model=model,
        dataset=dataset,
        protocol=protocol,
        method=errors["method"].iloc[0],
        num_queries=len(errors),
        num_failed=int(np.isinf(distances).sum()),
        organ_hits=organ_hits,
        metrics=metrics_of(distances),
        confidence_level=settings.confidence_level,
        intervals=bootstrap_intervals(
            distances,
            template_subjects=_subjects(errors["template_id"], subject_of_volume),
            target_subjects=_subjects(errors["target_id"], subject_of_volume),
            settings=settings,
        ),
    )


LANDMARK_METRICS = (*METRICS, "sd_mm", "p95_mm", "max_mm")
"""What the table by landmark holds of each."""


def landmark_table(errors: pd.DataFrame) -> pd.DataFrame:
    """Return one row per landmark, sorted by name.

    Returns
    -------
    Columns `landmark, num_queries, num_failed, num_missing` and `LANDMARK_METRICS`. Missing are the pairs of volumes
    that were asked for another landmark and not for this one, since either lacks it or does not show it. `sd_mm` is
    the deviation of the found ones (divided by their number); `p95_mm` and `max_mm` are infinite among failures.
    """
    num_pairs = len(errors[["template_id", "target_id"]].drop_duplicates())
    rows = []
    for landmark, group in errors.groupby("landmark", sort=True):
        distances = group["error_mm"].to_numpy()
        found = distances[np.isfinite(distances)]
        once = np.ones((1, len(distances)))
        rows.append(
            {
                "landmark": landmark,
                "num_queries": len(group),
                "num_failed": len(distances) - len(found),
                "num_missing": num_pairs - len(group),
                **metrics_of(distances),
                "sd_mm": float(found.std()) if len(found) else np.nan,
                "p95_mm": float(weighted_quantile(distances, once, share=0.95)[0]),
                "max_mm": float(distances.max()),
            }
        )
    columns = ["landmark", "num_queries", "num_failed", "num_missing", *LANDMARK_METRICS]
    return pd.DataFrame(rows, columns=columns)


def _refuse_unless_one_row_each(asked: pd.Series, answered: pd.Series, path: Path | str) -> None:
    repeated = answered[answered.duplicated()]
    missing = asked[~asked.isin(answered)]
    unasked = answered[~answered.isin(asked)]
    for rows, problem in (
        (repeated, "has more than one row"),
        (missing, "has no row"),
        (unasked, "is in no query of this evaluation"),
    ):
        if len(rows) > 0:
            raise InputFileError(
                path,
                f"query {rows.iloc[0]!r} {problem} ({len(rows)} such); expected exactly one row per query, "
                "failed ones included; run the matching again",
            )


def _subjects(volume_ids: pd.Series, subject_of_volume: Mapping[str, str]) -> list[str]:
    unknown = sorted(set(volume_ids) - set(subject_of_volume))
    if unknown:
        raise UserError(
            f"volume {unknown[0]!r} is in none of the index files; give the index that the queries were made from"
        )
    return [subject_of_volume[volume_id] for volume_id in volume_ids]


def _null_if_infinite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _infinite_if_null(value: float | None) -> float:
    return math.inf if value is None else float(value)
