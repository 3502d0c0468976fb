"""What the page asks for: answers between the scans that were given, and the list of pinned points."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from anatomical_embedding.answers_file import known_number
from anatomical_embedding.api import EmbeddedScan, Model, map_similarity, match_points
from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import write_json
from anatomical_embedding.model_card import card_lines
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
from anatomical_embedding.volumes.nifti import nifti_bytes
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.volume import Volume

NUM_ALTERNATIVES = 3
ALTERNATIVE_DISTANCE_CELLS = 3
"""Peaks of the similarity nearer to each other than this are one place."""
NUM_COORDINATES = 3
PINNED_NUMBERS = ("similarity", "confidence", "radius_50_mm", "radius_90_mm")
"""What is kept of an answer beside its place and decision; None where it is not known, as in older files."""


@dataclass(frozen=True)
class ShownScan:
    """A scan on the page.

    Attributes
    ----------
    raw : the scan; its modality decides the window presets.
    embedded : the same scan, ready to be searched.
    """

    raw: RawScan
    embedded: EmbeddedScan

    @property
    def is_shown_as_stored(self) -> bool:
        """Whether the page gets the file itself: a NIfTI file of which nothing had to be corrected or chosen."""
        return self.raw.path.name.lower().endswith(NIFTI_SUFFIXES) and not self.embedded.remarks

    @property
    def file_name(self) -> str:
        """What the page is told that it gets."""
        return (
            "scan.nii.gz"
            if self.is_shown_as_stored and self.raw.path.name.lower().endswith(".gz")
            else "scan.nii"
        )

    def content(self) -> bytes:
        """Return the scan as a NIfTI file, in the place and with the values that answers belong to.

        Raises
        ------
        InputFileError
            if it cannot be read any more.
        """
        if not self.is_shown_as_stored:
            return nifti_bytes(self.raw.volume, compress=False)
        try:
            return self.raw.path.read_bytes()
        except OSError as error:
            raise InputFileError(self.raw.path, f"can no longer be read ({error.strerror})") from error


class Session:
    """The state behind one page.

    Parameters
    ----------
    model : the scans were embedded by it.
    scans : in the order of the page.
    pins_path : file in which pinned points are kept; None to forget them with the server.

    Raises
    ------
    InputFileError
        if the file of pinned points exists and cannot be used.
    """

    def __init__(self, model: Model, scans: Sequence[ShownScan], *, pins_path: Path | None):
        self.scans = tuple(scans)
        self._model = model
        self._pins_path = pins_path
        self._lock = threading.Lock()
        self._pins: list[dict[str, Any]] = read_pins(pins_path, num_scans=len(scans))

    def overview(self) -> dict[str, Any]:
        """Return what the page shows of scans and model."""
        return {
            "model": card_lines(self._model.card, self._model.network),
            "scans": [
                {
                    "name": scan.embedded.name,
                    "modality": scan.raw.modality,
                    "url": f"scans/{number}",
                    "file_name": scan.file_name,
                    "centre_mm": scan.embedded.embedded.centre_mm.tolist(),
                    "step_mm": list(self._model.card.usage.volumes.spacing_mm),
                }
                for number, scan in enumerate(self.scans)
            ],
        }

    def match(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answers of all other scans to the point of one."""
        source = self._scan(request.get("from"))
        point_mm = point_of(request.get("point"))
        with self._lock:
            return {
                "answers": [
                    self._answer(source, target, point_mm) | {"scan": number}
                    for number, target in enumerate(self.scans)
                    if target is not source
                ]
            }

    def alternatives(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the most similar places of a scan other than the best."""
        similarity = self.similarity(request)
        peaks, values = highest_peaks(similarity.array, distance_cells=ALTERNATIVE_DISTANCE_CELLS)
        points_mm = transform_points(similarity.affine, peaks)
        others = list(zip(points_mm.tolist(), values.tolist(), strict=True))[1 : NUM_ALTERNATIVES + 1]
        return {"alternatives": [{"point": point, "similarity": value} for point, value in others]}

    def similarity(self, request: dict[str, Any]) -> Volume:
        """Return the similarity of a scan to the point of another."""
        source, target = self._scan(request.get("from")), self._scan(request.get("to"))
        with self._lock:
            return map_similarity(
                self._model, source.embedded, target.embedded, point_of(request.get("point"))
            )

    @property
    def pins(self) -> list[dict[str, Any]]:
        """The pinned points."""
        return list(self._pins)

    def set_pins(self, pins: Any) -> None:
        """Replace the pinned points, and keep them in the file."""
        checked = _checked_pins(pins, num_scans=len(self.scans))
        with self._lock:
            if self._pins_path is not None:
                write_json(self._pins_path, {"pins": checked})
            self._pins = checked

    def _scan(self, number: Any) -> ShownScan:
        if not isinstance(number, int) or not 0 <= number < len(self.scans):
            raise UserError(f"expected the number of a scan from 0 to {len(self.scans) - 1}, got {number!r}")
        return self.scans[number]

    def _answer(self, source: ShownScan, target: ShownScan, point_mm: NDArray) -> dict[str, Any]:
        answers = match_points(self._model, source.embedded, target.embedded, point_mm)
        has_place = bool(np.isfinite(answers.points_mm[0]).all())
        return {
            "point": answers.points_mm[0].tolist() if has_place else None,
            "similarity": known_number(answers.similarity[0]),
            "cycle_error_mm": known_number(answers.cycle_error_mm[0]),
            "confidence": known_number(answers.confidence[0]),
            "radius_50_mm": known_number(answers.radius_50_mm[0]),
            "radius_90_mm": known_number(answers.radius_90_mm[0]),
            "decision": answers.decision[0],
            "reason": answers.reason[0],
            "refined": answers.refined[0],
            "refinement_shift_mm": known_number(answers.refinement_shift_mm[0]),
        }


def highest_peaks(similarity: NDArray, *, distance_cells: int) -> tuple[NDArray, NDArray]:
    """Return (N, 3) cells of the local maxima, highest first, and their (N,) values."""
    is_peak = similarity == maximum_filter(similarity, size=2 * distance_cells + 1)
    cells = np.argwhere(is_peak)
    values = similarity[is_peak]
    order = np.argsort(-values, kind="stable")
    return cells[order], values[order]


def point_of(value: Any) -> NDArray[np.float64]:
    """Return a point of a request; three finite numbers in mm, or a `UserError`."""
    try:
        point = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        point = np.empty(0)
    if point.shape != (NUM_COORDINATES,) or not np.isfinite(point).all():
        raise UserError(f"expected a point of three numbers in mm, got {value!r}")
    return point


def _checked_pins(pins: Any, *, num_scans: int) -> list[dict[str, Any]]:
    """Return pins with just the keys they should have."""
    try:
        return [
            {
                "number": int(pin["number"]),
                "name": str(pin["name"]),
                "from": int(pin["from"]),
                "points": [_checked_entry(pin["points"][scan]) for scan in range(num_scans)],
            }
            for pin in pins
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"expected pinned points with one entry for each of {num_scans} scans ({error!r})"
        ) from error


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _checked_entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "point": None if entry["point"] is None else point_of(entry["point"]).tolist(),
        "decision": str(entry["decision"]),
        **{name: _number_or_none(entry.get(name)) for name in PINNED_NUMBERS},
        "corrected": bool(entry["corrected"]),
    }


def read_pins(path: Path | None, *, num_scans: int) -> list[dict[str, Any]]:
    """Return the pinned points of a file; none where there is no file yet.

    Raises
    ------
    InputFileError
        if it holds other things, or points of another number of scans.
    """
    if path is None or not path.exists():
        return []
    try:
        return _checked_pins(json.loads(path.read_text(encoding="utf-8"))["pins"], num_scans=num_scans)
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise InputFileError(path, f"is not a list of pinned points of these scans ({error})") from error
