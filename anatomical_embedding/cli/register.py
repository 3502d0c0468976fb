"""The verb `register`."""

import os
import shutil
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
    modality_option,
    print_json,
)

if TYPE_CHECKING:
    from anatomical_embedding.api import ScanRegistration
    from anatomical_embedding.evaluation.named_points import Coordinates


@click.command()
@click.argument("fixed", type=ExistingPath)
@click.argument("moving", type=ExistingPath)
@checkpoint_option
@click.option("--output", "folder", type=OutputPath, required=True, help="Folder of the results.")
@click.option(
    "--deeds",
    "program",
    type=ExistingFile,
    help="The built program; by itself `deeds` is looked for on the path.",
)
@click.option(
    "--points",
    "points_path",
    type=ExistingFile,
    help="Points to carry: .csv (x_mm,y_mm,z_mm,name) or .mrk.json.",
)
@click.option(
    "--points-of",
    "side",
    type=click.Choice(["fixed", "moving"]),
    default="fixed",
    show_default=True,
    help="Scan that the points belong to; they are carried to the other one.",
)
@coordinates_option
@modality_option
@json_option
def register(
    fixed: Path,
    moving: Path,
    checkpoint: Path,
    folder: Path,
    program: Path | None,
    points_path: Path | None,
    side: str,
    coordinates: "Coordinates",
    modality: Any,
    as_json: bool,
) -> None:
    """Register MOVING onto FIXED: a start that matches of the embeddings agree on, then deeds.

    Writes warped.nii.gz, forward.h5 and inverse.h5 (ITK transforms of points, fixed to moving and back; forward.h5
    resamples the moving scan), displacement_field.nii.gz, start.json, and points.csv where points were given.
    """
    from anatomical_embedding.api import load_model, register_scans
    from anatomical_embedding.registration.displacement_field import write_field
    from anatomical_embedding.registration.guided_start import write_start
    from anatomical_embedding.registration.itk_transform import write_transform
    from anatomical_embedding.volumes.nifti import write_volume

    found = register_scans(
        load_model(checkpoint),
        fixed,
        moving,
        program=program or _deeds_on_path(),
        folder=folder,
        modality=modality,
        threads=len(os.sched_getaffinity(0)),
    )
    write_volume(found.warped(), folder / "warped.nii.gz")
    write_transform(found.forward, folder / "forward.h5")
    write_transform(found.inverse, folder / "inverse.h5")
    write_field(found.field.before(found.start.matrix), folder / "displacement_field.nii.gz")
    write_start(found.start, folder / "start.json")
    if points_path is not None:
        _carry_points(found, points_path, folder / "points.csv", side=side, coordinates=coordinates)
    if found.start.status == "failed":
        click.echo(
            f"warning: no start was found ({found.start.reason}); the bodies were centred instead", err=True
        )
    if as_json:
        print_json({"status": found.start.status, "reason": found.start.reason, "folder": str(folder)})
    else:
        click.echo(str(folder))


def _deeds_on_path() -> Path:
    """Return the program that is installed."""
    found = shutil.which("deeds")
    if found is None:
        raise click.UsageError(
            "no program deeds on the path; build it (cmake -S deeds -B build && cmake --build build) "
            "and name it by --deeds"
        )
    return Path(found)


def _carry_points(
    found: "ScanRegistration", path: Path, output: Path, *, side: str, coordinates: "Coordinates"
) -> None:
    """Write where points of one scan lie in the other."""
    from anatomical_embedding.evaluation.points_file import as_ras, read_points
    from anatomical_embedding.files import written_atomically
    from anatomical_embedding.registration.itk_transform import transform_by_itk

    asked = read_points(path, coordinates=coordinates)
    transform = found.forward if side == "fixed" else found.inverse
    carried = as_ras(transform_by_itk(transform, asked.points_mm), coordinates=coordinates)
    lines = ["x_mm,y_mm,z_mm,name"]
    lines += [
        ",".join([*(f"{value:.4f}" for value in point), name])
        for point, name in zip(carried, asked.names, strict=True)
    ]
    with written_atomically(output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
