"""The verb `propagate`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anatomical_embedding.cli.options import (
    ExistingPath,
    OutputPath,
    checkpoint_option,
    json_option,
    load_libraries,
    print_json,
    reading_options,
    refinement_option,
    require_outputs,
    say_remarks,
)

if TYPE_CHECKING:
    from anatomical_embedding.settings.matching import Refinement


@click.command(short_help="Carry organ or lesion masks to another scan.")
@checkpoint_option
@click.option(
    "--labels",
    type=ExistingPath,
    required=True,
    help="Labels of --from: a map (.nii.gz, .nrrd, .mha), a folder of masks, .seg.nrrd, DICOM SEG or RTSTRUCT.",
)
@click.option(
    "--from", "template", type=ExistingPath, required=True, help="Scan or store that the labels belong to."
)
@click.option("--to", "target", type=ExistingPath, required=True, help="Scan or store to carry them to.")
@click.option(
    "--output",
    type=OutputPath,
    required=True,
    help="Label map to write (.nii.gz), on the grid of the target.",
)
@refinement_option
@reading_options
@json_option
def propagate(
    checkpoint: Path,
    labels: Path,
    template: Path,
    target: Path,
    output: Path,
    refinement: "Refinement | None",
    reading: dict[str, Any],
    as_json: bool,
) -> None:
    """Carry organ or lesion masks to another scan.

    Points in and around each label are matched to the other scan and back; those that match back carry it. For each
    label the volume in both scans and a decision are printed: found; review (few points match back, or the scans are
    unlike those that the confidence was fitted to); failed (the label is left out); or unknown (the model holds no
    confidence). The result lies on the grid of the target scan, or on the prepared grid of a store.
    """
    load_libraries()
    from anatomical_embedding.api import (
        load_model,
        open_or_embed,
        propagate_labels,
        read_labels_of,
        read_scans,
    )
    from anatomical_embedding.progress import log
    from anatomical_embedding.usage.refinement import require_refinable
    from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
    from anatomical_embedding.volumes.label_file import require_labels
    from anatomical_embedding.volumes.nifti import write_volume

    require_outputs(output, endings=NIFTI_SUFFIXES, inputs=(labels, template, target))
    require_labels(labels, geometry=reading["geometry"])
    model = load_model(checkpoint)
    scans = read_scans(model, (template, target), **reading)
    require_refinable(scans.values(), refinement)
    mask = read_labels_of(scans[template], labels, geometry=reading["geometry"])
    log("embedding the first scan")
    source = open_or_embed(model, scans[template])
    log("embedding the second scan")
    goal = open_or_embed(model, scans[target])
    found = propagate_labels(model, source, mask.volume, goal, grid=goal.scan_grid, refinement=refinement)
    write_volume(found.volume, output)
    called = {
        label.label: f"label {label.label} {mask.names.get(label.label, '')}".strip()
        for label in found.labels
    }
    left_out = [
        f"{called[label.label]} is left out, {label.reason}"
        for label in found.labels
        if label.decision == "failed"
    ]
    remarks = say_remarks([*mask.remarks, *source.remarks, *goal.remarks, *left_out])
    if as_json:
        rows = [
            {"label": label.label, "name": mask.names.get(label.label)} | asdict(label)
            for label in found.labels
        ]
        print_json({"output": str(output), "labels": rows, "refined": found.refined, "remarks": remarks})
        return
    for label in found.labels:
        volumes = f"{label.from_ml:.1f} ml to {label.to_ml:.1f} ml"
        click.echo(f"{called[label.label]}: {label.decision}, {volumes}{_because(label.reason)}")


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
