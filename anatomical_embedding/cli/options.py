"""What several verbs share: options, parsing and printing."""

import functools
import gc
import json
import math
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from anatomical_embedding.points.named_points import NamedPoints
    from anatomical_embedding.volumes.grid import Grid
    from anatomical_embedding.volumes.raw_scan import ScanGrid

ExistingPath = click.Path(exists=True, path_type=Path)
ExistingFile = click.Path(exists=True, dir_okay=False, path_type=Path)
OutputPath = click.Path(path_type=Path)
NUM_COORDINATES = 3

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

checkpoint_option: Decorator = click.option(
    "--checkpoint",
    type=ExistingFile,
    required=True,
    help="Model to use: model.safetensors of a run, or of `import`.",
)
_modality_option: Decorator = click.option(
    "--modality",
    type=click.Choice(["ct", "mr"]),
    help="Kind of all scans given; default: from the DICOM header, else judged from the intensities.",
)
_geometry_option: Decorator = click.option(
    "--geometry",
    type=click.Choice(["sform", "qform"]),
    help="Which form to use where a NIfTI header states two positions; default: such files are refused.",
)
_hu_offset_option: Decorator = click.option(
    "--hu-offset",
    type=float,
    help="Number to add to the values of every CT to get HU, such as -1024; default: judged from the values.",
)
refinement_option: Decorator = click.option(
    "--refinement",
    type=click.Choice(["none", "parabolic", "voxel"]),
    help="Where an answer lies: at the centre of its cell (none), interpolated within the cell (parabolic), or on the "
    "voxel, by comparing the scans themselves (voxel; not for stores). Default: as the model says; stores answer in "
    "their cells.",
)
_series_option: Decorator = click.option(
    "--series",
    help="DICOM series to take, by number or UID, where a folder holds several; default: such folders are refused and "
    "their series listed.",
)
_largest_gap_option: Decorator = click.option(
    "--largest-gap",
    "largest_gap_mm",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest gap in mm to interpolate between unequally spaced DICOM slices; default: the model's (10 in the "
    "recipes).",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
coordinates_option: Decorator = click.option(
    "--coordinates",
    type=click.Choice(["ras", "lps", "voxel"]),
    default="ras",
    show_default=True,
    help="Coordinates of the points: ras (NIfTI) or lps (DICOM, ITK) in mm, read and written; or voxel of their scan, "
    "read only (written are RAS mm). Files that state their own coordinates are read by those.",
)


def reading_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say of scans what they do not say themselves; the verb gets them as one, `reading`.

    `reading` holds keywords of the library: `modality`, `geometry`, `hu_offset`, `series`, `largest_gap_mm`.
    """

    @functools.wraps(verb)
    def with_reading(
        *arguments: Any,
        modality: str | None,
        geometry: str | None,
        hu_offset: float | None,
        series: str | None,
        largest_gap_mm: float | None,
        **others: Any,
    ) -> Any:
        if hu_offset is not None and not math.isfinite(hu_offset):
            raise click.UsageError(f"--hu-offset: expected a number such as -1024, got {hu_offset}")
        reading: dict[str, Any] = {
            "modality": modality,
            "geometry": geometry,
            "hu_offset": hu_offset,
            "series": series,
            "largest_gap_mm": largest_gap_mm,
        }
        return verb(*arguments, reading=reading, **others)

    return _modality_option(
        _geometry_option(_hu_offset_option(_series_option(_largest_gap_option(with_reading))))
    )


def load_libraries() -> None:
    """Load what the use of a model needs; the collector, which would look through it again and again, leaves it out."""
    if "torch" in sys.modules:
        return
    gc.disable()
    import_module("anatomical_embedding.late_parts").leave_for_later()
    import_module("anatomical_embedding.usage.model")
    gc.freeze()
    gc.enable()


def grid_of_scan(scan: Path, reading: dict[str, Any]) -> "ScanGrid":
    """Return the voxels of a raw scan or another image, for points that are counted in them.

    Raises
    ------
    UserError
        if it is a store, which keeps another grid, or cannot be read.
    """
    from anatomical_embedding.embedding.export import STORE_SUFFIX
    from anatomical_embedding.errors import InputFileError
    from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_scan_grid

    if scan.suffix == STORE_SUFFIX:
        raise InputFileError(
            scan, "is a store, which does not keep the voxels of its scan; name the scan itself"
        )
    return read_scan_grid(scan, ReadingOptions(**reading))


class PointType(click.ParamType):
    """Three numbers in mm with commas between, such as -12.5,40,310."""

    name = "X,Y,Z"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        """Return the numbers of a text."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != NUM_COORDINATES or not all(map(math.isfinite, numbers)):
            self.fail(f"expected three numbers in mm such as -12.5,40,310, got {value!r}", param, ctx)
        return numbers[0], numbers[1], numbers[2]


def require_outputs(*paths: Path | None, endings: tuple[str, ...] = (), inputs: Iterable[Path] = ()) -> None:
    """Refuse files that cannot be written, before work is done for them; None is no file.

    Parameters
    ----------
    endings : one of which the names must have; none asks for no ending.
    inputs : files that must not be written over.

    Raises
    ------
    UserError
        naming the first that cannot be written, or has another ending.
    """
    from anatomical_embedding.errors import InputFileError
    from anatomical_embedding.files import require_writable_file

    for path in paths:
        if path is None:
            continue
        if endings and not path.name.endswith(endings):
            raise InputFileError(path, f"expected a name that ends in {' or '.join(endings)}")
        if path.exists() and any(path.samefile(source) for source in inputs):
            raise InputFileError(path, "is an input and would be overwritten; name another output")
        require_writable_file(path)


def points_outside(asked: "NamedPoints", grid: "Grid", whose: str, *, hint: str = "") -> list[str]:
    """Return a remark on each point outside the scan that they are carried from, and refuse a list with none inside.

    Parameters
    ----------
    grid, whose : voxels of the scan, and what it is called.
    hint : option that says whose points they are; empty for none.

    Raises
    ------
    UserError
        if no point lies inside: most likely its coordinates are of another kind.
    """
    from anatomical_embedding.errors import UserError

    is_inside = grid.contains(asked.points_mm)
    if not is_inside.any():
        owner = f" ({hint})" if hint else ""
        raise UserError(
            f"no point lies inside {whose}; check that the points belong to this scan{owner} and whether they are LPS "
            "(--coordinates lps)"
        )
    return [
        f"the point {name!r} lies outside {whose}; it is carried as the nearest places are"
        for name, inside in zip(asked.names, is_inside, strict=True)
        if not inside
    ]


def say_remarks(remarks: Iterable[str]) -> list[str]:
    """Say on standard error what was left out or corrected, a `note:` each, and return the list for `--json`.

    A remark that comes twice, as that of a scan which two steps look at, is said once.
    """
    distinct = list(dict.fromkeys(" ".join(remark.split()) for remark in remarks))
    for remark in distinct:
        click.echo(f"note: {remark}", err=True)
    return distinct


def print_json(content: Any) -> None:
    """Print a result for programs."""
    click.echo(json.dumps(content, indent=2, allow_nan=False))
