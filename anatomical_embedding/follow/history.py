"""The folder of one followed patient read whole: every lesion at every visit, its sizes, decisions and the response."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.masks_in_use import with_corrections
from anatomical_embedding.follow.measurements import axial_axis
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.record_json import read_record
from anatomical_embedding.follow.record_tables import read_decisions, read_lesions, read_measurements
from anatomical_embedding.follow.records import DecisionRow, FollowRecord, LesionRow, MeasurementRow, Visit
from anatomical_embedding.follow.response import (
    Target,
    VisitResponse,
    assess_response,
    choose_targets,
    read_targets,
    share_of_change,
)
from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions
from anatomical_embedding.volumes.volume import VolumeHeader

SAME_PLACE_MM = 0.01
"""By which the affine of a scan may differ from the one that was followed, which went through text."""


@dataclass(frozen=True)
class Change:
    """How the size of a lesion changed.

    Attributes
    ----------
    volume_from_baseline, long_axis_from_baseline : as a share of the first measurement; NaN at it and without one. The
        longest diameters of the parts of a lesion that split are added.
    volume_from_nadir, long_axis_from_nadir : as a share of the smallest measurement before.
    """

    volume_from_baseline: float = math.nan
    volume_from_nadir: float = math.nan
    long_axis_from_baseline: float = math.nan
    long_axis_from_nadir: float = math.nan


@dataclass(frozen=True)
class History:
    """What is known of one patient.

    Attributes
    ----------
    folder : where it lies.
    record : visits in the order of time, and the model.
    lesions : one row a lesion and visit.
    measurements : one row a lesion and visit with a mask.
    decisions : of the reader, oldest first.
    targets : lesions whose diameters are added up.
    targets_were_chosen : by the user, in `targets.csv`.
    responses : one a visit; empty without targets.
    remarks : on what does not fit what was followed, a sentence each.
    """

    folder: FollowFolder
    record: FollowRecord
    lesions: tuple[LesionRow, ...]
    measurements: tuple[MeasurementRow, ...]
    decisions: tuple[DecisionRow, ...]
    targets: tuple[Target, ...]
    targets_were_chosen: bool
    responses: tuple[VisitResponse, ...]
    remarks: tuple[str, ...] = ()

    @property
    def patient(self) -> str:
        """What the patient is called: as told, else as the folder."""
        return _name_of(self.record, self.folder)

    @property
    def visits(self) -> list[str]:
        """Names of the visits in the order of time."""
        return [visit.name for visit in self.record.visits]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the lesions."""
        return sorted({row.lesion for row in self.lesions})

    def label(self, lesion: int) -> str:
        """Return what the user calls a lesion; empty where he does not."""
        return next((row.label for row in self.lesions if row.lesion == lesion and row.label), "")

    def row(self, lesion: int, visit: str) -> LesionRow | None:
        """Return what became of a lesion at a visit; None before it was there."""
        return next((row for row in self.lesions if (row.lesion, row.visit) == (lesion, visit)), None)

    def measurement(self, lesion: int, visit: str) -> MeasurementRow | None:
        """Return the size of a lesion at a visit; None without a mask."""
        rows = (row for row in self.measurements if (row.lesion, row.visit) == (lesion, visit))
        return next(rows, None)

    def decision(self, lesion: int, visit: str) -> DecisionRow | None:
        """Return what the reader decided last; None where he has not."""
        rows = [row for row in self.decisions if (row.lesion, row.visit) == (lesion, visit)]
        return rows[-1] if rows else None

    def axes_mm(self, lesion: int, visit: str) -> tuple[float, float]:
        """Return the longest diameter and the short axis that count (`MeasurementRow.axes_mm`); NaN without a mask."""
        row, measured = self.row(lesion, visit), self.measurement(lesion, visit)
        if measured is None:
            return math.nan, math.nan
        return (measured.long_axis_mm, measured.short_axis_mm) if row is None else measured.axes_mm(row.state)

    def change(self, lesion: int, visit: str) -> Change:
        """Return the change of the size of a lesion up to a visit."""
        measured = [self.measurement(lesion, name) for name in self.visits[: self.visits.index(visit) + 1]]
        before, now = [row for row in measured[:-1] if row is not None], measured[-1]
        if now is None or not before:
            return Change()
        *axes_mm, axis_mm = [self.axes_mm(lesion, row.visit)[0] for row in (*before, now)]
        return Change(
            volume_from_baseline=share_of_change(now.volume_ml, before[0].volume_ml),
            volume_from_nadir=share_of_change(now.volume_ml, min(row.volume_ml for row in before)),
            long_axis_from_baseline=share_of_change(axis_mm, axes_mm[0]),
            long_axis_from_nadir=share_of_change(axis_mm, min(axes_mm)),
        )


def read_history(folder: Path | str, *, measurements_path: Path | None = None) -> History:
    """Return what is known of the patient in a folder that `follow` wrote.

    Parameters
    ----------
    measurements_path : table of the measurements, where it is not in its place yet; None for the one in the folder.

    Raises
    ------
    UserError
        naming the file at fault, or a target without a size at the baseline.
    """
    place = FollowFolder(Path(folder))
    record = read_record(place.record)
    measured = measurements_path or place.measurements
    measurements = read_measurements(measured) if measured.exists() else []
    lesions = with_corrections(read_lesions(place.lesions), measurements, place)
    decisions = read_decisions(place.decisions)
    visits = [visit.name for visit in record.visits]
    named = [row.visit for row in lesions] + [row.visit for row in measurements]
    unknown = next((visit for visit in named if visit not in visits), None)
    if unknown is not None:
        raise InputFileError(
            place.lesions, f"names the visit {unknown!r}, which follow.json does not; run `follow` again"
        )
    chosen = place.targets
    slice_mm = _slice_mm(record.visits[0])
    if chosen.exists():
        targets = read_targets(chosen)
    else:
        targets = choose_targets([row for row in measurements if row.visit == visits[0]], slice_mm=slice_mm)
    responses = assess_response(
        targets,
        slice_mm=slice_mm,
        visits=visits,
        lesions=lesions,
        measurements=measurements,
        decisions=decisions,
        targets_path=chosen,
    )
    return History(
        folder=place,
        record=record,
        lesions=tuple(lesions),
        measurements=tuple(measurements),
        decisions=tuple(decisions),
        targets=tuple(targets),
        targets_were_chosen=chosen.exists(),
        responses=tuple(responses),
    )


def read_patient_name(folder: Path | str) -> str:
    """Return what the patient in a folder that `follow` wrote is called: as told, else as the folder.

    Raises
    ------
    UserError
        if it is no such folder.
    """
    place = FollowFolder(Path(folder))
    return _name_of(read_record(place.record), place)


def read_scan_of(visit: Visit, recent: RecentScans) -> RawScan:
    """Return the scan of a visit, which must be the one that was followed; those read last are taken from memory.

    Raises
    ------
    InputFileError
        if it cannot be read, or is another one than when it was followed.
    """
    if not visit.scan.exists():
        whence = (
            ""
            if visit.scan.is_absolute()
            else ", seen from the folder where `follow` ran; run this there too"
        )
        raise InputFileError(visit.scan, f"is not there; {visit.name} was followed by this path{whence}")
    scan = recent.read(visit.scan, options_of(visit))
    moved_mm = np.abs(scan.volume.affine - np.array(visit.affine)).max()
    is_moved = scan.volume.shape != visit.shape or moved_mm > SAME_PLACE_MM
    if is_moved or recent.checksum(scan) != visit.sha256:
        raise InputFileError(
            visit.scan, f"is not the scan any more that was followed as {visit.name}; run `follow` again"
        )
    return scan


def options_of(visit: Visit) -> ReadingOptions:
    """Return what the user said of the scan of a visit; its kind is that of the time when it was followed."""
    return ReadingOptions(**{**visit.reading, "modality": visit.modality})


def grid_of(visit: Visit) -> VolumeHeader:
    """Return the voxels of the scan of a visit."""
    return VolumeHeader(visit.shape, np.array(visit.affine))


def _name_of(record: FollowRecord, place: FollowFolder) -> str:
    return record.patient or place.folder.resolve().name


def _slice_mm(visit: Visit) -> float:
    """Return the distance between the axial planes of a visit's scan."""
    grid = grid_of(visit)
    return float(grid.spacing_mm[axial_axis(grid)])
