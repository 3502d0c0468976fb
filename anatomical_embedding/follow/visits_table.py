"""The table of visits of many patients: patient, visit, date, scan, lesions; a row a visit."""

import datetime
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from anatomical_embedding.csv_table import IDENTIFIER, Column, read_table
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.follow.record_tables import DATE


@dataclass(frozen=True)
class ListedVisit:
    """One row.

    Attributes
    ----------
    patient, visit : identifiers; a visit is named once a patient.
    date : None where it is not told.
    scan : file, or folder of one DICOM series.
    lesions : file or folder of the lesions that are given at this visit; None without any.
    """

    patient: str
    visit: str
    date: datetime.date | None
    scan: Path
    lesions: Path | None


def read_visits_table(path: Path | str) -> dict[str, tuple[ListedVisit, ...]]:
    """Return the visits of each patient, in the order of the rows, which is that of time.

    Paths are relative to the table.

    Raises
    ------
    InputFileError
        naming the line at fault: a visit twice, a scan or a file of lesions that is not there or stands twice, a date
        before that of the visit before; or the patient that has one visit only, or no lesions.
    """
    path = Path(path)
    place = Column(
        lambda cell: _existing(path.parent / cell) if cell else _refuse(), "a file or folder that is there"
    )
    columns = {
        "patient": IDENTIFIER, "visit": IDENTIFIER, "date": DATE, "scan": place,
        "lesions": Column(lambda cell: _existing(path.parent / cell), "a file or folder that is there").or_empty(),
    }  # fmt: skip
    rows = read_table(path, columns, unique=("patient", "visit"))
    lines = {(cells["patient"], cells["visit"]): line for line, cells in rows}
    owners: dict[Path, int] = {}
    patients: dict[str, list[ListedVisit]] = {}
    for line, cells in rows:
        visit = ListedVisit(**cells)
        first = owners.setdefault(visit.scan.resolve(), line)
        if first != line:
            raise InputFileError(
                path, f"line {line}: its scan is that of line {first}; give each visit its own"
            )
        patients.setdefault(visit.patient, []).append(visit)
    for patient, visits in patients.items():
        dated = [visit for visit in visits if visit.date is not None]
        for before, after in pairwise(dated):
            if after.date is not None and before.date is not None and after.date < before.date:
                line = lines[patient, after.visit]
                raise InputFileError(
                    path,
                    f"line {line}: is of {after.date}, before visit {before.visit} of {before.date} above it",
                )
        if len(visits) == 1:
            raise InputFileError(path, f"patient {patient!r} has one visit, expected two or more")
        if not any(visit.lesions for visit in visits):
            raise InputFileError(
                path, f"patient {patient!r} has no lesions; name their file at one visit or more"
            )
    return {patient: tuple(visits) for patient, visits in patients.items()}


def _existing(path: Path) -> Path:
    return path if path.exists() else _refuse()


def _refuse() -> Path:
    raise ValueError
