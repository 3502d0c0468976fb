"""Write the index of a fold: some training patients are set aside to answer for a confidence.

Settings: number and count of the fold.
"""

from pathlib import Path

from anatomical_embedding.datasets.folds import set_fold_aside
from anatomical_embedding.index_file import read_index, write_index
from anatomical_embedding.progress import log
from anatomical_embedding.settings.folds import FoldSettings
from workflow_scripts.command_line import existing_file, parse_settings, run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `set_fold_aside`."""
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=existing_file, required=True, help="index of the data set")
    parser.add_argument("--output", type=Path, required=True, help="index to write, in the same folder")
    options = parser.parse_args(arguments)
    fold = parse_settings(FoldSettings, options.settings)
    rows = set_fold_aside(read_index(options.index), fold=fold)
    write_index(rows, options.output)
    log(f"{len({row.patient_id for row in rows if row.split == 'test'})} patients are set aside")


if __name__ == "__main__":
    run_stage(main)
