"""The verb `follow`."""

import datetime
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    ExistingPath,
    OutputPath,
    checkpoint_option,
    coordinates_option,
    json_option,
    load_libraries,
    print_json,
    reading_options,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.points.named_points import Coordinates

FEWEST_VISITS = 2


@click.command(short_help="Follow lesions over the visits of a patient.")
@click.argument("scans", type=ExistingPath, nargs=-1, required=True, metavar="VISIT0 VISIT1 [VISIT2 ...]")
@click.option(
    "--lesions",
    "lesion_files",
    multiple=True,
    required=True,
    metavar="[NUMBER=]FILE",
    help="Lesions of a visit: a label map, a folder of masks, DICOM SEG or RTSTRUCT, or points; repeatable. NUMBER is "
    "the visit, counted from 0, or its name; without it the file belongs to the first visit.",
)
@checkpoint_option
@click.option(
    "--output", type=OutputPath, required=True, help="Folder of the patient, for tables, masks and report."
)
@click.option("--patient", default="", help="Name of the patient in tables and report.")
@click.option(
    "--date",
    "dates",
    multiple=True,
    help="Date of a visit, such as 2026-03-31; give one for each visit. Default: from the DICOM headers.",
)
@click.option(
    "--calibration",
    type=ExistingFile,
    help="File that `follow-report --calibration` wrote: corrects probabilities by the decisions on other patients.",
)
@coordinates_option
@reading_options
@json_option
def follow(
    scans: tuple[Path, ...],
    lesion_files: tuple[str, ...],
    checkpoint: Path,
    output: Path,
    patient: str,
    dates: tuple[str, ...],
    calibration: Path | None,
    coordinates: "Coordinates",
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Follow lesions over the visits of a patient. Give the scans in the order of time.

    At every other visit each lesion gets a place, a state (present, review, out_of_view, gone, merged, split, new) with
    its probability, and, if it was given as a mask, a mask. report.html in the folder of --output shows them. Run the
    command again with one more scan, and only the new visit is computed.

    Confirm the answers with `view --follow FOLDER`; measure corrected masks with `follow-report FOLDER`.

    Example: anatomical-embedding follow jan.nii.gz mar.nii.gz --lesions jan_lesions.nii.gz --checkpoint
    model.safetensors --output patient7
    """
    load_libraries()
    from anatomical_embedding.api import load_model
    from anatomical_embedding.files import held_folder, require_writable_folder
    from anatomical_embedding.follow.calibration import read_calibration
    from anatomical_embedding.follow.dicom_out import remarks_on_old_objects
    from anatomical_embedding.follow.follow_folder import FollowFolder
    from anatomical_embedding.follow.patient import AskedPatient, follow_patient, scans_in_memory
    from anatomical_embedding.follow.recent_scans import RecentScans
    from anatomical_embedding.follow.record_json import json_value
    from anatomical_embedding.follow.report_files import write_patient_report
    from anatomical_embedding.follow.response import read_targets
    from anatomical_embedding.follow.visits import name_visits
    from anatomical_embedding.settings.follow import delivered_follow_settings
    from anatomical_embedding.volumes.raw_scan import ReadingOptions

    if len(scans) < FEWEST_VISITS:
        raise click.UsageError("expected the scans of two visits or more")
    require_writable_folder(output)
    if FollowFolder(output).targets.exists():
        read_targets(FollowFolder(output).targets)  # a fault in it is told before the work
    visits = tuple(name_visits(scans, _dates(dates, count=len(scans)), series=reading["series"]))
    lesions = _lesions(lesion_files, names=[visit.name for visit in visits])
    settings = delivered_follow_settings()
    if calibration is not None:
        settings = settings.model_copy(update={"calibration": read_calibration(calibration)})
    model = load_model(checkpoint)
    asked = AskedPatient(patient, visits, lesions, coordinates, ReadingOptions(**reading))
    recent = RecentScans(scans_in_memory(settings))
    with held_folder(output):
        rows, remarks = follow_patient(model, asked, output, settings=settings, recent=recent)
        history = write_patient_report(output, recent)
    remarks += [*history.remarks, *remarks_on_old_objects(history.folder, history.visits)]
    said = say_remarks(remarks)
    if as_json:
        print_json(
            {"output": str(output), "lesions": [json_value(asdict(row)) for row in rows], "remarks": said}
        )
        return
    for row in rows:
        likely = "" if math.isnan(row.probability) else f" {row.probability:.2f}"
        note = f" ({row.note})" if row.note else ""
        click.echo(f"lesion {row.lesion} at {row.visit}: {row.state}{likely}{note}")


def _dates(texts: tuple[str, ...], *, count: int) -> list[datetime.date | None]:
    """Return the dates that were given; None for each visit where none was."""
    if not texts:
        return [None] * count
    if len(texts) != count:
        raise click.UsageError(f"--date: expected one for each of the {count} visits, got {len(texts)}")
    try:
        return [datetime.date.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise click.UsageError(f"--date: expected dates such as 2026-03-31 ({error})") from None


def _lesions(texts: tuple[str, ...], *, names: list[str]) -> dict[str, Path]:
    """Return the files of lesions by visit."""
    found: dict[str, Path] = {}
    for text in texts:
        number, _, file = text.rpartition("=")
        is_file = not number or Path(text).exists()
        place, path = (0, Path(text)) if is_file else (_place(number, names), Path(file))
        if not path.exists():
            raise click.UsageError(f"--lesions: {path} is not there")
        if names[place] in found:
            raise click.UsageError(f"--lesions: visit {place} has two files; give one")
        found[names[place]] = path
    return found


def _place(number: str, names: list[str]) -> int:
    if number in names:
        return names.index(number)
    if not number.isdecimal() or int(number) >= len(names):
        raise click.UsageError(
            f"--lesions: expected a visit ({', '.join(names)}) or its number (0 to {len(names) - 1}) before '=', got "
            f"{number!r}"
        )
    return int(number)
