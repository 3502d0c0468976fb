"""The answers of a followed patient to be confirmed by a reader, least sure first."""

import datetime
import math
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.errors import UserError
from anatomical_embedding.follow.history import History, grid_of, read_history, read_scan_of
from anatomical_embedding.follow.measure_folder import masks_in_use
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.record_tables import append_decision
from anatomical_embedding.follow.records import DecisionRow, LesionRow, PointMm
from anatomical_embedding.follow.words import date_words, size_words, state_words
from anatomical_embedding.viewer.session import point_of
from anatomical_embedding.volumes.nifti import nifti_bytes
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.volume import Volume, zeros_on

NOWHERE: PointMm = (math.nan, math.nan, math.nan)
MASKS_IN_MEMORY = 2
"""Of visits: the one that is shown, and the one before."""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class ConfirmSession:
    """The state behind the page.

    Parameters
    ----------
    folder : that `follow` wrote.
    reader : who decides.
    now : the time, with its time zone.

    Raises
    ------
    UserError
        if the folder cannot be read, or holds no answer.
    """

    def __init__(self, folder: Path, *, reader: str, now: Callable[[], datetime.datetime] = _now):
        self._history = read_history(folder)
        self._reader = reader
        self._now = now
        self._lock = threading.Lock()
        self._answers = answers_to_confirm(self._history)
        if not self._answers:
            raise UserError(f"{folder}: holds no answer to confirm: every lesion is given")
        self._decided = {(row.lesion, row.visit): row for row in self._history.decisions}
        self._masks = lru_cache(maxsize=MASKS_IN_MEMORY)(self._read_masks)

    def overview(self) -> dict[str, Any]:
        """Return what the page shows: the visits, and the answers in the order in which they are confirmed."""
        return {
            "patient": self._history.patient,
            "reader": self._reader,
            "visits": [
                {
                    "name": visit.name,
                    "date": date_words(visit.date),
                    "modality": visit.modality,
                    "url": f"scans/{number}",
                    "file_name": "scan.nii",
                    "step_mm": to_lps(zeros_on(grid_of(visit))).spacing_mm.tolist(),
                    "centre_mm": grid_of(visit).centre_mm.tolist(),
                }
                for number, visit in enumerate(self._history.record.visits)
            ],
            "answers": [self._answer(row) for row in self._answers],
        }

    def scan(self, visit: int) -> bytes:
        """Return the scan of a visit as a NIfTI file.

        Raises
        ------
        UserError
            if it cannot be read any more, or there is no such visit.
        """
        return nifti_bytes(
            read_scan_of(self._history.record.visits[self._visit(visit)], RecentScans(num_kept=1)).volume,
            compress=False,
        )

    def mask(self, visit: int, lesion: int) -> bytes:
        """Return the mask of a lesion at a visit as a NIfTI file; empty where there is none.

        Raises
        ------
        UserError
            as `scan`.
        """
        with self._lock:
            masks = self._masks(self._visit(visit))
        return nifti_bytes(Volume((masks.array == lesion).astype(np.uint8), masks.affine), compress=True)

    def decide(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a decision in `decisions.csv`, and return the answer with it.

        Raises
        ------
        UserError
            if the request names no answer, no action, or a place outside the scan.
        """
        row = self._row(request)
        action = request.get("action")
        if action not in {"accept", "move", "reject"}:
            raise UserError(f"expected accept, move or reject, got {action!r}")
        place = NOWHERE if action == "reject" else row.point_mm
        if action == "move":
            place = self._place(request.get("point"), row)
        decision = DecisionRow(self._now(), self._reader, row.lesion, row.visit, action, place)
        with self._lock:
            append_decision(decision, self._history.folder.decisions)
            self._decided[row.lesion, row.visit] = decision
        return self._answer(row)

    def _answer(self, row: LesionRow) -> dict[str, Any]:
        history = self._history
        measured = history.measurement(row.lesion, row.visit)
        decision = self._decided.get((row.lesion, row.visit))
        source = _source(history, row)
        given = None if source is None else history.row(row.lesion, source)
        return {
            "lesion": row.lesion,
            "label": history.label(row.lesion),
            "visit": history.visits.index(row.visit),
            "state": state_words(row.state),
            "probability": None if math.isnan(row.probability) else row.probability,
            "point": _point(row.point_mm),
            "size": "" if measured is None else size_words(measured, row),
            "has_mask": row.mask != "none",
            "note": row.note,
            "source": None if source is None else history.visits.index(source),
            "source_point": None if given is None else _point(given.point_mm),
            "decision": None
            if decision is None
            else {
                "action": decision.action,
                "name": decision.name,
                "time": decision.time.isoformat(),
                "point": _point(decision.point_mm),
            },
        }

    def _row(self, request: dict[str, Any]) -> LesionRow:
        lesion, visit = request.get("lesion"), request.get("visit")
        names = self._history.visits
        found = [row for row in self._answers if row.lesion == lesion and names.index(row.visit) == visit]
        if not found:
            raise UserError(f"there is no answer on lesion {lesion!r} at visit {visit!r}")
        return found[0]

    def _place(self, value: Any, row: LesionRow) -> PointMm:
        point = point_of(value)
        if not grid_of(self._history.record.visit(row.visit)).contains(point):
            raise UserError(f"the place lies outside the scan of {row.visit}; click in it")
        return float(point[0]), float(point[1]), float(point[2])

    def _visit(self, number: int) -> int:
        if not 0 <= number < len(self._history.visits):
            raise UserError(f"there is no visit {number}")
        return number

    def _read_masks(self, number: int) -> Volume:
        visit = self._history.record.visits[number]
        masks = masks_in_use(self._history.folder, visit)
        return zeros_on(grid_of(visit)) if masks is None else masks


def answers_to_confirm(history: History) -> list[LesionRow]:
    """Return the rows that are answers and not given, least sure first; one without a probability is least sure."""
    answers = [row for row in history.lesions if row.how != "given"]
    return sorted(
        answers,
        key=lambda row: (
            -1.0 if math.isnan(row.probability) else row.probability,
            history.visits.index(row.visit),
            row.lesion,
        ),
    )


def _source(history: History, row: LesionRow) -> str | None:
    """Return the visit nearest in time at which the user gave the lesion himself."""
    at = history.visits.index(row.visit)
    given = [other.visit for other in history.lesions if other.lesion == row.lesion and other.how == "given"]
    return min(given, key=lambda visit: abs(history.visits.index(visit) - at), default=None)


def _point(point_mm: PointMm) -> list[float] | None:
    return list(point_mm) if all(map(math.isfinite, point_mm)) else None
