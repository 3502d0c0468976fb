"""What the stages of a finished run cost in several checkouts: jobs run again by turns, one of each rule.

    cp -r results /tmp/copy/results
    python -m benchmarks.replayed_stages . --copy /tmp/copy --checkouts OLD NEW

The commands come from what Snakemake noted of the run in the folder that is named first, and run in the copy, whose
files they write again. Of each rule the job is taken whose command comes in the middle in the order of the alphabet;
trainings and `deeds` are left out. A row a rule: jobs, and the median of the user and system seconds of one job in each
checkout; the last row is the sum over all jobs.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.stage_costs import kind_of


def noted_commands(run: Path) -> dict[str, list[str]]:
    """Return the commands of the jobs of each rule that Snakemake noted in the folder of a run."""
    commands: dict[str, set[str]] = defaultdict(set)
    for path in (run / ".snakemake" / "metadata").rglob("*"):
        if path.is_file():
            noted = json.loads(path.read_text(encoding="utf-8"))
            if noted.get("shellcmd") and kind_of(noted["rule"]) == "all other stages":
                commands[noted["rule"]].add(noted["shellcmd"])
    return {rule: sorted(found) for rule, found in sorted(commands.items())}


def cpu_seconds(command: str, *, copy: Path, checkout: Path) -> float:
    """Run a job in the copy with the sources of a checkout, and return its user and system seconds."""
    words = shlex.split(command)
    if "--store-folder" in words:  # stores that are there would not be made again
        shutil.rmtree(copy / words[words.index("--store-folder") + 1], ignore_errors=True)
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(["bash", "-c", command], cwd=copy, env=environment)  # noqa: S607
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{checkout}: a job ended with status {status}: {command}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder in which Snakemake ran")
    parser.add_argument("--copy", type=Path, required=True, help="folder with a copy of its results")
    parser.add_argument("--checkouts", type=Path, nargs="+", required=True)
    parser.add_argument("--rules", nargs="*", help="only these")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    sums = dict.fromkeys(options.checkouts, 0.0)
    for rule, commands in noted_commands(options.run).items():
        if options.rules and rule not in options.rules:
            continue
        seconds: dict[Path, list[float]] = defaultdict(list)
        for _ in range(options.repeats):
            for checkout in options.checkouts:
                command = commands[len(commands) // 2]
                seconds[checkout].append(cpu_seconds(command, copy=options.copy, checkout=checkout))
        medians = [statistics.median(seconds[checkout]) for checkout in options.checkouts]
        print(f"{rule:30} {len(commands):4}", *(f"{median:8.2f}" for median in medians), flush=True)
        for checkout, median in zip(options.checkouts, medians, strict=True):
            sums[checkout] += len(commands) * median
    print(f"{'all jobs':35}", *(f"{total:8.1f}" for total in sums.values()))


if __name__ == "__main__":
    main()
