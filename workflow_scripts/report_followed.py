"""Gather the visits of a followed patient, measure the lesions, and write tables and report.

Settings: how lesions are followed (anatomical_embedding/settings/follow.py), for the record.
"""

from pathlib import Path

from anatomical_embedding.follow.dicom_out import remarks_on_old_objects
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.patient import gather
from anatomical_embedding.follow.report_files import write_patient_report
from anatomical_embedding.model_card import read_model_card
from anatomical_embedding.progress import log
from anatomical_embedding.settings.follow import FollowSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `report_followed`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--visits", nargs="+", required=True, help="names of the visits, in the order of time"
    )
    parser.add_argument("--patient", required=True)
    parser.add_argument("--checkpoint", type=existing_file, required=True, help="packaged model")
    parser.add_argument("--folder", type=Path, required=True, help="of the patient")
    options = parser.parse_args(arguments)
    settings = parse_settings(FollowSettings, options.settings)
    card, _ = read_model_card(options.checkpoint)
    gather(
        options.patient,
        options.visits,
        FollowFolder(options.folder),
        checkpoint_sha256=card.checkpoint_sha256,
        settings=settings,
    )
    history = write_patient_report(options.folder)
    for remark in (*history.remarks, *remarks_on_old_objects(history.folder, history.visits)):
        log(f"note: {remark}")


if __name__ == "__main__":
    run_stage(main)
