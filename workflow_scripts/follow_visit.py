"""Say what became of every lesion of a patient at one visit, by the visits before it.

Settings: how lesions are followed (anatomical_embedding/settings/follow.py).
"""

import datetime
import json
from pathlib import Path
from typing import Any

from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.patient import AskedPatient, follow_one, open_visits, require_order
from anatomical_embedding.follow.visits import (
    AskedVisit,
    date_of_scan,
    remarks_on_dates,
    remarks_on_patients,
    remarks_on_studies,
)
from anatomical_embedding.progress import log
from anatomical_embedding.settings.follow import FollowSettings
from anatomical_embedding.usage.model import load_model
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `follow_visit`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--visits", required=True, help="JSON list of the visits up to this one, in order")
    parser.add_argument("--patient", required=True)
    parser.add_argument("--checkpoint", type=existing_file, required=True, help="packaged model")
    parser.add_argument("--folder", type=Path, required=True, help="of the patient")
    parser.add_argument("--modality", choices=("ct", "mr"), help="what all scans are")
    options = parser.parse_args(arguments)
    settings = parse_settings(FollowSettings, options.settings)

    asked = _asked(options.patient, json.loads(options.visits), ReadingOptions(modality=options.modality))
    checksums = require_order(asked.visits)
    place = FollowFolder(options.folder)
    model = load_model(options.checkpoint)
    scans = open_visits(model, asked, place, checksums=checksums, settings=settings)
    said = follow_one(asked, asked.visits[-1], scans, place, settings=settings)
    looks = (remarks_on_patients, remarks_on_studies, remarks_on_dates)
    of_headers = [remark for look in looks for remark in look(asked.visits)]
    for remark in (*of_headers, *said, *scans.remarks):
        log(remark)


def _asked(patient: str, listed: list[dict[str, Any]], reading: ReadingOptions) -> AskedPatient:
    """Return a patient as the rule lists its visits."""
    visits = []
    for entry in listed:
        scan = Path(entry["scan"])
        told = entry["date"]
        date = datetime.date.fromisoformat(told) if told else date_of_scan(scan)
        visits.append(AskedVisit(entry["visit"], scan, date))
    lesions = {entry["visit"]: Path(entry["lesions"]) for entry in listed if entry["lesions"]}
    return AskedPatient(patient, tuple(visits), lesions, "ras", reading)


if __name__ == "__main__":
    run_stage(main)
