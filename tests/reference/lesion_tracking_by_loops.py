"""Lesion tracking figures pair by pair in plain Python, as the published scripts compute them."""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a public file in file order."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["results"] if "results" in content else list(content.values())


def distance_of(row: dict[str, Any]) -> float:
    """Return the distance of predicted and true centre in mm."""
    return math.sqrt(
        sum(
            ((p - c) * s) ** 2
            for p, c, s in zip(
                row["predict target center"], row["target center"], row["target spacing"], strict=True
            )
        )
    )


def is_hit(row: dict[str, Any], protocol: str, share: str) -> bool:
    """Tell whether a pair counts; slices are reversed literally, in a volume of 1000 slices."""
    distance = distance_of(row)
    radius = row["target recist diameter"][0] / 2 * row["target spacing"][0]
    if share == "cpm_10mm":
        return distance <= (min(radius, 10.0) if protocol == "dlt" else 10.0)
    if protocol == "dlt":
        return distance < radius
    point = list(row["predict target center"])
    low = list(row["target box"][:3])
    high = [a + b for a, b in zip(low, row["target box"][3:], strict=True)]
    if protocol == "uae_released":
        num_slices = 1000
        point[2] = num_slices - 1 - point[2]
        low[2], high[2] = num_slices - high[2], num_slices - low[2]
    return all(a <= p < b for a, p, b in zip(low, point, high, strict=True))


def share_of(rows: list[dict[str, Any]], protocol: str, share: str) -> float:
    """Return the share of pairs that count, 0 to 1."""
    return sum(is_hit(row, protocol, share) for row in rows) / len(rows)


def bootstrap_interval(
    values: list[float], patients: list[str], *, num_resamples: int, seed: int
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean when whole patients are drawn, one after the other."""
    generator = random.Random(seed)  # noqa: S311
    of_patient: dict[str, list[float]] = {}
    for value, patient in zip(values, patients, strict=True):
        of_patient.setdefault(patient, []).append(value)
    names = list(of_patient)
    means = []
    for _ in range(num_resamples):
        sample: list[float] = []
        for _ in names:
            sample += of_patient[generator.choice(names)]
        means.append(statistics.fmean(sample))
    means.sort()
    return means[round(0.025 * num_resamples)], means[round(0.975 * num_resamples) - 1]
