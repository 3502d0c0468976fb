"""Whole-volume embedding against one plain pass of the same network: time, peak memory, sameness.

    python -m benchmarks.embed_volume [--size 256 192 192] [--repeats 1] [--memory-limit-mb 1600]

The published network with seeded weights embeds a synthetic volume in three ways, each in a process of its
own with one thread: `dense` (fp32, eager, the network called on the whole volume), `streamed fp32` and
`streamed bf16` (both `VolumeEmbedder`). Times are CPU seconds of the embedding alone, the least of the
repeats; memory is the peak of the whole process. Exits with status 1 when a bar is missed. The speed of bf16
is judged only where the processor has bf16 arithmetic.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.networks.checkpoint import load_checkpoint, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.published_weights import published_network

MIN_SPEED_RATIO = 2.5
MAX_MEMORY_RATIO = 0.45
MAX_MEAN_COSINE_DISTANCE = 2e-3
MAX_FP32_DIFFERENCE = 1e-4
VARIANTS = ("dense", "fp32", "bf16")
MAPS = ("fine", "coarse", "semantic")


@dataclass(frozen=True)
class Measurement:
    """Cost of one variant."""

    cpu_seconds: float
    peak_mb: float


def main() -> int:
    """Measure, print a table, and return the exit status."""
    options = _parse_options()
    if options.variant:
        _run_variant(options.variant, Path(options.folder), memory_limit_mb=options.memory_limit_mb)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "volume.npy", smooth_volume(tuple(options.size)))
        _child("prepare", folder, options.memory_limit_mb)
        runs = [
            {variant: _child(variant, folder, options.memory_limit_mb) for variant in VARIANTS}
            for _ in range(options.repeats)
        ]
        costs = {
            variant: Measurement(
                cpu_seconds=min(run[variant].cpu_seconds for run in runs),
                peak_mb=max(run[variant].peak_mb for run in runs),
            )
            for variant in VARIANTS
        }
        differences = {
            variant: [_difference(Path(folder), variant, name) for name in MAPS] for variant in VARIANTS[1:]
        }
    return _report(costs, differences, size=options.size)


def smooth_volume(shape_zyx: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return a (Z, Y, X) volume of blobs and noise with the network's range of intensities, -50 to 205."""
    generator = np.random.default_rng(0)
    volume = generator.standard_normal([size // 8 + 1 for size in shape_zyx], dtype=np.float32)
    for axis, size in enumerate(shape_zyx):
        volume = np.take(np.repeat(volume, 8, axis=axis), range(size), axis=axis)
    volume += 0.25 * generator.standard_normal(shape_zyx, dtype=np.float32)
    volume -= volume.min()
    return volume * (255.0 / volume.max()) - 50.0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs=3, type=int, default=[256, 192, 192], metavar=("Z", "Y", "X"))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory-limit-mb", type=int, default=1600)
    parser.add_argument("--variant", choices=("prepare", *VARIANTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(variant: str, folder: str, memory_limit_mb: int) -> Measurement:
    """Run one variant in a process of its own and return what it cost."""
    command = [sys.executable, "-m", "benchmarks.embed_volume", "--variant", variant, "--folder", folder]
    command += ["--memory-limit-mb", str(memory_limit_mb)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return Measurement(**json.loads(finished.stdout))


def _run_variant(variant: str, folder: Path, *, memory_limit_mb: int) -> None:
    """Embed the volume in one way, save the maps and print the cost as JSON: the work of a child process."""
    torch.set_num_threads(1)
    if variant == "prepare":
        _save_network(folder / "network.safetensors")
        print(json.dumps({"cpu_seconds": 0.0, "peak_mb": 0.0}))
        return
    network, _ = load_checkpoint(folder / "network.safetensors")
    volume = np.load(folder / "volume.npy")
    started = time.process_time()
    if variant == "dense":
        with torch.no_grad():
            maps = network(torch.from_numpy(volume)[None, None])
    else:
        settings = EmbeddingSettings.model_validate(
            {
                "precision": variant,
                "device": "cpu",
                "memory_limit_mb": memory_limit_mb,
                "with_semantic_map": True,
            }
        )
        maps = VolumeEmbedder(network, settings=settings).embed(volume)
    cpu_seconds, peak_mb = time.process_time() - started, _peak_mb()
    for name, tensor in maps._asdict().items():
        channels_last = tensor[0].permute(1, 2, 3, 0).contiguous()
        np.save(folder / f"{variant}_{name}.npy", channels_last.numpy())
    print(json.dumps({"cpu_seconds": cpu_seconds, "peak_mb": peak_mb}))


def _save_network(path: Path) -> None:
    """Save the published network with seeded weights, its batch normalisation set by synthetic volumes."""
    torch.manual_seed(0)
    network = EmbeddingNetwork(published_network("sampp"))
    volume = torch.from_numpy(smooth_volume((48, 96, 96)))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = None  # running statistics are then plain means
    with torch.no_grad():
        network.train()(torch.stack([volume, volume.flip(0)])[:, None])
    save_checkpoint(path, network, metadata={})


def _peak_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _difference(folder: Path, variant: str, name: str) -> tuple[float, float]:
    """Return the largest absolute difference to the dense map, and the mean of 1 - cosine."""
    dense = np.load(folder / f"dense_{name}.npy", mmap_mode="r")
    other = np.load(folder / f"{variant}_{name}.npy", mmap_mode="r")
    if dense.shape != other.shape:
        raise SystemExit(f"{variant} {name}: shape {other.shape}, dense {dense.shape}")
    largest, cosine_sum = 0.0, 0.0
    for dense_row, other_row in zip(dense, other, strict=True):
        expected, got = dense_row.astype(np.float64), other_row.astype(np.float64)
        largest = max(largest, float(np.abs(expected - got).max()))
        lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(got, axis=-1)
        cosine_sum += float(((expected * got).sum(axis=-1) / lengths).sum())
    return largest, 1.0 - cosine_sum / dense[..., 0].size


def _has_bf16() -> bool:
    """Return whether the processor multiplies bf16 natively."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _report(
    costs: dict[str, Measurement],
    differences: dict[str, list[tuple[float, float]]],
    *,
    size: list[int],
) -> int:
    """Print the table and the bars; return 1 if one is missed."""
    dense = costs["dense"]
    print(f"volume {size[0]} x {size[1]} x {size[2]} (z, y, x), one thread")
    print(f"{'':15}{'CPU s':>8}{'faster':>9}{'peak MB':>9}{'share':>7}  largest difference, mean 1 - cosine")
    for variant, cost in costs.items():
        row = f"{variant if variant == 'dense' else 'streamed ' + variant:15}{cost.cpu_seconds:8.1f}"
        row += f"{dense.cpu_seconds / cost.cpu_seconds:8.2f}x{cost.peak_mb:9.0f}"
        row += f"{cost.peak_mb / dense.peak_mb:7.2f}"
        for name, (largest, distance) in zip(MAPS, differences.get(variant, []), strict=False):
            row += f"  {name} {largest:.1e}, {distance:.1e}"
        print(row)
    bars = {
        f"fp32 within {MAX_FP32_DIFFERENCE:g} of dense": max(largest for largest, _ in differences["fp32"])
        <= MAX_FP32_DIFFERENCE,
        f"bf16 mean 1 - cosine at most {MAX_MEAN_COSINE_DISTANCE:g}": max(
            distance for _, distance in differences["bf16"]
        )
        <= MAX_MEAN_COSINE_DISTANCE,
        f"bf16 peak memory at most {MAX_MEMORY_RATIO:g} of dense": costs["bf16"].peak_mb
        <= MAX_MEMORY_RATIO * dense.peak_mb,
    }
    if _has_bf16():
        bars[f"bf16 at least {MIN_SPEED_RATIO:g} times as fast"] = (
            dense.cpu_seconds >= MIN_SPEED_RATIO * costs["bf16"].cpu_seconds
        )
    else:
        print("this processor has no bf16 arithmetic: its speed is not judged")
    for bar, is_met in bars.items():
        print(f"{'met   ' if is_met else 'MISSED'} {bar}")
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
