"""Pinned points as files: CSV of all scans, or markups of one for 3D Slicer."""

import tempfile
from pathlib import Path
from typing import Any

from anatomical_embedding.csv_table import csv_text
from anatomical_embedding.matching.decision import judgement_words
from anatomical_embedding.points.slicer_markups import write_markups

CSV_COLUMNS = (
    "name", "scan", "x_mm", "y_mm", "z_mm", "decision", "similarity",
    "confidence", "radius_50_mm", "radius_90_mm", "corrected",
)  # fmt: skip


def pins_csv(pins: list[dict[str, Any]], scans: list[str]) -> bytes:
    """Return one row per pinned point and scan, in world mm RAS+."""
    rows = [
        (
            pin["name"],
            scan,
            *(entry["point"] or ("", "", "")),
            entry["decision"],
            *(entry[name] for name in ("similarity", "confidence", "radius_50_mm", "radius_90_mm")),
            entry["corrected"],
        )
        for pin in pins
        for scan, entry in zip(scans, pin["points"], strict=True)
    ]
    return csv_text(CSV_COLUMNS, rows).encode("utf-8")


def pins_markups(pins: list[dict[str, Any]], *, scan: int) -> bytes:
    """Return the points of one scan as a markups file."""
    kept = [(pin["name"], pin["points"][scan]) for pin in pins if pin["points"][scan]["point"]]
    texts = [
        judgement_words(entry["decision"], entry["confidence"], entry["radius_50_mm"], entry["radius_90_mm"])
        for _, entry in kept
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pins.mrk.json"
        write_markups(
            [entry["point"] for _, entry in kept], [name for name, _ in kept], path, descriptions=texts
        )
        return path.read_bytes()
