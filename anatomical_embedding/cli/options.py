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

from anatomical_embedding.lean_torch import leave_rules_for_later

if TYPE_CHECKING:
    from anatomical_embedding.volumes.raw_scan import ScanGrid

ExistingPath = click.Path(exists=True, path_type=Path)
ExistingFile = click.Path(exists=True, dir_okay=False, path_type=Path)
OutputPath = click.Path(path_type=Path)
NUM_COORDINATES = 3

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

checkpoint_option: Decorator = click.option(
    "--checkpoint", type=ExistingFile, required=True, help="The model: model.safetensors of a run."
)
_modality_option: Decorator = click.option(
    "--modality",
    type=click.Choice(["ct", "mr"]),
    help="Kind of the scans; default: read from the DICOM header, else judged from the intensities.",
)
_geometry_option: Decorator = click.option(
    "--geometry",
    type=click.Choice(["sform", "qform"]),
    help="Form to use for NIfTI files whose header states two positions; default: such files are refused.",
)
_hu_offset_option: Decorator = click.option(
    "--hu-offset",
    type=float,
    help="Number to add to the values of the CTs to get HU, such as -1024; default: judged from the values.",
)
refinement_option: Decorator = click.option(
    "--refinement",
    type=click.Choice(["none", "parabolic", "voxel"]),
    help="How a match moves on from its cell: not at all, within the cell, or to where the scans themselves look "
    "alike; default: the model's, as far as raw scans are given.",
)
_series_option: Decorator = click.option(
    "--series",
    help="Number or UID of the DICOM series to take in folders that hold several; default: they are refused.",
)
_largest_gap_option: Decorator = click.option(
    "--largest-gap",
    "largest_gap_mm",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest gap in mm that is interpolated between DICOM slices that are not equally far apart; default: the "
    "model's, which is 10 in the recipes.",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
coordinates_option: Decorator = click.option(
    "--coordinates",
    type=click.Choice(["ras", "lps", "voxel"]),
    default="ras",
    show_default=True,
    help="Coordinates of points: RAS (NIfTI) or LPS (DICOM, ITK) mm, in and out, or voxels of their scan, in; files "
    "that state their own are read by it.",
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
    leave_rules_for_later()
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
            raise InputFileError(path, "is read and would be written over; give another name")
        require_writable_file(path)


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
