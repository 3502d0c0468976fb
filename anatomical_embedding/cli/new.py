"""The verb `new`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anatomical_embedding.cli.options import OutputPath, require_outputs

if TYPE_CHECKING:
    from anatomical_embedding.settings.volumes import Modality


@click.command(short_help="Write a run file for a folder of scans.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=OutputPath, help="Run file to write; default: the folder's name with .yaml.")
@click.option(
    "--series",
    "chosen",
    multiple=True,
    metavar="[FOLDER=]SERIES",
    help="DICOM series to take, by number or UID, where folders hold several: for one folder, or for all; repeatable.",
)
@click.option(
    "--modality",
    type=click.Choice(["ct", "mr"]),
    help="Kind of all scans; default: judged from a few of them.",
)
def new(folder: Path, output: Path | None, chosen: tuple[str, ...], modality: "Modality | None") -> None:
    """Look at a FOLDER of scans and write a run file that trains on them.

    \b
    Recognised are:
    * scans of one modality: NIfTI, NRRD or MetaImage files, or one folder of a
      DICOM series each
    * pairs of CT (PATIENT_0000) and MR (PATIENT_0001)
    * one folder per patient with ct.nii.gz or mri.nii.gz, and organ masks

    Then run: snakemake --cores all --configfile RUN_FILE
    """  # noqa: D301 - click keeps the lines of a list behind a real \b
    import yaml

    from anatomical_embedding.datasets.new_run import check_run, name_of_folder, run_file_text
    from anatomical_embedding.datasets.scan_folder import look_at_folder
    from anatomical_embedding.errors import OutputFileError
    from anatomical_embedding.files import written_atomically

    folder = folder.resolve()
    name = name_of_folder(folder)
    output = output or Path(f"{name}.yaml")
    if output.exists():
        raise OutputFileError(output, "already exists; name another file with --output")
    require_outputs(output)
    found = look_at_folder(folder, modality=modality, series=_series_of(chosen))
    text = run_file_text(found, name=name)
    check_run(yaml.safe_load(text), name=name)
    with written_atomically(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if found.maybe_one_patient:
        click.echo(
            f"note: every scan is taken as a patient; if {' and '.join(found.maybe_one_patient)} are of one, use the "
            f"patient_pattern in {output}, so that no patient is trained on and validated on",
            err=True,
        )
    if found.one_patient:
        way = "rename them so that a patient_pattern takes the patient out of the names"
        if found.kind != "folder":
            way = "move all but one of a patient elsewhere"
        click.echo(
            f"note: {' and '.join(found.one_patient)} are of one patient by their DICOM headers, but every scan is "
            f"taken as a patient; {way}, so that no patient is trained on and validated on",
            err=True,
        )
    maps = [] if found.organs else found.label_maps
    if maps:
        click.echo(
            f"note: {', '.join(maps)} in the folders of {found.root} looks like a label map; to use it, set label_map "
            f"and organs in {output}",
            err=True,
        )
    others = [name for name in found.not_taken if name not in maps]
    if others:
        click.echo(
            f"note: {', '.join(others)} in the folders of {found.root} is not taken; a scan of a case is "
            "called ct or mri, and --modality mr takes the MRs",
            err=True,
        )
    click.echo(f"{output}: {found.kind}, {found.num_patients} patients, {found.modality or 'ct and mr'}")
    place = shlex.quote(str(output.resolve()))  # the checkout is another folder
    click.echo(f"in a checkout of the project: snakemake --cores all --configfile {place}")


def _series_of(chosen: tuple[str, ...]) -> str | dict[str, str] | None:
    """Return the choice of series: one for all folders, or by folder."""
    if len(chosen) == 1 and "=" not in chosen[0]:
        return chosen[0]
    named = [text.partition("=") for text in chosen]
    if not all(folder and separator and series for folder, separator, series in named):
        raise click.UsageError(
            f"--series: expected one for all folders, or FOLDER=SERIES for each, got {' '.join(chosen)}"
        )
    return {folder: series for folder, _, series in named} or None
