"""The verb `register`."""

import ctypes
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    ExistingPath,
    OutputPath,
    checkpoint_option,
    coordinates_option,
    grid_of_scan,
    json_option,
    load_libraries,
    points_outside,
    print_json,
    reading_options,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.api import CarriedPoints, ScanRegistration
    from anatomical_embedding.points.named_points import Coordinates, NamedPoints
    from anatomical_embedding.registration.guided_start import GuidedStart
    from anatomical_embedding.registration.initial.read import MatrixProgram
    from anatomical_embedding.usage.carried_points import Side
    from anatomical_embedding.volumes.dicom_source import DicomSource
    from anatomical_embedding.volumes.raw_scan import RawScan
    from anatomical_embedding.volumes.volume import Volume

PROGRAM_NAMES = ("itk", "ants", "elastix", "greedy", "niftyreg", "slicer", "mrtrix", "nitransforms", "dicom")
"""Those of `registration.program_files`, which takes longer to load than `--help` may."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, as malloc.h of glibc has them."""
KEPT_BYTES = 2**28


class ProgramNames(click.ParamType):
    """Names of programs with commas between."""

    name = "NAMES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names in a text, each once."""
        if isinstance(value, tuple):
            return value
        names = [name.strip().lower() for name in str(value).split(",")]
        unknown = [name for name in names if name not in PROGRAM_NAMES]
        if unknown:
            self.fail(f"expected names of {', '.join(PROGRAM_NAMES)}, got {unknown[0]!r}", param, ctx)
        return tuple(dict.fromkeys(names))


@click.command(short_help="Register one scan onto another.")
@click.argument("fixed", type=ExistingPath)
@click.argument("moving", type=ExistingPath)
@checkpoint_option
@click.option("--output", "folder", type=OutputPath, required=True, help="Folder for the results.")
@click.option(
    "--deeds",
    "program",
    type=ExistingFile,
    help="The registration program deeds, if not the installed one.",
)
@click.option(
    "--initial",
    type=ExistingFile,
    help="Start to use instead of matching: an affine transform of ITK, ANTs, elastix, FSL, greedy, NiftyReg or "
    "FreeSurfer (.lta), a DICOM Spatial Registration, or start.json of another registration.",
)
@click.option(
    "--initial-program",
    type=click.Choice(["fsl", "greedy", "niftyreg"]),
    help="Program that wrote the 4x4 text matrix given as --initial.",
)
@click.option(
    "--points",
    "points_path",
    type=ExistingFile,
    help="Points to carry to the other scan: .csv (x_mm,y_mm,z_mm,name), .mrk.json or .fcsv of 3D Slicer, .mps of "
    "MITK, or those of elastix, ANTs or DICOM (SR, RTSTRUCT).",
)
@click.option(
    "--points-of",
    "side",
    type=click.Choice(["fixed", "moving"]),
    default="fixed",
    show_default=True,
    help="Scan that the points belong to.",
)
@click.option(
    "--transforms",
    "programs",
    type=ProgramNames(),
    multiple=True,
    help=f"Also write the transforms for other programs, names with commas between: {', '.join(PROGRAM_NAMES)}.",
)
@coordinates_option
@reading_options
@json_option
def register(
    fixed: Path,
    moving: Path,
    checkpoint: Path,
    folder: Path,
    program: Path | None,
    initial: Path | None,
    initial_program: "MatrixProgram | None",
    points_path: Path | None,
    side: "Side",
    programs: tuple[tuple[str, ...], ...],
    coordinates: "Coordinates",
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Register MOVING onto FIXED: a start from matches of the embeddings (or --initial), then the program deeds.

    \b
    Files in the folder of --output:
    warped.nii.gz              the moving scan on the grid of the fixed one
    forward.h5                 ITK transform of points, fixed to moving; ITK
                               resamples the moving scan with it
    inverse.h5                 its inverse
    displacement_field.nii.gz  the whole map where both scans show the body
    start.json                 the start, and whether it was found
    doubt.nii.gz               for two CTs of one patient: how far places may
                               be off, in mm
    points.csv                 the points of --points in the other scan, with
                               doubt_mm and a decision: found, review,
                               out_of_view, failed, or unknown (nothing tells
                               how far it may be off)

    Points are also written in the form that they came in.
    """  # noqa: D301 - click keeps the lines of a list behind a real \b
    _keep_freed_memory()
    load_libraries()
    from anatomical_embedding.api import carry_registered_points, load_model, read_scans, register_scans
    from anatomical_embedding.cli.registration_folder import require_only_own
    from anatomical_embedding.files import held_folder, require_writable_folder
    from anatomical_embedding.points.dicom_points import require_frame
    from anatomical_embedding.points.points_file import read_points
    from anatomical_embedding.registration.deeds_program import require_program
    from anatomical_embedding.registration.installed_program import installed_program
    from anatomical_embedding.usage.scans import require_raw

    if initial_program is not None and initial is None:
        raise click.UsageError(
            "--initial-program: says where the start of --initial comes from; give that too"
        )
    program = program or installed_program()
    require_writable_folder(folder)
    require_only_own(folder, fixed, moving, points_path)
    require_program(program)
    their_scan = fixed if side == "fixed" else moving
    asked = None
    if points_path is not None:
        asked = read_points(
            points_path, coordinates=coordinates, grid=lambda: grid_of_scan(their_scan, reading).grid
        )
    model = load_model(checkpoint)
    read = read_scans(model, (fixed, moving), **reading)
    scans = {path: require_raw(scan) for path, scan in read.items()}
    asked_for = [name for names in programs for name in names]
    sources = _dicom_sources(scans[fixed], scans[moving]) if "dicom" in asked_for else None
    remarks = []
    if asked is not None:
        outside = points_outside(asked, scans[their_scan].grid, str(their_scan), hint="--points-of")
        said_of_world = require_frame(asked, scans[their_scan].frame_of_reference, scan=str(their_scan))
        remarks = [*asked.remarks, *said_of_world, *outside]
    with held_folder(folder):
        found = register_scans(
            model,
            scans[fixed],
            scans[moving],
            program=program,
            folder=folder,
            initial=initial,
            initial_program=initial_program,
        )
        found = replace(found, sources=sources)
        _print_start(found.start)
        carried = None
        if asked is not None:
            carried = carry_registered_points(model, found, asked.points_mm, side=side)
        remarks += _write_results(
            found,
            asked,
            carried,
            folder,
            kept=initial,
            programs=asked_for,
            coordinates=coordinates,
            side=side,
        )
    said = say_remarks([*found.remarks, *remarks])
    if as_json:
        points = _rows(asked.names, carried, coordinates=coordinates) if asked and carried else []
        print_json(_answer(found.start, folder, points, coordinates=coordinates) | {"remarks": said})
    else:
        click.echo(str(folder))


def _print_start(start: "GuidedStart") -> None:
    if start.status == "failed":
        click.echo(f"warning: no start was found ({start.reason}); the bodies were centred instead", err=True)
    elif start.status == "found":
        click.echo(f"start found: {start.num_inliers} of {start.num_kept} matches agree", err=True)


def _keep_freed_memory() -> None:
    """Let the C library take large arrays from memory that others left: the system clears each new page.

    Elsewhere than with glibc nothing changes.
    """
    with suppress(AttributeError, TypeError, OSError):
        library = ctypes.CDLL(None)
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            library.mallopt(parameter, KEPT_BYTES)


def _dicom_sources(fixed: "RawScan", moving: "RawScan") -> "tuple[DicomSource, DicomSource]":
    """Return what DICOM objects refer to in two scans, and refuse other scans before work is done for them."""
    from anatomical_embedding.errors import UserError
    from anatomical_embedding.volumes.dicom_source import read_dicom_source

    try:
        first, second = (read_dicom_source(scan.path, series=scan.options.series) for scan in (fixed, moving))
    except UserError as error:
        raise UserError(f"--transforms dicom needs two DICOM series, else leave it out: {error}") from error
    return first, second


def _write_results(
    found: "ScanRegistration",
    asked: "NamedPoints | None",
    carried: "CarriedPoints | None",
    folder: Path,
    *,
    kept: Path | None,
    programs: list[str],
    coordinates: "Coordinates",
    side: "Side",
) -> list[str]:
    """Write what was found in place of what an earlier registration left, and return what to say of that.

    What is small and took longest comes first, last the image, which is large.
    """
    from anatomical_embedding.api import write_transforms
    from anatomical_embedding.cli.registration_folder import (
        DOUBT,
        FIELD,
        IMAGE,
        remove_former,
        removed_for_good,
    )
    from anatomical_embedding.registration.displacement_field import write_field
    from anatomical_embedding.registration.guided_start import write_start
    from anatomical_embedding.registration.registered_scans import START_FILE, note_of
    from anatomical_embedding.volumes.nifti import write_volume

    former = remove_former(folder, kept=kept)
    write_start(found.start, folder / START_FILE, scans=found.scans)
    write_transforms(found, folder, programs=["itk"])
    if asked is not None and carried is not None:
        goal = found.moving if side == "fixed" else found.fixed
        _write_points(asked, carried, folder, coordinates=coordinates, goal=goal)
    write_field(found.field.before(found.start.matrix), folder / FIELD, note=note_of("fixed", found.scans))
    if found.doubt is not None:
        write_volume(found.doubt, folder / DOUBT)
    # ITK and 3D Slicer read what is there already.
    write_transforms(found, folder, programs=[name for name in programs if name not in {"itk", "slicer"}])
    write_volume(found.warped(), folder / IMAGE)
    return removed_for_good(folder, former)


def _write_points(
    asked: "NamedPoints",
    carried: "CarriedPoints",
    folder: Path,
    *,
    coordinates: "Coordinates",
    goal: "Volume",
) -> None:
    """Write carried points as a table, and in the form that they came in, on the grid of their new scan."""
    from anatomical_embedding.cli.registration_folder import DECISION, POINTS
    from anatomical_embedding.points.points_file import name_of_form, write_point_table, write_points

    more = {
        "doubt_mm": ["" if math.isnan(doubt) else f"{doubt:.2f}" for doubt in carried.doubt_mm],
        DECISION: carried.decision,
        "reason": carried.reason,
    }
    write_point_table(carried.points_mm, asked.names, folder / POINTS, coordinates=coordinates, more=more)
    if asked.form is not None and (name := name_of_form(asked.form)):
        told = [": ".join(filter(None, pair)) for pair in zip(carried.decision, carried.reason, strict=True)]
        write_points(
            carried.points_mm, asked.names, folder / name, form=asked.form, grid=goal, descriptions=told
        )


def _answer(
    start: "GuidedStart", folder: Path, points: list[dict[str, Any]], *, coordinates: "Coordinates"
) -> dict[str, Any]:
    """Return what `--json` prints of a registration."""
    from anatomical_embedding.points.named_points import coordinates_in_mm

    return {
        "status": start.status,
        "reason": start.reason,
        "folder": str(folder),
        "coordinates": coordinates_in_mm(coordinates).upper(),
        "points": points,
    }


def _rows(
    names: Sequence[str], carried: "CarriedPoints", *, coordinates: "Coordinates"
) -> list[dict[str, Any]]:
    """Return the columns of points.csv as one row per point; a doubt that is not known is None."""
    from anatomical_embedding.answers_file import known_number
    from anatomical_embedding.points.named_points import as_ras
    from anatomical_embedding.points.point_table import POINT_COLUMNS

    shown = as_ras(carried.points_mm, coordinates=coordinates)
    return [
        {
            "name": name,
            **dict(zip(POINT_COLUMNS, map(float, shown[row]), strict=True)),
            "doubt_mm": known_number(carried.doubt_mm[row]),
            "decision": carried.decision[row],
            "reason": carried.reason[row],
        }
        for row, name in enumerate(names)
    ]
