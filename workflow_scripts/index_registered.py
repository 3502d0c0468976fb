"""Gather the registered pairs of one registration into the list that a training reads."""

from pathlib import Path

from anatomical_embedding.progress import log
from anatomical_embedding.registration.guided_start import read_start
from anatomical_embedding.registration.registered_volume import RegisteredPairRow, write_registered_pairs
from workflow_scripts.command_line import run_stage, stage_parser


def main(arguments: list[str]) -> None:
    """Run the stage `index_registered`."""
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--pair", nargs=3, action="append", required=True, metavar=("FIXED", "MOVING", "FOLDER")
    )
    parser.add_argument("--output", type=Path, required=True, help="list of pairs (CSV) to write")
    options = parser.parse_args(arguments)
    rows = []
    for fixed_id, moving_id, name in options.pair:
        folder = Path(name)
        start = read_start(folder / "start.json")
        places = folder / "training_moving.nii", folder / "training_mask.nii"
        rows.append(
            RegisteredPairRow(fixed_id, moving_id, start.status, start.reason, start.confidence, *places)
        )
    write_registered_pairs(rows, options.output)
    failed = [row for row in rows if row.status == "failed"]
    log(f"{len(rows)} pairs, {len(failed)} failed")
    for row in failed:
        log(f"{row.fixed_id} and {row.moving_id}: {row.reason}")


if __name__ == "__main__":
    run_stage(main)
