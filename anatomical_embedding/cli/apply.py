"""The verbs `apply` and `transform-points`: images, labels and points carried by transforms that `register` wrote."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    Decorator,
    ExistingFile,
    ExistingPath,
    OutputPath,
    coordinates_option,
    grid_of_scan,
    json_option,
    points_outside,
    print_json,
    reading_options,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    import SimpleITK

    from anatomical_embedding.points.named_points import Coordinates
    from anatomical_embedding.volumes.grid import Grid
    from anatomical_embedding.volumes.volume import Volume

inverse_option: Decorator = click.option(
    "--inverse", "is_inverted", is_flag=True, help="Apply the inverse of an affine transform."
)
MOST_LABELS = 256
MOST_LOOKED_AT = 1_000_000
"""Voxels of a scan that are looked at to tell whether it is a label map."""


@click.command(short_help="Carry a scan or label map onto the grid of another scan.")
@click.argument("transform", type=ExistingFile)
@click.argument("moving", type=ExistingPath)
@click.option(
    "--onto",
    "fixed",
    type=ExistingPath,
    required=True,
    help="Fixed image: the scan, label map or other image whose grid the result gets.",
)
@click.option("--output", type=OutputPath, required=True, help="Image to write (.nii.gz).")
@click.option(
    "--labels",
    "is_labels",
    is_flag=True,
    help="MOVING is a label map: take the nearest label instead of interpolating.",
)
@inverse_option
@reading_options
@json_option
def apply(
    transform: Path,
    moving: Path,
    fixed: Path,
    output: Path,
    is_labels: bool,
    is_inverted: bool,
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Carry the scan or label map MOVING onto the grid of the fixed scan (--onto) by a TRANSFORM.

    TRANSFORM is forward.h5 or displacement_field.nii.gz of `register`, or any ITK transform that maps fixed points to
    moving ones. To carry the fixed scan onto the moving one use inverse.h5. Scans are interpolated linearly, once.

    Example: anatomical-embedding apply out/forward.h5 mr.nii.gz --onto ct.nii.gz --output mr_on_ct.nii.gz
    """
    from anatomical_embedding.registration.itk_transform import resample_by_itk
    from anatomical_embedding.registration.registered_scans import require_direction
    from anatomical_embedding.registration.transform_files import (
        inverted,
        read_transform,
        require_something,
        resample_labels_by_itk,
    )
    from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
    from anatomical_embedding.volumes.label_file import read_label_file
    from anatomical_embedding.volumes.nifti import write_volume
    from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan, read_scan_grid
    from anatomical_embedding.volumes.straight_grid import straight_grid

    require_outputs(output, endings=NIFTI_SUFFIXES, inputs=(transform, moving, fixed))
    carrier = read_transform(transform)
    if is_inverted:
        carrier = inverted(carrier, transform)
    options = ReadingOptions(**reading)
    onto = read_scan_grid(fixed, options)
    grid = straight_grid(onto.grid)
    require_its_direction = functools.partial(
        require_direction, transform, onto=onto, names=(fixed, moving), is_inverted=is_inverted
    )
    remarks = [*onto.notes, *_uncovered_share(carrier, grid, transform)]
    if is_labels:
        labels = read_label_file(moving, geometry=options.geometry)
        require_its_direction(source=labels.volume)
        carried, found = labels.volume, resample_labels_by_itk(carrier, labels.volume, grid)
        remarks += [*labels.remarks, *_lost_labels(carried, found, moving)]
    else:
        scan = read_raw_scan(moving, options)
        require_its_direction(source=scan)
        carried, found = scan.volume, resample_by_itk(carrier, scan.volume, grid)
        remarks += [*scan.notes, *_like_labels(carried, moving)]
    require_something(found, carried, transform=transform, names=(moving, fixed))
    write_volume(found, output)
    said = say_remarks(remarks)
    if as_json:
        print_json({"output": str(output), "remarks": said})
    else:
        click.echo(str(output))


def _uncovered_share(carrier: "SimpleITK.Transform", grid: "Grid", transform: Path) -> list[str]:
    """Say which share of a grid a plain field says nothing of."""
    from anatomical_embedding.registration.transform_files import is_covered, sampled_places

    share = 1.0 - float(is_covered(carrier, sampled_places(grid)).mean())
    if not share:
        return []
    return [
        f"{transform}: covers {1 - share:.0%} of the scan, and leaves the rest where it is; forward.h5 of `register` "
        "holds the start there"
    ]


def _lost_labels(carried: "Volume", found: "Volume", moving: Path) -> list[str]:
    """Name the labels of which no voxel is left."""
    import numpy as np

    lost = sorted({*np.unique(carried.array).tolist()} - {*np.unique(found.array).tolist()} - {0})
    return [f"{moving}: no voxel of the label {label} is left" for label in lost]


def _like_labels(scan: "Volume", moving: Path) -> list[str]:
    """Say so where a scan holds as few different numbers as a label map does."""
    import numpy as np

    step = max(1, scan.array.size // MOST_LOOKED_AT)
    values = np.unique(scan.array.reshape(-1)[::step])
    if len(values) > MOST_LABELS or (values != np.rint(values)).any() or values.min() < 0:
        return []
    return [
        f"{moving}: holds {len(values)} different whole numbers, as a label map does, and was interpolated; --labels "
        "takes the nearest one"
    ]


@click.command("transform-points", short_help="Carry points through a registration.")
@click.argument("transform", type=ExistingFile)
@click.argument("points", type=ExistingFile)
@click.option(
    "--output",
    type=OutputPath,
    required=True,
    help="Points to write: .csv, .mrk.json, .fcsv, or .txt and .pts of elastix.",
)
@click.option(
    "--of",
    "scan",
    type=ExistingPath,
    help="Scan that the points belong to: needed for points in voxels, and checks the direction of the transform.",
)
@inverse_option
@coordinates_option
@reading_options
@json_option
def carry_points(
    transform: Path,
    points: Path,
    output: Path,
    scan: Path | None,
    is_inverted: bool,
    coordinates: "Coordinates",
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Carry POINTS (.csv, .mrk.json, .fcsv, .mps, or those of elastix, ANTs or DICOM) by a TRANSFORM.

    forward.h5 and displacement_field.nii.gz of `register` carry points of the fixed scan to the moving one; inverse.h5
    carries them back. A .csv gets the columns of ANTs if the points came with them.
    """
    from anatomical_embedding.points.dicom_points import require_frame
    from anatomical_embedding.points.points_file import CARRIED_ENDINGS, read_points, write_carried_points
    from anatomical_embedding.registration.itk_transform import transform_by_itk
    from anatomical_embedding.registration.registered_scans import carried_grid, require_direction
    from anatomical_embedding.registration.transform_files import inverted, is_covered, read_transform

    require_outputs(output, endings=CARRIED_ENDINGS, inputs=(transform, points))
    carrier = read_transform(transform)
    if is_inverted:
        carrier = inverted(carrier, transform)
    of = None if scan is None else grid_of_scan(scan, reading)
    if of is not None:
        require_direction(transform, onto=of, source=None, names=(of.path,), is_inverted=is_inverted)
    asked = read_points(points, coordinates=coordinates, grid=None if of is None else lambda: of.grid)
    outside = []
    if of is not None:
        outside = points_outside(asked, of.grid, str(scan))
    elif (known := carried_grid(transform, is_inverted=is_inverted)) is not None:
        outside = points_outside(asked, known, f"the scan whose points {transform} carries")
    carried = transform_by_itk(carrier, asked.points_mm)
    write_carried_points(replace(asked, points_mm=carried), output, coordinates=coordinates)
    left_alone = [
        f"{transform}: does not cover the point {name!r}, which is left where it was"
        for name, covered in zip(asked.names, is_covered(carrier, asked.points_mm), strict=True)
        if not covered
    ]
    whose = "the scan" if scan is None else str(scan)
    said_of_world = require_frame(asked, "", scan=whose)
    said = say_remarks([*asked.remarks, *said_of_world, *outside, *left_alone])
    if as_json:
        print_json({"output": str(output), "remarks": said})
    else:
        click.echo(str(output))
