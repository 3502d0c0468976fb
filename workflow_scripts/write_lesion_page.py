"""Write the page of one tracking answer: every lesion in three planes, worst first.

Settings: one entry of the section `trackings`.
"""

from pathlib import Path

from anatomical_embedding.files import written_atomically
from anatomical_embedding.report.lesion_page import render_lesion_page
from anatomical_embedding.report.tracking_inputs import read_tracked_answers
from anatomical_embedding.settings.tracking import TrackingSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `write_lesion_page`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--tracking",
        type=Path,
        required=True,
        metavar="PREFIX",
        help="trackings/NAME/SPLIT/MODEL.METHOD, to which the suffixes of the files are added",
    )
    parser.add_argument("--index", type=existing_file, required=True, help="index of the data set")
    parser.add_argument("--title", required=True, help="title of the page")
    parser.add_argument("--output", type=Path, required=True, help="page (HTML) to write")
    options = parser.parse_args(arguments)

    name = options.tracking.parent.parent.name
    settings = parse_settings(TrackingSettings, options.settings)
    answers = read_tracked_answers([options.tracking], [options.index], trackings={name: settings})[0]
    page = render_lesion_page(answers, title=options.title)
    with written_atomically(options.output) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
