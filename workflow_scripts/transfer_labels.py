"""Carry the organ labels of one volume to others: a label map for every store, from one labelled template.

The stores must hold semantic maps: those of a model of method `sampp`, exported with `with_semantic_map: true`.
"""

from pathlib import Path

from anatomical_embedding.embedding.store import open_store
from anatomical_embedding.embedding.store_manifest import read_store_manifest
from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.label_transfer import organ_prototypes, transfer_labels
from anatomical_embedding.progress import log, track
from anatomical_embedding.provenance import note_remarks
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.nifti import write_volume
from workflow_scripts.command_line import command_parser, existing_file, run_stage


def main(arguments: list[str]) -> None:
    """Run the stage `transfer_labels`."""
    parser = command_parser(__doc__)
    parser.add_argument("--stores", type=existing_file, required=True, help="list of embedding stores")
    parser.add_argument("--template", required=True, help="id of the labelled volume in that list")
    parser.add_argument(
        "--labels", type=existing_file, required=True, help="its label map, on any grid in its world"
    )
    parser.add_argument("--targets", nargs="+", help="ids of the volumes to label; all others if left out")
    parser.add_argument(
        "--output-folder", type=Path, required=True, help="label maps <id>.nii.gz on the prepared grids"
    )
    options = parser.parse_args(arguments)

    stores = read_store_manifest(options.stores)
    targets = options.targets or sorted(set(stores) - {options.template})
    unknown = sorted({options.template, *targets} - set(stores))
    if unknown:
        raise UserError(f"{options.stores}: lists no store of {unknown[0]!r}; export its embedding first")
    template = open_store(stores[options.template])
    labels = read_label_file(options.labels)
    note_remarks(labels.remarks)
    prototypes = organ_prototypes(template, labels.volume)
    log(
        f"{len(prototypes.labels)} organs, mean overlap in the template {prototypes.template_dice.mean():.2f}"
    )
    for target_id in track(targets, description="labelling", total=len(targets)):
        target = open_store(stores[target_id], checkpoint_sha256=template.origin.checkpoint_sha256)
        write_volume(transfer_labels(target, prototypes), options.output_folder / f"{target_id}.nii.gz")


if __name__ == "__main__":
    run_stage(main)
