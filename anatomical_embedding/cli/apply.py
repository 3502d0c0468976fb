"""The verbs `apply` and `transform-points`: images, labels and points carried by transforms that `register` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    ExistingPath,
    OutputPath,
    coordinates_option,
    json_option,
    print_json,
    reading_options,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.points.named_points import Coordinates


@click.command()
@click.argument("transform", type=ExistingFile)
@click.argument("moving", type=ExistingPath)
@click.option("--onto", "fixed", type=ExistingPath, required=True, help="Scan on whose grid it is wanted.")
@click.option("--output", type=OutputPath, required=True, help="Image to write (.nii.gz).")
@click.option("--labels", "is_labels", is_flag=True, help="MOVING is a label map: take the nearest label.")
@reading_options
@json_option
def apply(
    transform: Path,
    moving: Path,
    fixed: Path,
    output: Path,
    is_labels: bool,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Bring the scan or label map MOVING onto the grid of another scan by a TRANSFORM.

    TRANSFORM leads points of the fixed scan to the moving one, as forward.h5 and displacement_field.nii.gz of
    `register` do; inverse.h5 brings the fixed scan onto the moving one. Scans are interpolated linearly, once.
    """
    from anatomical_embedding.registration.itk_transform import resample_by_itk
    from anatomical_embedding.registration.transform_files import read_transform, resample_labels_by_itk
    from anatomical_embedding.volumes.labels import read_label_file
    from anatomical_embedding.volumes.nifti import NIFTI_SUFFIXES, write_volume
    from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
    from anatomical_embedding.volumes.straight_grid import straight_grid

    require_outputs(output, endings=NIFTI_SUFFIXES, inputs=(transform, moving, fixed))
    carrier = read_transform(transform)
    options = ReadingOptions(**reading)
    onto = read_raw_scan(fixed, options)
    grid = straight_grid(onto.grid)
    if is_labels:
        labels = read_label_file(moving, geometry=options.geometry)
        write_volume(resample_labels_by_itk(carrier, labels.volume, grid), output)
        remarks = labels.remarks
    else:
        scan = read_raw_scan(moving, options)
        write_volume(resample_by_itk(carrier, scan.volume, grid), output)
        remarks = scan.notes
    said = say_remarks([*onto.notes, *remarks])
    if as_json:
        print_json({"output": str(output), "remarks": said})
    else:
        click.echo(str(output))


@click.command("transform-points")
@click.argument("transform", type=ExistingFile)
@click.argument("points", type=ExistingFile)
@click.option("--output", type=OutputPath, required=True, help="Points to write (.csv or .mrk.json).")
@coordinates_option
@json_option
def transform_points(
    transform: Path, points: Path, output: Path, coordinates: "Coordinates", as_json: bool
) -> None:
    """Carry POINTS (.csv, .mrk.json or .fcsv) by a TRANSFORM.

    forward.h5 and displacement_field.nii.gz of `register` lead points of the fixed scan to the moving one,
    inverse.h5 leads them back.
    """
    from anatomical_embedding.points.points_file import read_points, write_point_table
    from anatomical_embedding.points.slicer_markups import write_markups
    from anatomical_embedding.registration.itk_transform import transform_by_itk
    from anatomical_embedding.registration.transform_files import read_transform

    require_outputs(output, endings=(".csv", ".mrk.json"), inputs=(transform, points))
    carrier = read_transform(transform)
    asked = read_points(points, coordinates=coordinates)
    carried = transform_by_itk(carrier, asked.points_mm)
    if output.name.endswith(".csv"):
        write_point_table(carried, asked.names, output, coordinates=coordinates)
    else:
        write_markups(carried, asked.names, output)
    said = say_remarks(asked.remarks)
    if as_json:
        print_json({"output": str(output), "remarks": said})
    else:
        click.echo(str(output))
