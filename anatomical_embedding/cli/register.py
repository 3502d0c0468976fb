"""The verb `register`."""

import ctypes
import math
from collections.abc import Iterable, Sequence
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
    from anatomical_embedding.registration.initial.read import MatrixProgram
    from anatomical_embedding.usage.carried_points import Side
    from anatomical_embedding.volumes.dicom_source import DicomSource
    from anatomical_embedding.volumes.raw_scan import RawScan
    from anatomical_embedding.volumes.volume import Volume

PROGRAM_NAMES = ("itk", "ants", "elastix", "greedy", "niftyreg", "slicer", "mrtrix", "nitransforms", "dicom")
"""Those of `registration.program_files`, which takes longer to load than `--help` may."""
IMAGE, FIELD, DOUBT, POINTS = "warped.nii.gz", "displacement_field.nii.gz", "doubt.nii.gz", "points.csv"
"""Files of a registration beside its start and its transforms."""
DECISION = "decision"
"""Column of carried points, by which they are known."""
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


@click.command()
@click.argument("fixed", type=ExistingPath)
@click.argument("moving", type=ExistingPath)
@checkpoint_option
@click.option("--output", "folder", type=OutputPath, required=True, help="Folder of the results.")
@click.option(
    "--deeds",
    "program",
    type=ExistingFile,
    help="Program deeds to use instead of the installed one.",
)
@click.option(
    "--initial",
    type=ExistingFile,
    help="Start to use instead of looking for one: of ITK or ANTs, elastix, FSL, greedy, NiftyReg, FreeSurfer (.lta), "
    "DICOM Spatial Registration, or start.json of another run.",
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
    help="Points to carry: .csv (x_mm,y_mm,z_mm,name), .mrk.json and .fcsv of 3D Slicer, .mps of MITK, or those of "
    "elastix or ANTs.",
)
@click.option(
    "--points-of",
    "side",
    type=click.Choice(["fixed", "moving"]),
    default="fixed",
    show_default=True,
    help="Scan that the points belong to; they are carried to the other one.",
)
@click.option(
    "--transforms",
    "programs",
    type=ProgramNames(),
    multiple=True,
    help=f"Write what these programs read as well: {', '.join(PROGRAM_NAMES)}.",
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
    """Register MOVING onto FIXED: a start that matches of the embeddings agree on, or a given one, then deeds.

    Writes start.json, forward.h5 and inverse.h5 (ITK transforms of points, fixed to moving and back; forward.h5
    resamples the moving scan), points.csv where points were given (and the same in the form that they came in),
    displacement_field.nii.gz, for two CTs of one patient doubt.nii.gz (mm by which a place may be off, also in
    points.csv) and, last, warped.nii.gz. The decision on each point is one of those of match: found, review,
    out_of_view, failed, or unknown where nothing tells how far it may be off.
    """
    _keep_freed_memory()
    load_libraries()
    from anatomical_embedding.api import carry_registered_points, load_model, read_scans, register_scans
    from anatomical_embedding.files import held_folder, require_writable_folder
    from anatomical_embedding.points.points_file import read_points
    from anatomical_embedding.registration.deeds_program import require_program
    from anatomical_embedding.registration.guided_start import write_start
    from anatomical_embedding.registration.installed_program import installed_program
    from anatomical_embedding.registration.registered_scans import START_FILE
    from anatomical_embedding.usage.scans import require_raw

    if initial_program is not None and initial is None:
        raise click.UsageError(
            "--initial-program: says where the start of --initial comes from; give that too"
        )
    program = program or installed_program()
    require_writable_folder(folder)
    _require_only_own(folder, fixed, moving, points_path)
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
    remarks: list[str] = []
    if asked is not None:
        remarks += [
            *asked.remarks,
            *points_outside(asked, scans[their_scan].grid, str(their_scan), hint="--points-of"),
        ]
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
        if found.start.status == "failed":
            click.echo(
                f"warning: no start was found ({found.start.reason}); the bodies were centred instead",
                err=True,
            )
        carried = None
        if asked is not None:
            carried = carry_registered_points(model, found, asked.points_mm, side=side)
        goal = found.moving if side == "fixed" else found.fixed
        former = _removed_former(folder, kept=initial)
        write_start(found.start, folder / START_FILE, scans=found.told)
        _write_results(found, asked, carried, folder, programs=asked_for, coordinates=coordinates, goal=goal)
        remarks += _removed_for_good(folder, former)
    said = say_remarks([*found.remarks, *remarks])
    if as_json:
        start = {"status": found.start.status, "reason": found.start.reason}
        rows = (
            [] if asked is None or carried is None else _rows(asked.names, carried, coordinates=coordinates)
        )
        shown = "RAS" if coordinates == "voxel" else coordinates.upper()
        print_json({**start, "folder": str(folder), "coordinates": shown, "points": rows, "remarks": said})
    else:
        click.echo(str(folder))


def _own_files(folder: Path) -> list[Path]:
    """Return the files in a folder that a registration writes, apart from its start."""
    from anatomical_embedding.registration.program_files import PROGRAMS

    names = [IMAGE, FIELD, DOUBT, *(name for program in PROGRAMS.values() for name in program.files)]
    return [*_own_points(folder), *_files_of(folder, names)]


def _own_points(folder: Path) -> list[Path]:
    from anatomical_embedding.points.points_file import NAMES_OF_FORMS

    return _files_of(folder, [POINTS, "points_voxels.csv", *NAMES_OF_FORMS.values()])


def _files_of(folder: Path, names: Iterable[str]) -> list[Path]:
    return [path for name in dict.fromkeys(names) if (path := folder / name).is_file()]


def _require_only_own(folder: Path, *inputs: Path | None) -> None:
    """Refuse a folder in which this registration would write over an input, or over files that none has written."""
    from anatomical_embedding.errors import InputFileError
    from anatomical_embedding.registration.registered_scans import START_FILE

    own = _own_files(folder)
    for path in filter(None, inputs):
        if any(path.samefile(other) for other in own):
            raise InputFileError(path, "is read and would be written over; name another folder for --output")
    foreign, lacking = own, f"{START_FILE} is not beside it"
    if (folder / START_FILE).exists():
        is_carried = DECISION in _columns_of(folder / POINTS)
        foreign, lacking = [] if is_carried else _own_points(folder), f"{POINTS} has no column {DECISION}"
    if foreign:
        raise InputFileError(
            foreign[0],
            f"would be written over, and is of no registration, as {lacking}; name another folder for --output",
        )


def _columns_of(table: Path) -> list[str]:
    """Return the names in the first line of a table; none of a file that is not there."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline().strip().split(",")


def _removed_former(folder: Path, *, kept: Path | None) -> list[Path]:
    """Remove what an earlier registration left, and return its files.

    Else its points, or its files for other programs, would lie beside the transforms of other scans.
    """
    former = [path for path in _own_files(folder) if kept is None or not path.samefile(kept)]
    for path in former:
        path.unlink()
    return former


def _removed_for_good(folder: Path, former: Sequence[Path]) -> list[str]:
    """Return what to say of removed files that were not written anew."""
    gone = ", ".join(path.relative_to(folder).as_posix() for path in former if not path.exists())
    return [f"{folder}: removed what an earlier registration left there: {gone}"] if gone else []


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
        raise UserError(f"--transforms dicom needs two DICOM series: {error}") from error
    return first, second


def _write_results(
    found: "ScanRegistration",
    asked: "NamedPoints | None",
    carried: "CarriedPoints | None",
    folder: Path,
    *,
    programs: list[str],
    coordinates: "Coordinates",
    goal: "Volume",
) -> None:
    """Write what was found: first what is small and took longest, last the image, which is large."""
    from anatomical_embedding.api import write_transforms
    from anatomical_embedding.points.points_file import name_of_form, write_point_table, write_points
    from anatomical_embedding.registration.displacement_field import write_field
    from anatomical_embedding.registration.registered_scans import note_of
    from anatomical_embedding.volumes.nifti import write_volume

    write_transforms(found, folder, programs=["itk"])
    if asked is not None and carried is not None:
        more = {
            "doubt_mm": ["" if math.isnan(doubt) else f"{doubt:.2f}" for doubt in carried.doubt_mm],
            DECISION: carried.decision,
            "reason": carried.reason,
        }
        write_point_table(carried.points_mm, asked.names, folder / POINTS, coordinates=coordinates, more=more)
        if asked.form is not None and (name := name_of_form(asked.form)):
            said = [
                ": ".join(filter(None, told)) for told in zip(carried.decision, carried.reason, strict=True)
            ]
            write_points(
                carried.points_mm, asked.names, folder / name, form=asked.form, grid=goal, descriptions=said
            )
    write_field(
        found.field.before(found.start.matrix),
        folder / FIELD,
        note=note_of("fixed", found.told),
    )
    if found.doubt is not None:
        write_volume(found.doubt, folder / DOUBT)
    # ITK and 3D Slicer read what is there already.
    write_transforms(found, folder, programs=[name for name in programs if name not in {"itk", "slicer"}])
    write_volume(found.warped(), folder / IMAGE)


def _rows(
    names: Sequence[str], carried: "CarriedPoints", *, coordinates: "Coordinates"
) -> list[dict[str, Any]]:
    """Return the columns of points.csv as one row per point; a doubt that is not known is None."""
    from anatomical_embedding.points.named_points import as_ras
    from anatomical_embedding.points.point_table import POINT_COLUMNS

    shown = as_ras(carried.points_mm, coordinates=coordinates)
    return [
        {
            "name": name,
            **dict(zip(POINT_COLUMNS, map(float, shown[row]), strict=True)),
            "doubt_mm": None if math.isnan(carried.doubt_mm[row]) else float(carried.doubt_mm[row]),
            "decision": carried.decision[row],
            "reason": carried.reason[row],
        }
        for row, name in enumerate(names)
    ]
