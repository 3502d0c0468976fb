"""Write the lesions of synthetic bodies at two times as public annotation files, one of each split.

Settings: the section of a data set of kind `phantom_tracking`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from anatomical_embedding.csv_table import read_table
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.baselines.body_box import BodyBox
from anatomical_embedding.evaluation.lesions.phantom_annotations import (
    LesionScan,
    ScannedLesion,
    annotate_pairs,
)
from anatomical_embedding.evaluation.lesions.tracked_volumes import TrackedVolume, tracked_volumes
from anatomical_embedding.files import write_json
from anatomical_embedding.index_file import read_index
from anatomical_embedding.phantom.lesion_table import PHANTOM_LESION_COLUMNS
from anatomical_embedding.progress import log
from anatomical_embedding.settings.dataset import DatasetSectionSettings
from anatomical_embedding.settings.phantom import (
    PhantomTrackingSettings,
    tracked_patient_id,
    tracked_volume_id,
    volume_id,
)
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser

ANNOTATED_SPLITS = ("validation", "test")


def main(arguments: list[str]) -> None:
    """Run the stage `annotate_phantoms`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument(
        "--phantom-folder", type=Path, required=True, help="holds <patient>.lesions.csv of every body"
    )
    parser.add_argument(
        "--output-folder", type=Path, required=True, help="where <split>.json and <split>.out_of_view.json go"
    )
    options = parser.parse_args(arguments)
    dataset = parse_settings(DatasetSectionSettings, options.settings).dataset
    if not isinstance(dataset, PhantomTrackingSettings):
        raise InputFileError(options.index, f"is of kind {dataset.kind}, expected phantom_tracking")

    volumes = tracked_volumes(read_index(options.index))
    for split in ANNOTATED_SPLITS:
        subjects = [
            index
            for index in range(dataset.num_subjects)
            if volumes[tracked_volume_id(index, time_point=1)].row.split == split
        ]
        bodies = [_body(index, volumes, folder=options.phantom_folder) for index in subjects]
        annotated, out_of_view = annotate_pairs(bodies)
        write_json(options.output_folder / f"{split}.json", annotated)
        write_json(options.output_folder / f"{split}.out_of_view.json", out_of_view)
        log(f"{split}: {len(annotated)} pairs, {len(out_of_view)} whose lesion is out of view")


def _body(
    subject_index: int, volumes: dict[str, TrackedVolume], *, folder: Path
) -> tuple[LesionScan, LesionScan]:
    rows = read_table(folder / f"{tracked_patient_id(subject_index)}.lesions.csv", PHANTOM_LESION_COLUMNS)
    first = volumes[tracked_volume_id(subject_index, time_point=1)]
    second = volumes[tracked_volume_id(subject_index, time_point=2)]
    return (
        _scan(first, [row for _, row in rows if row["volume_id"] == volume_id(subject_index, "ct")]),
        _scan(
            second, [row for _, row in rows if row["volume_id"] == volume_id(subject_index, "ct_follow_up")]
        ),
    )


def _scan(volume: TrackedVolume, rows: list[dict[str, Any]]) -> LesionScan:
    lesions = {
        row["lesion"]: ScannedLesion(
            row["lesion"],
            np.array([row["x_mm"], row["y_mm"], row["z_mm"]]),
            row["radius_mm"],
            row["is_inside"] == "true",
        )
        for row in rows
    }
    return LesionScan(volume, BodyBox.of(map_volume(volume.row.body_mask_path)), lesions)


if __name__ == "__main__":
    run_stage(main)
