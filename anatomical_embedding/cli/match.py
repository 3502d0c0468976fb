"""The verb `match`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingFile,
    ExistingPath,
    OutputPath,
    PointType,
    checkpoint_option,
    coordinates_option,
    grid_of_scan,
    json_option,
    load_libraries,
    print_json,
    reading_options,
    refinement_option,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.api import EmbeddedScan, Model
    from anatomical_embedding.points.named_points import Coordinates, GridOf, NamedPoints
    from anatomical_embedding.settings.matching import Refinement
    from anatomical_embedding.volumes.raw_scan import RawScan


@click.command(short_help="Find points of one scan in others.")
@checkpoint_option
@click.option(
    "--from", "template", type=ExistingPath, required=True, help="Scan or store that the points belong to."
)
@click.option(
    "--to",
    "targets",
    type=ExistingPath,
    multiple=True,
    required=True,
    help="Scan or store to search; repeatable.",
)
@click.option(
    "--point",
    "single",
    type=PointType(),
    multiple=True,
    help="A point in mm, such as -12.5,40,310; repeatable.",
)
@click.option(
    "--points",
    "points_path",
    type=ExistingFile,
    help="File of points: .csv (x_mm,y_mm,z_mm,name), .mrk.json or .fcsv of 3D Slicer, .mps of MITK, or a file of "
    "elastix, ANTs or DICOM (SR, RTSTRUCT).",
)
@coordinates_option
@click.option(
    "--method",
    help="Way of matching: nearest (the most similar place), stable_points (the neighbours of the point decide "
    "together; slower), or another one that the model holds; default: the model's choice.",
)
@reading_options
@click.option(
    "--output",
    type=OutputPath,
    help="Also write the answers to a file: .csv, or .mrk.json or .fcsv for 3D Slicer.",
)
@click.option(
    "--similarity-map",
    "map_path",
    type=OutputPath,
    help="Also write how similar every place of the target is to the point (.nii.gz); one point, one target.",
)
@refinement_option
@json_option
def match(
    checkpoint: Path,
    template: Path,
    targets: tuple[Path, ...],
    single: tuple[tuple[float, float, float], ...],
    points_path: Path | None,
    coordinates: "Coordinates",
    method: str | None,
    reading: dict[str, Any],
    output: Path | None,
    map_path: Path | None,
    refinement: "Refinement | None",
    as_json: bool,
) -> None:
    """Find points of one scan in others and print a line of CSV for each.

    \b
    x_mm, y_mm, z_mm              the answer, in the target
    similarity                    mean cosine, -1 to 1
    cycle_error_mm                distance from the point after matching back
    confidence                    probability that the answer lies within 10 mm
    radius_50_mm, radius_90_mm    radii that hold the true place in 50 and 90
                                  of 100 cases
    decision, reason              found; review (less sure, unlike what the
                                  confidence was fitted to, or outside the body);
                                  out_of_view (no place is given); failed; or
                                  unknown (the model holds no confidence)
    refined, refinement_shift_mm  whether the scans moved the answer to the
                                  voxel, and how far

    docs/confidence.md explains these.

    Example: anatomical-embedding match --checkpoint model.safetensors --from a.nii.gz --to b.nii.gz --point
    -12.5,40,310
    """  # noqa: D301 - click keeps the lines of a list behind a real \b
    load_libraries()
    from anatomical_embedding.answers_file import (
        ANSWER_ENDINGS,
        answers_csv,
        require_one_target,
        write_answers,
    )
    from anatomical_embedding.api import load_model
    from anatomical_embedding.points.named_points import coordinates_in_mm
    from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES

    asked = _asked_points(
        single, points_path, coordinates=coordinates, grid=lambda: grid_of_scan(template, reading).grid
    )
    if map_path is not None and (len(asked.names) > 1 or len(targets) > 1):
        raise click.UsageError("--similarity-map shows one point in one scan; ask for one")
    require_outputs(output, endings=ANSWER_ENDINGS, inputs=[points_path] if points_path else [])
    require_outputs(map_path, endings=NIFTI_SUFFIXES, inputs=(template, *targets))
    if output is not None:
        require_one_target(output, map(str, targets))
    model = load_model(checkpoint)
    if method is not None:
        model.card.usage.method(method)
    rows, remarks = _answers(
        model,
        asked,
        template,
        targets,
        method=method,
        refinement=refinement,
        reading=reading,
        coordinates=coordinates,
        map_path=map_path,
    )
    if output is not None:
        write_answers(rows, output, coordinates=coordinates)
    said = say_remarks(remarks)
    if as_json:
        shown = coordinates_in_mm(coordinates).upper()
        print_json({"coordinates": shown, "answers": rows, "remarks": said})
    else:
        click.echo(answers_csv(rows, coordinates=coordinates), nl=False)


def _asked_points(
    single: tuple[tuple[float, float, float], ...],
    path: Path | None,
    *,
    coordinates: "Coordinates",
    grid: "GridOf",
) -> "NamedPoints":
    """Return the points of the command line: those of --point, or those of a file."""
    import numpy as np

    from anatomical_embedding.points.named_points import NamedPoints, world_points
    from anatomical_embedding.points.points_file import read_points

    if bool(single) == (path is not None):
        raise click.UsageError("expected either --point or --points")
    if path is not None:
        return read_points(path, coordinates=coordinates, grid=grid)
    names = tuple(str(number) for number in range(1, len(single) + 1))
    return NamedPoints(world_points(np.array(single), coordinates=coordinates, grid=grid), names)


def _answers(
    model: "Model",
    asked: "NamedPoints",
    template: Path,
    targets: tuple[Path, ...],
    *,
    method: str | None,
    refinement: "Refinement | None",
    reading: dict[str, Any],
    coordinates: "Coordinates",
    map_path: Path | None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each point in each target, and what to say of points and scans; write the similarity map."""
    from anatomical_embedding.answers_file import answer_rows
    from anatomical_embedding.api import map_similarity, match_points, open_or_embed, read_scans
    from anatomical_embedding.points.dicom_points import require_frame
    from anatomical_embedding.progress import track
    from anatomical_embedding.usage.refinement import (
        remarks_on_program,
        remarks_on_registration,
        require_refinable,
    )
    from anatomical_embedding.volumes.nifti import write_volume

    scans = read_scans(model, (template, *targets), **reading)
    require_refinable(scans.values(), refinement)
    said_of_world = require_frame(asked, scans[template].frame_of_reference, scan=str(template))
    _require_some_inside(template, scans[template], asked)
    source = open_or_embed(model, scans[template])
    _require_some_inside(template, source, asked)
    rows = []
    remarks = [
        *asked.remarks,
        *said_of_world,
        *remarks_on_program(model, scans[template], [scans[path] for path in targets], refinement),
        *source.remarks,
    ]
    for path in track(targets, description="matching", total=len(targets)):
        target = source if path == template else open_or_embed(model, scans[path])
        answers = match_points(model, source, target, asked.points_mm, method=method, refinement=refinement)
        remarks += [*target.remarks, *remarks_on_registration(source, target)]
        rows += answer_rows(asked, answers, target=str(path), coordinates=coordinates)
        if map_path is not None:
            write_volume(map_similarity(model, source, target, asked.points_mm[0]), map_path)
    return rows, remarks


def _require_some_inside(path: Path, source: "EmbeddedScan | RawScan", asked: "NamedPoints") -> None:
    """Refuse a list of points of which none lies in the scan: most likely its coordinates are of another kind."""
    from anatomical_embedding.api import EmbeddedScan, covered_mm
    from anatomical_embedding.errors import UserError

    grid, what = (
        (source.embedded, "whose body") if isinstance(source, EmbeddedScan) else (source.grid, "which")
    )
    if not grid.contains(asked.points_mm).any():
        low, high = covered_mm(source)
        box = ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
        raise UserError(
            f"no point lies inside {path}, {what} covers {box} mm RAS; "
            "check that the points belong to this scan, and whether they are LPS or voxels (--coordinates lps or voxel)"
        )
