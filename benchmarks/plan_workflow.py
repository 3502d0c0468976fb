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
        folder = Path(name)
        (folder / "scans").mkdir()
        for number in range(num_volumes):
            (folder / "scans" / f"scan_{number:05d}.nii.gz").touch()
        overlay = yaml.safe_load((REPOSITORY / "configs" / "nih_sam.yaml").read_text(encoding="utf-8"))
        overlay["datasets"]["nih_lymph_node"]["root"] = "scans"
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += [
            "--directory",
            name,
            "--configfile",
            "overlay.yaml",
            "--cores",
            "2",
            "--dry-run",
            "--quiet",
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, encoding="utf-8")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
