"""Write the queries of a landmark evaluation: ordered pairs of volumes and the landmarks that both show.

Settings: `split`, `pairs` and `landmarks` of a landmark evaluation, and whether targets are cut as well.
"""

from pathlib import Path

import pandas as pd

from anatomical_embedding.evaluation.landmarks.cut_queries import MOST_TEMPLATES, with_cut_views
from anatomical_embedding.evaluation.landmarks.queries import landmarks_in_view, make_queries
from anatomical_embedding.evaluation.landmarks.tables import write_table
from anatomical_embedding.index_file import read_index
from anatomical_embedding.landmark_file import LANDMARK_COLUMNS, read_landmarks
from anatomical_embedding.progress import log
from anatomical_embedding.settings.evaluation import MakeQueriesSettings
from anatomical_embedding.volumes.nifti import map_volume
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `make_queries`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument("--landmarks", type=existing_file, required=True, help="landmarks of the data set")
    parser.add_argument("--output", type=Path, required=True, help="queries to write")
    options = parser.parse_args(arguments)
    settings = parse_settings(MakeQueriesSettings, options.settings)

    rows = [row for row in read_index(options.index) if row.split == settings.split]
    volumes = {row.volume_id: map_volume(row.image_path) for row in rows}
    landmarks = pd.DataFrame(read_landmarks(options.landmarks), columns=list(LANDMARK_COLUMNS))
    queries = make_queries(
        {row.volume_id: row.modality for row in rows}, landmarks_in_view(landmarks, volumes), settings
    )
    if settings.with_cuts:
        queries = with_cut_views(queries, volumes, most_templates=MOST_TEMPLATES)
    write_table(queries, options.output)
    log(f"{len(queries)} queries between {queries['template_id'].nunique()} templates and their targets")


if __name__ == "__main__":
    run_stage(main)
