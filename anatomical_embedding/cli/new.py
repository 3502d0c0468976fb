"""The verb `new`."""

from pathlib import Path

import click

from anatomical_embedding.cli.options import OutputPath
from anatomical_embedding.settings.volumes import Modality


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=OutputPath, help="Run file to write; by default the folder's name with .yaml.")
@click.option(
    "--nifti", type=OutputPath, help="Folder for NIfTI copies, where the folder holds DICOM series."
)
@click.option(
    "--modality",
    type=click.Choice(["ct", "mr"]),
    help="Kind of all scans; default: judged from a few of them.",
)
def new(folder: Path, output: Path | None, nifti: Path | None, modality: Modality | None) -> None:
    """Look at a FOLDER of scans and write a run file that trains on them.

    It recognises .nii.gz files of one modality, pairs PATIENT_0000 (CT) and PATIENT_0001 (MR), and one folder per
    patient with ct.nii.gz or mri.nii.gz and masks of organs. Folders of DICOM series are copied as NIfTI files first.
    """
    import yaml

    from anatomical_embedding.datasets.new_run import (
        check_run,
        copy_as_nifti,
        folders_of_dicom,
        look_at_folder,
        name_of_folder,
        run_file_text,
    )
    from anatomical_embedding.errors import OutputFileError
    from anatomical_embedding.files import written_atomically
    from anatomical_embedding.progress import track

    folder = folder.resolve()
    name = name_of_folder(folder)
    output = output or Path(f"{name}.yaml")
    if output.exists():
        raise OutputFileError(output, "already exists; name another file with --output")
    if nifti is None:
        found = look_at_folder(folder, modality=modality)
    else:
        series = folders_of_dicom(folder)
        if not series:
            raise click.UsageError(f"{folder} holds no folders of DICOM files; leave out --nifti")
        copies = track(series, description="copying series", total=len(series))
        modalities = {copy_as_nifti(each, nifti.resolve())[1] for each in copies}
        stated = modalities.pop() if len(modalities) == 1 else None
        found = look_at_folder(nifti.resolve(), modality=modality or stated)
    text = run_file_text(found, name=name)
    check_run(yaml.safe_load(text), name=name)
    with written_atomically(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo(f"{output}: {found.kind}, {found.num_patients} patients, {found.modality or 'ct and mr'}")
    click.echo(f"in a checkout of the project: snakemake --cores all --configfile {output}")
