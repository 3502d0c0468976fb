"""Make the scans of one synthetic body, with its organ labels, landmarks and lesions.

The settings are the section of a data set of kind `phantom`. Only the scans that are asked for are written;
landmarks and lesions are listed for each of them, in its own world.
"""

from pathlib import Path

from anatomical_embedding.csv_table import write_csv_table
from anatomical_embedding.errors import SettingsError
from anatomical_embedding.phantom.lesion_table import PHANTOM_LESION_COLUMNS
from anatomical_embedding.phantom.scan import PhantomScan
from anatomical_embedding.phantom.synthetic_body import make_follow_up, make_subject
from anatomical_embedding.settings.phantom import PhantomSubjectSettings, volume_id
from anatomical_embedding.volumes.nifti import write_volume
from workflow_scripts.command_line import parse_settings, run_stage, stage_parser

COORDINATES = ("x_mm", "y_mm", "z_mm")


def main(arguments: list[str]) -> None:
    """Make one subject and write what the arguments name."""
    parser = stage_parser(__doc__)
    parser.add_argument("--subject-index", type=int, required=True, help="which subject, from 0")
    parser.add_argument("--output-ct", type=Path, help="NIfTI file of the CT")
    parser.add_argument("--output-labels", type=Path, help="NIfTI file of the organ labels on the CT's grid")
    parser.add_argument("--output-mr", type=Path, help="NIfTI file of the MR")
    parser.add_argument("--output-mr-labels", type=Path, help="NIfTI file of the labels on the MR's grid")
    parser.add_argument("--output-follow-up", type=Path, help="NIfTI file of a second CT at a later time")
    parser.add_argument("--output-follow-up-labels", type=Path, help="NIfTI file of the labels on its grid")
    parser.add_argument("--output-landmarks", type=Path, required=True, help="CSV of the landmarks in view")
    parser.add_argument("--output-lesions", type=Path, required=True, help="CSV of the lesions")
    options = parser.parse_args(arguments)
    settings = parse_settings(PhantomSubjectSettings, options.settings)
    subject = make_subject(settings, subject_index=options.subject_index)
    scans: dict[str, PhantomScan] = {}
    if options.output_ct or options.output_labels:
        scan = _made(subject.ct, "ct")
        scans[volume_id(options.subject_index, "ct")] = scan
        _write_scan(scan, options.output_ct, options.output_labels)
    if options.output_mr or options.output_mr_labels:
        scan = _made(subject.mr, "mr")
        scans[volume_id(options.subject_index, "mr")] = scan
        _write_scan(scan, options.output_mr, options.output_mr_labels)
    if options.output_follow_up or options.output_follow_up_labels:
        scan = make_follow_up(settings, subject_index=options.subject_index)
        scans[volume_id(options.subject_index, "ct_follow_up")] = scan
        _write_scan(scan, options.output_follow_up, options.output_follow_up_labels)
    write_csv_table(["volume_id", "landmark", *COORDINATES], _landmark_rows(scans), options.output_landmarks)
    write_csv_table(list(PHANTOM_LESION_COLUMNS), _lesion_rows(scans), options.output_lesions)


def _made(scan: PhantomScan | None, modality: str) -> PhantomScan:
    """Return the scan, if the settings ask for its modality."""
    if scan is None:
        raise SettingsError(f"modalities: {modality} is asked for but not listed; add it to the list")
    return scan


def _write_scan(scan: PhantomScan, volume_path: Path | None, labels_path: Path | None) -> None:
    """Write a scan and its labels where paths are given."""
    if volume_path:
        write_volume(scan.volume, volume_path)
    if labels_path:
        write_volume(scan.labels, labels_path)


def _landmark_rows(scans: dict[str, PhantomScan]) -> list[tuple]:
    """Return one row per landmark and scan."""
    return [
        (name, landmark, *(f"{value:.4f}" for value in point))
        for name, scan in scans.items()
        for landmark, point in sorted(scan.landmarks_mm.items())
    ]


def _lesion_rows(scans: dict[str, PhantomScan]) -> list[tuple]:
    """Return one row per lesion and scan."""
    return [
        (
            name,
            lesion.name,
            lesion.organ,
            *(f"{value:.4f}" for value in (*lesion.centre_mm, lesion.radius_mm)),
            str(lesion.is_inside).lower(),
        )
        for name, scan in scans.items()
        for lesion in scan.lesions
    ]


if __name__ == "__main__":
    run_stage(main)
