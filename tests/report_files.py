"""A small evaluated run on disk: everything that the stage `write_report` reads."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.evaluation.landmarks.tables import (
    MATCH_COLUMNS,
    QUESTION_COLUMNS,
    TRUTH_COLUMNS,
    write_table,
)
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.volume import Volume
from tests.prepared_volumes import lps_affine, write_prepared, write_prepared_index
from workflow_scripts import score_landmarks

IDS = ("a", "b", "c", "d")
NASTY = '<script>alert("x")</script> & "quotes"'
BOOTSTRAP = json.dumps({"num_resamples": 200, "seed": 0, "confidence_level": 0.95})
TABLES = ("scores.json", "errors.csv", "matches.csv")


def write_run(folder: Path) -> list[str]:
    """Write a run with a trained method, two baselines and an untrained network; return the stage's arguments.

    A landmark and a reason for failure hold text that would break an unescaped page.
    """
    generator = np.random.default_rng(0)
    write_prepared_index(folder, [_write_volume(folder, name, generator) for name in IDS])
    queries = _queries(generator)
    write_table(queries, folder / "queries.csv")
    answered = [
        ("nearest", "sam", 6.0),
        ("untrained", "sam", 60.0),
        ("ncc", None, 12.0),
        ("body_affine", None, 20.0),
    ]
    for method, model, spread_mm in answered:
        _answer(folder / method, queries, method=method, spread_mm=spread_mm, generator=generator)
        model_options = ("--model", model) if model else ()
        score_matches(folder, method, "--dataset", "phantom", "--protocol", "test", *model_options)
    _write_logs(folder / "sam")
    _write_benchmarks(folder / "benchmarks")
    methods = [method for method, _, _ in answered]
    lists = {
        name: [f"{folder}/{method}/{table}" for method in methods]
        for name, table in zip(("scores", "errors", "matches"), TABLES, strict=True)
    }
    lists["queries"] = [f"{folder}/queries.csv"] * len(methods)
    lists["index"] = [f"{folder}/index.csv"] * len(methods)
    return [
        *[word for name, paths in lists.items() for word in (f"--{name}", *paths)],
        *("--training-logs", f"{folder}/sam/training_log.csv", f"{folder}/sam/validation_log.csv"),
        *("--benchmarks", f"{folder}/benchmarks", "--settings", settings_of_a_run()),
        *("--output", f"{folder}/report.html", "--summary", f"{folder}/summary.json"),
        *("--match-page", f"{folder}/matches.html"),
    ]


def settings_of_a_run() -> str:
    """Return the delivered settings as JSON, with a title that would break an unescaped page."""
    configuration = read_run_files([REPOSITORY / "config.yaml"])
    return read_pipeline_settings(configuration | {"title": f"Report {NASTY}"}).model_dump_json()


def _write_volume(folder, name, generator):
    affine = lps_affine(origin_mm=generator.uniform(-50, 50, 3))
    array = (gaussian_filter(generator.normal(size=(40, 30, 36)), 2.0) * 2000).astype(np.int16)
    body = np.zeros(array.shape, np.uint8)
    body[4:36, 4:26] = 1
    return write_prepared(folder, name, Volume(array, affine), Volume(body, affine), patient_id=f"p_{name}")


def _queries(generator):
    rows = [
        (f"{a}/{b}/{landmark}", a, b, landmark, *generator.uniform(-100, 0, 6))
        for a in IDS
        for b in IDS
        if a != b
        for landmark in ("heart", NASTY)
    ]
    return pd.DataFrame(rows, columns=[*QUESTION_COLUMNS, *TRUTH_COLUMNS])


def _answer(folder, queries, *, method, spread_mm, generator):
    points = queries[list(TRUTH_COLUMNS)].to_numpy() + generator.normal(0, spread_mm / 2, (len(queries), 3))
    matches = pd.DataFrame({"query_id": queries["query_id"], "method": method}, columns=list(MATCH_COLUMNS))
    matches[["x_mm", "y_mm", "z_mm"]] = points
    matches[["similarity", "status", "reason"]] = [0.8, "found", ""]
    if method == "nearest":
        matches.loc[0, ["x_mm", "y_mm", "z_mm", "similarity"]] = np.nan
        matches.loc[0, ["status", "reason"]] = ["failed", NASTY]
    write_table(matches, folder / "matches.csv")


def score_matches(folder: Path, method: str, *more: str) -> None:
    """Score the matches of a method in the folder, with more options of the stage; its files lie beside them."""
    score_landmarks.main(
        [
            *(
                "--settings",
                BOOTSTRAP,
                "--index",
                f"{folder}/index.csv",
                "--queries",
                f"{folder}/queries.csv",
            ),
            *("--matches", f"{folder}/{method}/matches.csv", "--errors", f"{folder}/{method}/errors.csv"),
            *("--output", f"{folder}/{method}/scores.json"),
            *("--landmark-table", f"{folder}/{method}/landmarks.csv"),
            *more,
        ]
    )


def _write_logs(folder):
    step = np.arange(1, 301)
    loss = 5 * np.exp(-step / 100)
    columns = {"step": step, "seconds": step * 0.2, "loss": 2 * loss, "loss_fine": loss, "loss_coarse": loss}
    write_table(pd.DataFrame({**columns, "learning_rate": 0.005}), folder / "training_log.csv")
    checks = {
        "step": [0, 150, 300],
        "seconds": [0, 30, 60],
        "loss": [9, 4, 3],
        "median_mm": [40.0, 12.0, 14.0],
    }
    write_table(pd.DataFrame({**checks, "hit_10mm": [0.1, 0.4, 0.35]}), folder / "validation_log.csv")


def _write_benchmarks(folder):
    header = "s\th:m:s\tmax_rss\n"
    for job, line in {
        "resample/a": "2.5\t0:00:02\t300.5\n",
        "resample/b": "3.5\t0:00:03\t-\n",
        "train_intra/sam": "60.0\t0:01:00\t900.0\n",
    }.items():
        path = folder / f"{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + line, encoding="utf-8")
