"""What the report is made of, read from the files of the earlier stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from anatomical_embedding.csv_table import NUMBER, read_csv_table, typed_rows
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.landmarks.scores import ScoreEntry
from anatomical_embedding.evaluation.landmarks.tables import as_frame, read_errors, read_matches, read_queries
from anatomical_embedding.index_file import IndexRow, read_index
from anatomical_embedding.provenance import Manifest
from anatomical_embedding.report.json_file import read_json
from anatomical_embedding.report.names import answer_words
from anatomical_embedding.report.registration_inputs import RegisteredPair
from anatomical_embedding.report.tracking_inputs import TrackedAnswers
from anatomical_embedding.settings.evaluation import BaselineMethod

CONFIDENCE_SUFFIX = ".confidence_scores.json"
BASELINES: tuple[str, ...] = get_args(BaselineMethod)


@dataclass(frozen=True)
class EvaluatedMethod:
    """One method on one evaluation.

    Attributes
    ----------
    score : its entry in the table of scores.
    errors : one row per query, with `template_id`, `target_id`, `landmark` and the errors.
    matches, queries : answers and questions, one row per query.
    volumes : volume_id to index row.
    """

    score: ScoreEntry
    errors: pd.DataFrame
    matches: pd.DataFrame
    queries: pd.DataFrame
    volumes: dict[str, IndexRow]

    @property
    def is_baseline(self) -> bool:
        """Whether the method has learned nothing."""
        return self.score.method in BASELINES

    @property
    def name(self) -> str:
        """How the report calls the method."""
        return answer_words(self.score.method, self.score.model)


@dataclass(frozen=True)
class Evaluation:
    """All methods that answered the same queries.

    Attributes
    ----------
    dataset, protocol : what was asked and how.
    methods : trained ones first, then baselines, each by median error.
    """

    dataset: str
    protocol: str
    methods: list[EvaluatedMethod]

    @property
    def title(self) -> str:
        """How the report calls the evaluation."""
        return self.dataset if self.protocol == self.dataset else f"{self.dataset}, {self.protocol}"

    @property
    def best_trained(self) -> EvaluatedMethod | None:
        """The trained method with the lowest median error; None if there are only baselines."""
        return next((method for method in self.methods if not method.is_baseline), None)

    @property
    def best_baseline(self) -> EvaluatedMethod | None:
        """The baseline with the lowest median error; None if there is none."""
        return next((method for method in self.methods if method.is_baseline), None)


@dataclass(frozen=True)
class TrainingCurves:
    """The logs of one training.

    Attributes
    ----------
    name : of the folder that holds the logs.
    training : step, seconds, loss, the loss of each head, learning_rate; None if not at hand.
    validation : step, seconds, loss, median_mm, hit_10mm; None if not at hand.
    """

    name: str
    training: pd.DataFrame | None
    validation: pd.DataFrame | None


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the sections of the report may show.

    Attributes
    ----------
    evaluations : sorted by data set and protocol.
    trainings : learning curves, sorted by name.
    stage_times : columns stage, job, seconds, max_memory_mb; one row per job.
    settings : the settings of the run.
    versions : name and version of the interpreter and the libraries.
    registrations : registered pairs.
    trackings : followed lesions.
    manifests : of the jobs, sorted.
    match_page : address of the page of matches beside the report; None where there is none.
    confidences : title -> scores of the confidence of one method on one data set, see `score_confidence`.
    shared_scans : a sentence on each scan that one data set trains on and another holds out.
    """

    evaluations: list[Evaluation]
    trainings: list[TrainingCurves]
    stage_times: pd.DataFrame
    settings: dict[str, Any]
    versions: dict[str, str]
    registrations: list[RegisteredPair]
    trackings: list[TrackedAnswers]
    manifests: list[Manifest]
    match_page: str | None = None
    shared_scans: Sequence[str] = ()
    confidences: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def read_confidence_scores(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return title -> scores of confidences.

    Parameters
    ----------
    paths : `evaluations/<name>/<model>.<method>.confidence_scores.json`, or of trackings with the split as one more
        folder.
    """
    scores = {}
    for path in paths:
        model, method = path.name.removesuffix(CONFIDENCE_SUFFIX).rsplit(".", 1)
        parts = path.parent.parts
        source = parts[-2] if parts[-3:-2] == ("trackings",) else parts[-1]
        scores[f"{source}: {answer_words(method, model)}"] = read_json(path)
    return scores


def read_evaluations(
    *,
    scores: Sequence[Path],
    errors: Sequence[Path],
    matches: Sequence[Path],
    queries: Sequence[Path],
    indices: Sequence[Path],
) -> list[Evaluation]:
    """Return the evaluated methods, grouped by what they were asked.

    Parameters
    ----------
    scores, errors, matches, queries, indices : lists of the same length; the files at one place of all lists belong to
        one method.

    Raises
    ------
    InputFileError
        if a file cannot be read or the errors are not those of the matches.
    """
    groups: dict[tuple[str, str], list[EvaluatedMethod]] = {}
    for paths in zip(scores, errors, matches, queries, indices, strict=True):
        method = _read_method(*paths)
        groups.setdefault((method.score.dataset, method.score.protocol), []).append(method)
    return [
        Evaluation(dataset, protocol, sorted(methods, key=_rank))
        for (dataset, protocol), methods in sorted(groups.items())
    ]


def read_trainings(paths: Sequence[Path]) -> list[TrainingCurves]:
    """Return learning curves, one for each folder that holds logs; an empty file is no log.

    Raises
    ------
    InputFileError
        if a table is neither a training log nor a validation log.
    """
    logs: dict[Path, dict[str, pd.DataFrame]] = {}
    for path in paths:
        if path.stat().st_size == 0:
            continue
        table = _read_log(path)
        kinds = [
            kind for kind, column in (("validation", "median_mm"), ("training", "loss")) if column in table
        ]
        if not kinds or "step" not in table:
            raise InputFileError(
                path, "has no columns 'step' and 'loss' or 'median_mm'; expected a training log"
            )
        logs.setdefault(path.parent, {})[kinds[0]] = table
    curves = [
        TrainingCurves(folder.name, tables.get("training"), tables.get("validation"))
        for folder, tables in logs.items()
    ]
    return sorted(curves, key=lambda curve: curve.name)


def read_stage_times(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the time of every job from Snakemake's benchmark files.

    Parameters
    ----------
    paths : benchmark files, or folders that are searched for `*.tsv`. The stage is the first part of a file's path
        below the folder, or the file's own name.

    Returns
    -------
    Columns stage, job, seconds, max_memory_mb (NaN where Snakemake could not measure it).
    """
    jobs = []
    for path in paths:
        files = sorted(path.rglob("*.tsv")) if path.is_dir() else [path]
        for file in files:
            if not file.stat().st_size:  # of a job that ends beside this one
                continue
            relative = file.relative_to(path).with_suffix("") if path.is_dir() else Path(file.stem)
            try:
                table = pd.read_csv(file, sep="\t", na_values=["-", "NA"])
            except (OSError, ValueError) as error:
                raise InputFileError(file, f"cannot be read as a table ({error})") from error
            if "s" not in table:
                raise InputFileError(file, "has no column 's'; expected a benchmark file of Snakemake")
            memory = table["max_rss"].max() if "max_rss" in table else float("nan")
            jobs.append((relative.parts[0], relative.as_posix(), float(table["s"].sum()), float(memory)))
    return pd.DataFrame(jobs, columns=["stage", "job", "seconds", "max_memory_mb"])


def _read_method(scores: Path, errors: Path, matches: Path, queries: Path, index: Path) -> EvaluatedMethod:
    method = EvaluatedMethod(
        score=ScoreEntry.from_json(read_json(scores), path=scores),
        errors=read_errors(errors),
        matches=read_matches(matches),
        queries=read_queries(queries),
        volumes={row.volume_id: row for row in read_index(index)},
    )
    asked = set(method.queries["query_id"])
    for path, table in ((errors, method.errors), (matches, method.matches)):
        if set(table["query_id"]) != asked:
            raise InputFileError(
                path, f"does not answer the queries of {queries}; give files in the same order"
            )
    return method


def _rank(method: EvaluatedMethod) -> tuple[bool, float, str]:
    return method.is_baseline, method.score.metrics["median_mm"], method.name


def _read_log(path: Path) -> pd.DataFrame:
    header, rows = read_csv_table(path)
    columns = dict.fromkeys(header, NUMBER)
    return as_frame([cells for _, cells in typed_rows(path, rows, columns)], columns)
