"""Seconds that Snakemake takes to plan a run over many volumes of which none is prepared yet.

python -m benchmarks.plan_workflow [--num-volumes 1000 10000]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from anatomical_embedding.code_fingerprint import REPOSITORY

MAX_CPU_SECONDS = {1000: 15.0, 10000: 90.0}


def main() -> None:
    """Print the table and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-volumes", type=int, nargs="+", default=sorted(MAX_CPU_SECONDS))
    options = parser.parse_args()
    is_missed = False
    for num_volumes in options.num_volumes:
        seconds = planning_seconds(num_volumes)
        limit = MAX_CPU_SECONDS.get(num_volumes, float("inf"))
        is_missed |= seconds > limit
        print(f"{num_volumes:6d} volumes planned in {seconds:6.1f} CPU s (at most {limit})")
    sys.exit(is_missed)


def planning_seconds(num_volumes: int) -> float:
    """Return the CPU seconds of a dry run over empty files; planning never opens a volume."""
    with tempfile.TemporaryDirectory() as name:
        set_up_scans(Path(name), num_volumes=num_volumes)
        return plan(Path(name), "--quiet")[0]


def set_up_scans(folder: Path, *, num_volumes: int) -> None:
    """Write empty scans into a folder, and the run file of the lymph-node CTs that names them."""
    (folder / "scans").mkdir()
    for number in range(num_volumes):
        (folder / "scans" / f"scan_{number:05d}.nii.gz").touch()
    run = yaml.safe_load((REPOSITORY / "configs" / "nih_sam.yaml").read_text(encoding="utf-8"))
    run["datasets"]["nih_lymph_node"]["root"] = "scans"
    (folder / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")


def plan(folder: Path, *arguments: str) -> tuple[float, str]:
    """Return the CPU seconds of a dry run in a folder, and what it said."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", "run.yaml", "--cores", "2", "--dry-run"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, *arguments], cwd=folder, check=False, capture_output=True, encoding="utf-8"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout + done.stderr


if __name__ == "__main__":
    main()
