"""What a user changed by hand in the folder of a patient, held against what was followed there."""

import math

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.history import History
from anatomical_embedding.follow.records import MeasurementRow, merged_groups

FAR_MM = 30.0
"""Farther from its place a corrected mask may lie beside the lesion, but hardly by intention."""


def remarks_on_corrections(history: History) -> tuple[str, ...]:
    """Return what to say of corrected masks and of decisions that do not fit the lesions, a sentence each.

    Raises
    ------
    InputFileError
        if a corrected mask has the number of no lesion of this patient.
    """
    said = _of_other_files(history)
    for visit in history.visits:
        if history.folder.corrected(visit).exists():
            said += _of_mask(history, visit)
    return (*said, *_of_decisions(history))


def _of_other_files(history: History) -> list[str]:
    """Name the files among the corrected masks that are those of no visit: they are not measured."""
    folder = history.folder.corrected(history.visits[0]).parent
    known = {history.folder.corrected(visit).name for visit in history.visits}
    others = sorted(path.name for path in folder.glob("[!.]*") if path.name not in known)
    if not others:
        return []
    return [
        f"{folder}: {', '.join(others)} is not measured; corrected masks are called {', '.join(sorted(known))}"
    ]


def _of_mask(history: History, visit: str) -> list[str]:
    path = history.folder.corrected(visit)
    measured = {row.lesion: row for row in history.measurements if row.visit == visit}
    unknown = sorted(set(measured) - set(history.numbers))
    if unknown:
        raise InputFileError(
            path,
            f"has the number {unknown[0]}, which is no lesion of this patient, expected "
            f"{', '.join(map(str, history.numbers))}; give a lesion that is new to `follow --lesions`",
        )
    said = []
    merged = merged_groups(row for row in history.lesions if row.visit == visit)
    for lesion in history.numbers:
        row, decision = history.row(lesion, visit), history.decision(lesion, visit)
        is_rejected = decision is not None and decision.action == "reject"
        if row is None or is_rejected:
            continue
        if row.mask != "none" and not measured.keys() & set(merged.get(lesion, (lesion,))):
            said.append(f"{path}: has no voxel of lesion {lesion}, which is not measured at {visit}")
        elif lesion in measured and _distance_mm(measured[lesion], row.point_mm) > FAR_MM:
            said.append(
                f"{path}: lesion {lesion} lies {_distance_mm(measured[lesion], row.point_mm):.0f} mm from its place at "
                f"{visit}; look whether the mask is mirrored or of another lesion"
            )
    return said


def _distance_mm(measured: MeasurementRow, place_mm: tuple[float, float, float]) -> float:
    """Return how far from a place the nearer end of a lesion's longest diameter lies; 0 where either is unknown."""
    ends = np.array([measured.long_start_mm, measured.long_end_mm])
    distance = float(np.linalg.norm(ends - np.array(place_mm), axis=1).min())
    return 0.0 if math.isnan(distance) else distance


def _of_decisions(history: History) -> list[str]:
    """Name the decisions on what was not followed: they change nothing."""
    known = {(row.lesion, row.visit) for row in history.lesions}
    idle = dict.fromkeys((row.lesion, row.visit) for row in history.decisions)
    return [
        f"{history.folder.decisions}: decides on lesion {lesion} at {visit}, which was not followed; this changes "
        "nothing"
        for lesion, visit in idle
        if (lesion, visit) not in known
    ]
