"""CPU seconds until the library is imported and until the commands answer, for several checkouts by turns.

    python -m benchmarks.start_up CHECKOUT [CHECKOUT ...] [--repeats 5]

A checkout is a folder that holds `anatomical_embedding`; all run in this interpreter's environment. They take turns, so
that a busy machine slows them alike. Printed are the lowest and the median of the repeats, user and system together.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

MODULE = "anatomical_embedding.cli.main"
STARTS = {
    "import api": ("-c", "import anatomical_embedding.api"),
    "--help": ("-m", MODULE, "--help"),
    "match --help": ("-m", MODULE, "match", "--help"),
}


def cpu_seconds(checkout: Path, arguments: tuple[str, ...]) -> float:
    """Return the CPU seconds of one start, of its child processes as well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print a row for each start and checkout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    checkouts = [checkout.resolve() for checkout in options.checkouts]
    seconds: dict[tuple[str, Path], list[float]] = {}
    for _ in range(options.repeats + 1):
        for name, arguments in STARTS.items():
            for checkout in checkouts:
                seconds.setdefault((name, checkout), []).append(cpu_seconds(checkout, arguments))
    print("start           lowest  median  checkout")
    for (name, checkout), times in seconds.items():
        kept = times[1:]  # the first start of all compiles the modules
        print(f"{name:<14} {min(kept):7.2f} {statistics.median(kept):7.2f}  {checkout}")


if __name__ == "__main__":
    main()
