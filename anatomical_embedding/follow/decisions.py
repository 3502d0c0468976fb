"""What a reader decided, as far as places and sizes depend on it."""

from pathlib import Path

from anatomical_embedding.follow.record_tables import read_decisions
from anatomical_embedding.follow.records import PointMm


def moved_places(path: Path, visit: str) -> dict[int, PointMm]:
    """Return by lesion where a reader moved it at a visit; a later acceptance keeps that, a later rejection does not.

    Raises
    ------
    InputFileError
        naming the line of `decisions.csv` at fault.
    """
    places: dict[int, PointMm] = {}
    for row in read_decisions(path):
        if row.visit == visit and row.action == "move":
            places[row.lesion] = row.point_mm
        elif row.visit == visit and row.action == "reject":
            places.pop(row.lesion, None)
    return dict(sorted(places.items()))


def rejected_lesions(path: Path, visit: str) -> set[int]:
    """Return the lesions whose answer at a visit is rejected by the last word on it; raises as `moved_places`."""
    last = {row.lesion: row.action for row in read_decisions(path) if row.visit == visit}
    return {lesion for lesion, action in last.items() if action == "reject"}
