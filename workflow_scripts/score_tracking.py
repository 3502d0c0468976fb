"""Score tracked lesions under every published definition.

Reads a Deep Lesion Tracking annotation file and predictions: the published JSON, the annotation file itself (its
affine start), or a CSV with `pair_id` or `query_id` and `x_vox, y_vox, z_vox` (annotation index) or `x_mm, y_mm, z_mm`
(world RAS+, with --volumes). Writes scores as JSON, on request a CSV row for every pair, and prints the published
lines. Intervals and tests are clustered by patient.
"""

import argparse
import sys

from anatomical_embedding.evaluation.lesions.referee import NUM_DRAWS, SEED, score_files
from anatomical_embedding.evaluation.lesions.tables import write_pairs
from anatomical_embedding.files import write_json
from workflow_scripts.command_line import command_parser, existing_file, output_file, run_stage


def main(arguments: list[str]) -> None:
    """Score a file of predictions, and compare it with another."""
    options = _parser().parse_args(arguments)
    scored = score_files(
        options.annotations,
        options.predictions,
        compare_path=options.compare,
        frames_path=options.volumes,
        set_aside_path=options.set_aside,
        count_missing_as_failed=options.count_missing_as_failed,
        num_draws=options.num_draws,
        seed=options.seed,
    )
    if options.pairs_output is not None:
        write_pairs(scored.predictions, options.pairs_output)
    write_json(options.output, scored.scores)
    sys.stdout.write("".join(f"{line}\n" for line in scored.lines))


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--annotations", type=existing_file, required=True, help="annotation file, such as test.json"
    )
    parser.add_argument("--predictions", type=existing_file, required=True, help="JSON or CSV")
    parser.add_argument("--output", type=output_file, required=True, help="JSON file of scores to write")
    parser.add_argument("--compare", type=existing_file, help="second file of predictions for a paired test")
    parser.add_argument("--pairs-output", type=output_file, help="CSV file to write, one row per pair")
    parser.add_argument(
        "--volumes",
        type=existing_file,
        help="CSV with the affine of each volume's annotation grid, for predictions in world mm",
    )
    parser.add_argument(
        "--count-missing-as-failed",
        action="store_true",
        help="count pairs without row, with several rows or with non-finite coordinates as failed, not as an error",
    )
    parser.add_argument(
        "--set-aside",
        type=existing_file,
        help="JSON of pairs whose rows are not scored: those with the lesion outside the target",
    )
    parser.add_argument(
        "--num-draws",
        type=_positive_integer,
        default=NUM_DRAWS,
        help="bootstrap samples, and permutations of the paired test (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of bootstrap and test (default: %(default)s)")
    return parser


def _positive_integer(text: str) -> int:
    """Turn an argument into an integer above zero (an argparse type)."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number


if __name__ == "__main__":
    run_stage(main)
