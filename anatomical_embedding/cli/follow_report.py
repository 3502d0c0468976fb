"""The verb `follow-report`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from anatomical_embedding.cli.options import OutputPath, json_option, print_json, require_outputs, say_remarks

if TYPE_CHECKING:
    from anatomical_embedding.follow.history import History

ExistingFolder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("follow-report", short_help="Measure followed lesions and write the report.")
@click.argument("folders", type=ExistingFolder, nargs=-1, required=True)
@click.option(
    "--output",
    type=OutputPath,
    help="Also write patients.html, patients.csv and patients.json, one row per patient, into this folder.",
)
@click.option(
    "--dicom",
    "as_dicom",
    is_flag=True,
    help="Also write a DICOM SEG and SR of each visit whose scan is a DICOM series; needs the extra dicom-out.",
)
@click.option(
    "--calibration",
    type=OutputPath,
    help="Also write a correction of probabilities, fitted to the decisions on these patients, for `follow "
    "--calibration`.",
)
@json_option
def follow_report(
    folders: tuple[Path, ...], output: Path | None, as_dicom: bool, calibration: Path | None, as_json: bool
) -> None:
    """Measure followed lesions and write the report into each FOLDER that `follow` wrote.

    Masks in FOLDER/corrected are measured in place of those that `follow` found. FOLDER/targets.csv (columns
    lesion,organ,kind) names the target lesions. Decisions made in `view --follow` count.
    """
    from anatomical_embedding.files import require_writable_folder, write_json
    from anatomical_embedding.follow.calibration import fit_calibration
    from anatomical_embedding.follow.dicom_out import require_dicom_writer
    from anatomical_embedding.follow.history import read_patient_name
    from anatomical_embedding.follow.report_files import (
        PAGE,
        patient_row,
        require_different_patients,
        require_once,
        require_reportable,
        write_patients_table,
    )
    from anatomical_embedding.follow.words import sum_words

    if as_dicom:
        require_dicom_writer()
    require_once(folders)
    if output is not None:
        require_writable_folder(output)
        require_different_patients([read_patient_name(folder) for folder in folders])
    require_outputs(calibration)
    require_reportable(folders)
    fitted = None if calibration is None else fit_calibration(folders)
    histories, said = _write_reports(folders, as_dicom=as_dicom)
    say_remarks(said)
    if output is not None:
        write_patients_table(histories, output)
    if calibration is not None and fitted is not None:
        write_json(calibration, fitted.model_dump(mode="json"))
    if as_json:
        rows = [patient_row(history) for history in histories]
        print_json(
            [
                {
                    **{name: row[name] for name in ("patient", "response", "reason")},
                    "remarks": list(history.remarks),
                }
                for row, history in zip(rows, histories, strict=True)
            ]
        )
        return
    for history in histories:
        click.echo(f"{history.folder.folder / PAGE}")
        for response in history.responses:
            click.echo(f"  {response.visit}: {sum_words(response)}, {response.category} ({response.reason})")


def _write_reports(folders: tuple[Path, ...], *, as_dicom: bool) -> "tuple[list[History], list[str]]":
    """Write the report into each folder, and return what it shows and what is to be said of all."""
    from anatomical_embedding.files import held_folder
    from anatomical_embedding.follow.dicom_out import remarks_on_old_objects, write_dicom_objects
    from anatomical_embedding.follow.report_files import write_patient_report
    from anatomical_embedding.progress import track

    histories: list[History] = []
    said: list[str] = []
    for folder in track(folders, description="reports", total=len(folders)):
        with held_folder(folder):
            history = write_patient_report(folder)
            said += history.remarks
            if as_dicom:
                said += write_dicom_objects(history)[1]
        said += remarks_on_old_objects(history.folder, history.visits)
        histories.append(history)
    return histories, said
