"""Name what differs between two runs, job by job: settings, code, versions, device, inputs, outputs.

    python -m workflow_scripts.compare_runs results/first results/second

Exit code 0 if nothing differs, 1 if something does. Reads the manifests below `provenance/` of both.
"""

import sys
from pathlib import Path

from anatomical_embedding.errors import UserError
from anatomical_embedding.provenance import differences, read_manifests
from workflow_scripts.command_line import command_parser, run_stage

EXIT_DIFFERENT = 1


def main(arguments: list[str]) -> None:
    """Print the differences."""
    parser = command_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs=2, metavar="RESULTS")
    options = parser.parse_args(arguments)
    for run in options.runs:
        if not (run / "provenance").is_dir():
            raise UserError(f"{run}: has no folder named provenance; expected the results of a run")
    first, second = (read_manifests(run / "provenance") for run in options.runs)
    is_different = False
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            lines = [f"is in {options.runs[0 if name in first else 1]} only"]
        else:
            lines = list(differences(first[name], second[name]))
        for line in lines:
            is_different = True
            print(f"{name}: {line}")
    if is_different:
        sys.exit(EXIT_DIFFERENT)
    print(f"{len(first)} jobs, nothing differs")


if __name__ == "__main__":
    run_stage(main)
