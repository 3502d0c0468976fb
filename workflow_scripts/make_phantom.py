"""Make one synthetic body: its CT, organ labels, exactly known landmarks and lesions."""

import csv
from collections.abc import Iterable
from pathlib import Path

from anatomical_embedding.datasets.phantom import make_subject
from anatomical_embedding.datasets.phantom_scan import Lesion
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.landmark_file import Landmark, write_landmarks
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.volumes.nifti import write_volume
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Write the files of one body."""
    parser = stage_parser(__doc__)
    parser.add_argument("--subject-index", type=int, required=True, help="number of the body, from 0")
    parser.add_argument("--output-ct", type=Path, required=True)
    parser.add_argument("--output-labels", type=Path, required=True, help="organ map on the grid of the CT")
    parser.add_argument("--output-landmarks", type=Path, required=True, help="CSV, world mm RAS+")
    parser.add_argument("--output-lesions", type=Path, required=True, help="CSV, world mm RAS+")
    options = parser.parse_args(arguments)
    settings = parse_settings(PhantomSettings, options.settings)

    subject = make_subject(settings, subject_index=options.subject_index)
    scan = subject.ct
    if scan is None:
        raise SettingsError("modalities: must name ct")
    write_volume(scan.volume, options.output_ct)
    write_volume(scan.labels, options.output_labels)
    write_landmarks(
        [
            Landmark(subject.subject_id, name, *point_mm.tolist())
            for name, point_mm in scan.landmarks_mm.items()
        ],
        options.output_landmarks,
    )
    _write_lesions(scan.lesions, options.output_lesions)


def _write_lesions(lesions: Iterable[Lesion], path: Path) -> None:
    with written_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["lesion", "organ", "x_mm", "y_mm", "z_mm", "radius_mm", "is_inside"])
        for lesion in lesions:
            writer.writerow(
                [
                    lesion.name,
                    lesion.organ,
                    *(f"{value:.4f}" for value in lesion.centre_mm),
                    f"{lesion.radius_mm:.4f}",
                    int(lesion.is_inside),
                ]
            )


if __name__ == "__main__":
    run_stage(main)
