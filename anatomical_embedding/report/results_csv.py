"""All results of a run as one table: landmarks, followed lesions and overlaps of organs, one row per figure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.landmarks.scores import LANDMARK_METRICS, ScoreEntry, landmark_table
from anatomical_embedding.report.inputs import Evaluation, ReportInputs
from anatomical_embedding.report.registration_inputs import RegisteredPair
from anatomical_embedding.report.tracking_inputs import START, TrackedAnswers

RESULT_COLUMNS = (
    "kind",
    "evaluation",
    "definition",
    "model",
    "method",
    "part",
    "num",
    "num_failed",
    "metric",
    "value",
    "low",
    "high",
)
"""`kind` is landmarks, tracking, overlap or registration; `part` is all, or a landmark, class or organ; `low`, `high`
are an interval."""

EVERYTHING = "all"
HEADLINE = "headline"


@dataclass(frozen=True)
class MethodColumns:
    """What the rows of one method have in common."""

    kind: str
    evaluation: str
    definition: str
    model: str
    method: str


def results_table(inputs: ReportInputs) -> pd.DataFrame:
    """Return one row per figure with `RESULT_COLUMNS`; a value that does not exist is NaN, an infinite one infinite."""
    rows = [
        *[row for evaluation in inputs.evaluations for row in _landmark_rows(evaluation)],
        *[row for answers in inputs.trackings for row in _tracking_rows(answers)],
        *[row for pair in inputs.registrations for row in _overlap_rows(pair)],
        *[row for pair in inputs.registrations for row in _registration_rows(pair)],
    ]
    table = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    return table.drop_duplicates(subset=[*RESULT_COLUMNS[:6], "metric"], ignore_index=True)


def _landmark_rows(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    for method in evaluation.methods:
        score: ScoreEntry = method.score
        source = MethodColumns("landmarks", evaluation.protocol, "", score.model or "", score.method)
        counts = (score.num_queries, score.num_failed)
        yield from _rows(source, EVERYTHING, counts, score.metrics, score.intervals or {})
        for row in landmark_table(method.errors).to_dict("records"):
            values = {name: row[name] for name in (*LANDMARK_METRICS, "num_missing")}
            yield from _rows(source, row["landmark"], (row["num_queries"], row["num_failed"]), values, {})


def _tracking_rows(answers: TrackedAnswers) -> Iterator[tuple[Any, ...]]:
    for model, method, scores in (
        (answers.model, answers.method, answers.scores),
        ("", START, answers.start_scores),
    ):
        for definition, figures in scores.items():
            source = MethodColumns("tracking", answers.tracking, definition, model, method)
            yield from _figure_rows(source, EVERYTHING, figures)
            for kind, classes in figures.get("strata", {}).items():
                for label, of_class in classes.items():
                    yield from _figure_rows(source, f"{kind} {label}", of_class)


def _figure_rows(source: MethodColumns, part: str, figures: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    values = {name: figures[name] for name in figures["ci95"]}
    yield from _rows(source, part, (figures["num_pairs"], figures["num_failed"]), values, figures["ci95"])


def _overlap_rows(pair: RegisteredPair) -> Iterator[tuple[Any, ...]]:
    overlap = pair.overlap
    source = MethodColumns(
        "overlap", overlap.registration, f"{overlap.fixed}__{overlap.moving}", "", "registration"
    )
    known = [organ for organ in overlap.organs if organ.dice_after is not None]
    before, after = overlap.mean_dice
    counts = (len(overlap.organs), len(overlap.organs) - len(known))
    yield from _rows(source, EVERYTHING, counts, {"dice_before": before, "dice_after": after}, {})
    for organ in overlap.organs:
        values = {
            "dice_before": organ.dice_before,
            "dice_after": organ.dice_after,
            "mean_distance_mm_after": organ.mean_distance_mm_after,
            "p95_distance_mm_after": organ.p95_distance_mm_after,
        }
        yield from _rows(source, organ.organ, (1, int(organ.dice_after is None)), values, {})


def _registration_rows(pair: RegisteredPair) -> Iterator[tuple[Any, ...]]:
    overlap, errors = pair.overlap, pair.errors
    name = f"{overlap.fixed}__{overlap.moving}"
    failed = int(pair.guide is not None and pair.guide.start.status == "failed")
    counts = (errors.num_landmarks, failed)
    for part, of_part, points in (
        (EVERYTHING, counts, errors.points),
        (HEADLINE, (errors.num_headline, failed), errors.headline),
    ):
        for method, figures in points.items():
            source = MethodColumns("registration", overlap.registration, name, "", method)
            yield from _rows(source, part, of_part, asdict(figures), {})
    source = MethodColumns("registration", overlap.registration, name, "", "deformable")
    yield from _rows(source, EVERYTHING, counts, {"folding_share": errors.folding_share}, {})


def _rows(
    source: MethodColumns,
    part: str,
    counts: tuple[int, int],
    values: Mapping[str, float | None],
    intervals: Mapping[str, tuple[float, float] | None],
) -> Iterator[tuple[Any, ...]]:
    common = (source.kind, source.evaluation, source.definition, source.model, source.method, part, *counts)
    for name, value in values.items():
        low, high = intervals.get(name) or (np.nan, np.nan)
        yield (*common, name, np.nan if value is None else value, low, high)
