"""One point between two raw scans, from a cold start: the whole command `match` on two cores.

    python -m benchmarks.cold_match [--checkpoint results/models/sam/model.safetensors] [--repeats 3]

Two synthetic CTs of 192 x 192 x 128 voxels at the spacing that the model works at, so that the network sees every
voxel; without --checkpoint the demo's network with random weights, which costs the same. Every run is a process of its
own on two cores: start of the interpreter, reading, preparing and embedding both scans, matching. Wall and CPU seconds
and the peak of resident memory are medians of the repeats; on a busy machine wall seconds say little, CPU seconds of
two cores halve at best. Exits with status 1 when a bar is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.model_card import read_model_card
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.run_file import read_run_files
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.packaged_model import usage_sections
from workflow_scripts import package_model

SHAPE = (192, 192, 128)
NUM_CORES = 2
MAX_WALL_SECONDS = 20.0
MAX_MEMORY_MB = 2000.0
KB_PER_MB = 1024


def main() -> int:
    """Measure, print the figures beside their bars, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="packaged CT model")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = options.checkpoint or write_demo_model(folder)
        spacing_mm = read_model_card(checkpoint)[0].usage.volumes.spacing_mm
        scans = [
            write_scan(folder / f"scan_{seed}.nii.gz", spacing_mm, shape=SHAPE, seed=seed) for seed in (1, 2)
        ]
        middle_mm = middle_of(SHAPE, spacing_mm)
        runs = [measure(checkpoint, *scans, point_mm=middle_mm) for _ in range(options.repeats)]
    wall, cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"CPU seconds: {cpu:.1f}")
    is_met = True
    for figure, value, bar in (
        ("wall seconds", wall, MAX_WALL_SECONDS),
        ("peak memory, MB", memory, MAX_MEMORY_MB),
    ):
        is_met &= value <= bar
        print(f"{'ok  ' if value <= bar else 'MISS'} {figure}: {value:.1f} (at most {bar:g})")
    return 0 if is_met else 1


def write_demo_model(folder: Path) -> Path:
    """Package the network of the demo's model `sam` with random weights."""
    settings = read_pipeline_settings(read_run_files([REPOSITORY / "config.yaml"])).models["sam"].network
    save_checkpoint(folder / "trained.safetensors", EmbeddingNetwork(settings).eval(), metadata={})
    output = folder / "model.safetensors"
    package_model.main(
        [
            *("--settings", json.dumps(usage_sections()), "--name", "sam", "--modality", "ct"),
            *("--checkpoint", str(folder / "trained.safetensors"), "--output", str(output)),
        ]
    )
    return output


def write_scan(
    path: Path, spacing_mm: tuple[float, float, float], *, shape: tuple[int, int, int], seed: int
) -> Path:
    """Write a round body of random tissue that fills the field of view, and return its path."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), 3.0)
    x, y = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape[:2]), indexing="ij")
    # Air has noise as well: what has one value all over counts as padding.
    anatomy = np.where((np.hypot(x, y) < 0.98)[..., np.newaxis], 40 + 4000 * smooth, -1000 + 100 * smooth)
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    write_volume(Volume(np.clip(anatomy, -1024, 1500).astype(np.int16), affine), path)
    return path


def middle_of(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> list[float]:
    """Return the middle of such a scan in mm RAS+."""
    return [sign * size / 2 * step for sign, size, step in zip((-1, -1, 1), shape, spacing_mm, strict=True)]


def measure(
    checkpoint: Path, template: Path, target: Path, *, point_mm: Sequence[float]
) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak memory in MB of one run of `match`."""
    command = [
        *(sys.executable, "-m", "anatomical_embedding.cli.main", "match", "--checkpoint", str(checkpoint)),
        *("--from", str(template), "--to", str(target), f"--point={','.join(map(str, point_mm))}"),
    ]
    cores = sorted(os.sched_getaffinity(0))[:NUM_CORES]
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(child.pid, cores)
    _, status, usage = os.wait4(child.pid, 0)
    wall_seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"the command failed: {' '.join(command)}")
    return wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KB_PER_MB


if __name__ == "__main__":
    sys.exit(main())
