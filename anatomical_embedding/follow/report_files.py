"""The report of followed lesions as files: a page, tables, JSON and markups of one patient, and a table of all.

In the folder of a patient:

report.html         the page, which opens offline
report.json         everything in it as numbers
changes.csv         one row a lesion and visit: sizes, and their change from baseline and nadir
markups/VISIT.mrk.json   centres, longest diameters and short axes for 3D Slicer
"""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from anatomical_embedding.csv_table import write_csv_table
from anatomical_embedding.errors import UserError
from anatomical_embedding.files import write_json, written_atomically
from anatomical_embedding.follow.corrections import remarks_on_corrections
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.history import History, read_history
from anatomical_embedding.follow.measure_folder import measured_rows
from anatomical_embedding.follow.patient_page import render_patient_page
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.record_json import json_value
from anatomical_embedding.follow.record_tables import (
    cell_of,
    numbers_in_cell,
    read_lesions,
    write_lesions,
    write_measurements,
)
from anatomical_embedding.follow.response import APPLIED, NOT_APPLIED, RULE
from anatomical_embedding.follow.words import change_words, date_cell, sum_words
from anatomical_embedding.identifiers import first_clash
from anatomical_embedding.points.slicer_markups import markup_of, write_markup_file
from anatomical_embedding.progress import track
from anatomical_embedding.report.document import render_document
from anatomical_embedding.report.markup import element
from anatomical_embedding.report.tables import Cell, number_cell, render_table

PAGE, NUMBERS, CHANGES, MARKUPS = "report.html", "report.json", "changes.csv", "markups"
CHANGE_COLUMNS = (
    "lesion", "label", "target", "visit", "date", "state", "probability", "decision",
    "volume_ml", "long_axis_mm", "short_axis_mm", "mean", "sd",
    "volume_from_baseline", "volume_from_nadir", "long_axis_from_baseline", "long_axis_from_nadir", "mask",
    "part_long_axes_mm", "part_short_axes_mm",
)  # fmt: skip
PATIENT_COLUMNS = (
    "patient", "visits", "first_date", "last_date", "lesions", "present", "gone", "new", "review", "out_of_view",
    "targets", "baseline_sum_mm", "last_sum_mm", "from_baseline", "from_nadir", "response", "reason",
)  # fmt: skip


def write_patient_report(folder: Path | str, recent: RecentScans | None = None) -> History:
    """Measure the lesions of a patient, write all files of the report and return what they say.

    Parameters
    ----------
    folder : that `follow` wrote.
    recent : scans that are in memory already; None holds one visit at a time.

    Raises
    ------
    UserError
        naming the file at fault; nothing is written then.
    """
    recent = recent or RecentScans(num_kept=1)
    history = measured_history(folder, recent)
    place = history.folder
    page = render_patient_page(history, recent)
    written = [row.mask for row in read_lesions(place.lesions)]
    if written != [row.mask for row in history.lesions]:  # one was corrected since, or is no longer
        write_lesions(history.lesions, place.lesions)
    write_measurements(history.measurements, place.measurements)
    write_text(page, place.folder / PAGE)
    write_json(place.folder / NUMBERS, as_json(history))
    write_csv_table(CHANGE_COLUMNS, change_rows(history), place.folder / CHANGES)
    write_lesion_markups(history)
    return history


def measured_history(folder: Path | str, recent: RecentScans | None = None) -> History:
    """Measure the lesions of a patient and return what the report says of them; nothing is written.

    Raises
    ------
    UserError
        naming the file at fault.
    """
    rows = measured_rows(FollowFolder(Path(folder)), recent)
    with TemporaryDirectory() as scratch:  # what is read again has as many digits as the table
        table = Path(scratch) / "measurements.csv"
        write_measurements(rows, table)
        history = read_history(folder, measurements_path=table)
    return replace(history, remarks=remarks_on_corrections(history))


def write_patients_table(histories: Sequence[History], folder: Path) -> None:
    """Write `patients.html`, `patients.csv` and `patients.json`, a row a patient.

    Raises
    ------
    UserError
        if two patients have one name.
    """
    require_different_patients([history.patient for history in histories])
    rows = [patient_row(history) for history in histories]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv_table(
        PATIENT_COLUMNS,
        [[cell_of(row[name]) for name in PATIENT_COLUMNS] for row in rows],
        folder / "patients.csv",
    )
    write_json(folder / "patients.json", {"rule": RULE, "patients": json_value(rows)})
    write_text(_patients_page(histories, rows, folder), folder / "patients.html")


def require_different_patients(patients: Sequence[str]) -> None:
    """Refuse two patients of one name in one table.

    Raises
    ------
    UserError
        naming them.
    """
    clash = first_clash(patients)
    if clash is not None:
        raise UserError(f"two patients are called {clash[1]}; name them apart in follow.json")


def require_once(folders: Sequence[Path]) -> None:
    """Refuse a folder that is given twice, under whatever name, with a `UserError`."""
    ((folder, count),) = Counter(map(Path.resolve, folders)).most_common(1)
    if count > 1:
        raise UserError(f"the folder {folder} is given {count} times; give it once")


def require_reportable(folders: Sequence[Path]) -> None:
    """Refuse folders of which one cannot be reported on, before the report on another is written.

    Raises
    ------
    UserError
        naming the file at fault.
    """
    if len(folders) > 1:  # a single one is refused as it is measured
        for folder in track(folders, description="checks", total=len(folders)):
            measured_history(folder)


def write_text(text: str, path: Path) -> None:
    """Write a text atomically."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(history: History) -> dict[str, Any]:
    """Return all that is known of a patient as JSON holds it: no NaN, dates as text."""
    return json_value(
        {
            "patient": history.patient,
            "visits": [
                {"name": visit.name, "date": visit.date, "scan": str(visit.scan)}
                for visit in history.record.visits
            ],
            "checkpoint_sha256": history.record.checkpoint_sha256,
            "rule": RULE,
            "applied": APPLIED,
            "not_applied": NOT_APPLIED,
            "targets": [asdict(target) for target in history.targets],
            "targets_were_chosen": history.targets_were_chosen,
            "responses": [asdict(response) for response in history.responses],
            "lesions": [
                asdict(row)
                | {
                    "measurement": None if measured is None else asdict(measured),
                    "change": asdict(history.change(row.lesion, row.visit)),
                }
                for row in history.lesions
                for measured in [history.measurement(row.lesion, row.visit)]
            ],
            "decisions": [asdict(decision) for decision in history.decisions],
            "remarks": list(history.remarks),
        }
    )


def change_rows(history: History) -> list[list[Any]]:
    """Return the rows of `changes.csv`."""
    targets = {target.lesion for target in history.targets}
    rows = []
    for row in history.lesions:
        measured, decision = (
            history.measurement(row.lesion, row.visit),
            history.decision(row.lesion, row.visit),
        )
        change = history.change(row.lesion, row.visit)
        sizes: list[Any] = [None] * 5
        if measured is not None:
            sizes = [
                measured.volume_ml,
                measured.long_axis_mm,
                measured.short_axis_mm,
                measured.mean,
                measured.sd,
            ]
        cells = [
            *(
                row.lesion,
                history.label(row.lesion),
                "yes" if row.lesion in targets else "no",
                row.visit,
                row.date,
            ),
            *(row.state, row.probability, None if decision is None else decision.action),
            *sizes,
            *(change.volume_from_baseline, change.volume_from_nadir),
            *(change.long_axis_from_baseline, change.long_axis_from_nadir),
            row.mask,
        ]
        parts = [()] * 2 if measured is None else [measured.part_long_axes_mm, measured.part_short_axes_mm]
        rows.append([*map(cell_of, cells), *map(numbers_in_cell, parts)])
    return rows


def patient_row(history: History) -> dict[str, Any]:
    """Return the row of a patient in the table of all, with the keys of `PATIENT_COLUMNS`."""
    visits = history.record.visits
    last = visits[-1].name
    states = Counter(row.state for row in history.lesions if row.visit == last)
    ever_new = len({row.lesion for row in history.lesions if row.state == "new"})
    response = history.responses[-1] if history.responses else None
    return {
        "patient": history.patient,
        "visits": len(visits),
        "first_date": visits[0].date,
        "last_date": visits[-1].date,
        "lesions": len(history.numbers),
        "present": sum(states[state] for state in ("given", "present", "merged", "split", "new")),
        "gone": states["gone"],
        "new": ever_new,
        "review": states["review"],
        "out_of_view": states["out_of_view"],
        "targets": len(history.targets),
        "baseline_sum_mm": history.responses[0].sum_mm if history.responses else math.nan,
        "last_sum_mm": response.sum_mm if response else math.nan,
        "from_baseline": response.from_baseline if response else math.nan,
        "from_nadir": response.from_nadir if response else math.nan,
        "response": response.category if response else "",
        "reason": response.reason if response else "no lesion can be a target",
    }


def write_lesion_markups(history: History) -> None:
    """Write a file for 3D Slicer a visit: a list of all centres, and lines along both axes of each lesion."""
    for visit in history.visits:
        path = history.folder.folder / MARKUPS / f"{visit}.mrk.json"
        placed = [
            row for row in history.lesions if row.visit == visit and all(map(math.isfinite, row.point_mm))
        ]
        names = [f"{row.lesion} {history.label(row.lesion)}".strip() for row in placed]
        markups = [markup_of([row.point_mm for row in placed], names, path=path, name=f"lesions {visit}")]
        for row in history.measurements:
            if row.visit == visit:
                lines = {
                    "long": (row.long_start_mm, row.long_end_mm),
                    "short": (row.short_start_mm, row.short_end_mm),
                }
                markups += [
                    markup_of(
                        ends, ["", ""], path=path, kind="Line", name=f"lesion {row.lesion} {axis} {visit}"
                    )
                    for axis, ends in lines.items()
                ]
        write_markup_file(markups, path)


def _patients_page(histories: Sequence[History], rows: Sequence[dict[str, Any]], folder: Path) -> str:
    headers = (
        "Patient", "Visits", "Last visit", "Lesions", "Present", "Gone", "New", "To review", "Out of view",
        "Sum of targets", "From baseline", "From smallest", "Response", "Why",
    )  # fmt: skip
    body = []
    for history, row in zip(histories, rows, strict=True):
        page = (history.folder.folder / PAGE).resolve()
        counts = [
            number_cell(row[name], row[name])
            for name in ("lesions", "present", "gone", "new", "review", "out_of_view")
        ]
        total = sum_words(history.responses[-1]) if history.responses else "–"
        body.append(
            [
                Cell(element("a", row["patient"], href=_address(page, folder.resolve()))),
                number_cell(row["visits"], row["visits"]),
                Cell(date_cell(row["last_date"])),
                *counts,
                number_cell(row["last_sum_mm"], total),
                number_cell(row["from_baseline"], change_words(row["from_baseline"])),
                number_cell(row["from_nadir"], change_words(row["from_nadir"])),
                Cell(element("strong", row["response"])),
                Cell(row["reason"]),
            ]
        )
    caption = f"State and response at the last visit. Rule: {RULE}."
    return render_document("Followed patients", render_table(headers, body, caption=caption))


def _address(page: Path, folder: Path) -> str:
    """Return a page as it is linked from a folder: by a relative path, so that both can move together."""
    return quote(Path(os.path.relpath(page, folder)).as_posix())
