"""One point between two CTs of 256 x 256 x 200 voxels by the published network: from the scans, then from stores.

    python -m benchmarks.published_match CHECKPOINT.pth [--repeats 1] [--spacing-mm 1.5]

CHECKPOINT is a published file, or what a script with the same keys writes; how long it takes does not depend on the
weights. It is imported, and matched by the whole command `match` on two cores: start of the interpreter, reading,
preparing and embedding both scans, matching; then again from stores that `embed` wrote. The scans are synthetic bodies
that fill the field of view, 384 x 384 x 300 mm at 1.5 mm; the network works at 2 mm, so its work grows with the cube of
the spacing. CPU seconds and the peak of resident memory are medians of the repeats. Exits with status 1 when a bar is
missed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.networks.import_published import import_published
from benchmarks.cold_match import measure, middle_of, write_scan

SHAPE = (256, 256, 200)
MAX_COLD_CPU_SECONDS = 60.0
MAX_MEMORY_MB = 4000.0
MAX_STORED_CPU_SECONDS = 3.0


def main() -> int:
    """Measure, print the figures beside their bars, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="published checkpoint (.pth)")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--spacing-mm", type=float, default=1.5, help="of the voxels of the scans")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), Path(name) / "model.safetensors"
        import_published(options.checkpoint, model)
        spacing_mm = (options.spacing_mm,) * 3
        scans = [
            write_scan(folder / f"scan_{seed}.nii.gz", spacing_mm, shape=SHAPE, seed=seed) for seed in (1, 2)
        ]
        point_mm = middle_of(SHAPE, spacing_mm)
        cold = [measure(model, *scans, point_mm=point_mm) for _ in range(options.repeats)]
        command = ["embed", *scans, "--checkpoint", model, "--output", folder / "stores"]
        subprocess.run(
            [sys.executable, "-m", "anatomical_embedding.cli.main", *map(str, command)],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        stores = [folder / "stores" / f"scan_{seed}.safetensors" for seed in (1, 2)]
        stored = [measure(model, *stores, point_mm=point_mm) for _ in range(options.repeats)]
    is_met = True
    for figure, value, bar in (
        ("cold, CPU seconds", statistics.median(run[1] for run in cold), MAX_COLD_CPU_SECONDS),
        ("cold, peak memory, MB", statistics.median(run[2] for run in cold), MAX_MEMORY_MB),
        ("from stores, CPU seconds", statistics.median(run[1] for run in stored), MAX_STORED_CPU_SECONDS),
        ("from stores, wall seconds", statistics.median(run[0] for run in stored), MAX_STORED_CPU_SECONDS),
    ):
        is_met &= value <= bar
        print(f"{'ok  ' if value <= bar else 'MISS'} {figure}: {value:.1f} (at most {bar:g})")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
