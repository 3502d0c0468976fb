"""Lesion tracking scores as tables: a CSV row for every pair, and the lines that the published scripts print."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.csv_table import write_csv_table
from anatomical_embedding.evaluation.lesions.metrics import PROTOCOLS, signed_errors_mm
from anatomical_embedding.evaluation.lesions.predictions import LesionPredictions


def write_pairs(predictions: LesionPredictions, path: Path | str) -> None:
    """Write one CSV row a pair, in the order of the annotations, failed ones with their reason.

    Columns: `pair_id`, `patient_id`, `source`, `target`, `slice_thickness_mm`, `radius_mm`, `status`, `reason`, the
    predicted centre `x_vox, y_vox, z_vox` (annotation index), signed errors `error_x_mm, error_y_mm, error_z_mm`,
    `error_mm`, and for every protocol `<name>_cpm_10mm` and `<name>_cpm_radius` (0 or 1).
    """
    pairs, points_vox = predictions.truth, predictions.points_vox
    errors = signed_errors_mm(pairs, points_vox)
    numbers = np.column_stack([points_vox, errors, np.linalg.norm(errors, axis=1)])
    hits = {name: protocol.hits_of(pairs, points_vox) for name, protocol in PROTOCOLS.items()}
    header = [
        "pair_id",
        "patient_id",
        "source",
        "target",
        "slice_thickness_mm",
        "radius_mm",
        "status",
        "reason",
    ]
    header += ["x_vox", "y_vox", "z_vox", "error_x_mm", "error_y_mm", "error_z_mm", "error_mm"]
    header += [f"{protocol}_{share}" for protocol in hits for share in ("cpm_10mm", "cpm_radius")]
    rows = []
    for index, reason in enumerate(predictions.reasons):
        row: list[Any] = [pairs.pair_ids[index], pairs.patient_ids[index]]
        row += [pairs.source_files[index], pairs.target_files[index]]
        row += [f"{pairs.slice_thickness_mm[index]:g}", f"{pairs.radius_mm[index]:.4f}"]
        row += ["failed" if reason else "found", reason]
        row += ["" if np.isnan(number) else f"{number:.4f}" for number in numbers[index]]
        for hit in hits.values():
            row += [int(hit.within_10mm[index]), int(hit.within_radius[index])]
        rows.append(row)
    write_csv_table(header, rows, path)


def published_lines(scores: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the published scripts print for each protocol: total, hits, misses; ratio; mean and deviation.

    Parameters
    ----------
    scores : as `lesion_scores.score_protocols` returns them.
    """
    for protocol, summary in scores.items():
        num_pairs = summary["num_pairs"]
        yield f"{protocol}: {num_pairs} pairs, {summary['num_failed']} without a prediction"
        for name, share, definition in (
            ("CPM@10mm", "cpm_10mm", PROTOCOLS[protocol].within_10mm),
            ("CPM@Radius", "cpm_radius", PROTOCOLS[protocol].within_radius),
        ):
            num_hits = round(summary[share] * num_pairs)
            yield (
                f"  {name:<10}  total {num_pairs}, hits {num_hits}, failed {num_pairs - num_hits}; "
                f"ratio {100 * summary[share]:.2f} % {_interval(summary['ci95'][share], factor=100)}  ({definition})"
            )
        for name, key in (("MED", "med"), ("MED_x", "med_x"), ("MED_y", "med_y"), ("MED_z", "med_z")):
            if summary[f"{key}_mm"] is None:
                yield f"  {name:<10}  no pair was found"
                continue
            yield (
                f"  {name:<10}  {summary[f'{key}_mm']:.2f} +- {summary[f'{key}_sd_mm']:.2f} mm "
                f"{_interval(summary['ci95'][f'{key}_mm'], factor=1)}"
            )


def comparison_lines(comparison: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line per protocol and figure of a comparison: both values, difference, interval, p value."""
    for protocol, figures in comparison.items():
        for name, figure in figures.items():
            if not figure["num_pairs"]:
                yield f"{protocol} {name}: no pair was found by both"
                continue
            yield (
                f"{protocol} {name}: {figure['value']:.4f} against {figure['other']:.4f}, difference "
                f"{figure['difference']:+.4f} {_interval(figure['ci95'], factor=1, digits=4)}, "
                f"p = {figure['p_value']:.4g} ({figure['num_pairs']} pairs)"
            )


def _interval(interval: tuple[float, float] | None, *, factor: float, digits: int = 2) -> str:
    """Return an interval as text: `[74.42, 83.11]`."""
    if interval is None:
        return "[no interval]"
    low, high = interval
    return f"[{factor * low:.{digits}f}, {factor * high:.{digits}f}]"
