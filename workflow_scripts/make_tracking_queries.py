"""Write annotated lesion pairs as queries in world mm, and where the index grid of every volume lies in the world."""

from pathlib import Path

import pandas as pd

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.evaluation.landmarks.tables import write_table
from anatomical_embedding.evaluation.lesions.frames import write_frames
from anatomical_embedding.evaluation.lesions.queries import (
    annotation_frames,
    queries_of_annotations,
    queries_out_of_view,
)
from anatomical_embedding.evaluation.lesions.tracked_volumes import tracked_volumes
from anatomical_embedding.index_file import read_index
from workflow_scripts.command_line import command_parser, existing_file, run_stage


def main(arguments: list[str]) -> None:
    """Run the stage `make_tracking_queries`."""
    parser = command_parser(__doc__)
    parser.add_argument("--annotations", type=existing_file, required=True, help="annotation file of a split")
    parser.add_argument(
        "--out-of-view", type=existing_file, help="pairs whose lesion lies outside the target"
    )
    parser.add_argument("--index", type=existing_file, required=True, help="index of the prepared volumes")
    parser.add_argument("--output-queries", type=Path, required=True, help="queries (CSV) to write")
    parser.add_argument("--output-frames", type=Path, required=True, help="affines of the volumes (CSV)")
    options = parser.parse_args(arguments)

    volumes = tracked_volumes(read_index(options.index))
    queries = queries_of_annotations(options.annotations, volumes)
    if options.out_of_view is not None:
        queries = pd.concat([queries, queries_out_of_view(options.out_of_view, volumes)], ignore_index=True)
    repeated = queries[queries["query_id"].duplicated()]
    if len(repeated) > 0:
        raise InputFileError(options.out_of_view, f"names the pair {repeated['query_id'].iloc[0]!r} again")
    frames = annotation_frames(options.annotations, volumes)
    write_frames(frames, options.output_frames)
    write_table(queries, options.output_queries)


if __name__ == "__main__":
    run_stage(main)
