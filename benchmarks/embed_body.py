"""Embedding of a CT of which only the body is wanted: cost against another checkout, and sameness inside the body.

    python -m benchmarks.embed_body --against CHECKOUT [--repeats 5] [--size 256 192 192] [--keep FOLDER]

The published network with seeded weights embeds a synthetic CT: a trunk with lungs, spine and texture, on a table, in
noisy air. The other checkout embeds it in bf16 as a whole; this one in bf16 where the body is. Runs alternate, each in
a process of its own with one thread; times are CPU seconds of the embedding alone, least and median of the repeats.
The fp32 pass of the whole volume, once, is what both are compared with, inside the body. `--keep FOLDER` leaves
volume, network and maps for `benchmarks.embed_openvino`. Exits with status 1 when a bar is missed.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.networks.checkpoint import load_checkpoint, save_checkpoint
from anatomical_embedding.networks.embedding_network import EmbeddingNetwork
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.published_weights import published_network

MIN_SPEED_RATIO = 1.4
"""Against commit 575547a, with the same maps as well as without the semantic one, which that commit makes."""
LARGEST_DISTANCE = 6e-4
"""Mean of 1 - cosine to fp32 inside the body, of each map."""
MARGIN_VOX = 8
LOW_HU, HIGH_HU = -1024.0, 3071.0
MAPS = ("fine", "coarse", "semantic")
BASE, HERE, HERE_PLAIN = "other checkout", "here, body", "here, body, no semantic map"
VOXEL_MM = 2.0
HALF_WIDTHS_MM = (115.0, 170.0)
"""Of the trunk, from back to front and from left to right."""


def trunk_ct(shape_zyx: tuple[int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a (Z, Y, X) synthetic CT of 2 mm in HU and its body mask."""
    generator = np.random.default_rng(0)
    z, y, x = (
        (np.arange(size, dtype=np.float32) - (size - 1) / 2).reshape(
            [-1 if axis == at else 1 for at in range(3)]
        )
        * VOXEL_MM
        for axis, size in enumerate(shape_zyx)
    )
    breadth = 1 - 0.1 * (z / (shape_zyx[0] * VOXEL_MM / 2)) ** 2
    radius = np.sqrt((y / (HALF_WIDTHS_MM[0] * breadth)) ** 2 + (x / (HALF_WIDTHS_MM[1] * breadth)) ** 2)
    body = np.broadcast_to(radius < 1, shape_zyx).copy()
    texture = 60 * gaussian_filter(generator.standard_normal(shape_zyx, dtype=np.float32), 2) / 0.05
    volume = np.where(body, 40 + np.clip(texture, -150, 250), -1000).astype(np.float32)
    volume[body & (radius > 0.9)] = -100
    lungs = ((np.abs(x) - 75) / 55) ** 2 + (y / 75) ** 2 + ((z - 100) / 130) ** 2 < 1
    volume[lungs & body] = -850 + 0.5 * texture[lungs & body]
    spine = (x / 22) ** 2 + ((y - 65) / 22) ** 2 < 1
    volume[np.broadcast_to(spine, shape_zyx)] = 400
    table = (np.abs(y - HALF_WIDTHS_MM[0] - 12) < 8) & (np.abs(x) < 170)
    volume[np.broadcast_to(table, shape_zyx) & ~body] = -300
    volume += 15 * generator.standard_normal(shape_zyx, dtype=np.float32)
    return volume, body


def main() -> int:
    """Measure, print a table, and return the exit status."""
    options = _parse_options()
    if options.variant:
        _run_variant(options.variant, Path(options.folder))
        return 0
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        shape = tuple(options.size)
        volume, body = trunk_ct(shape)
        scaled = (np.clip(volume, LOW_HU, HIGH_HU) - LOW_HU) / (HIGH_HU - LOW_HU) * 255.0 - 50.0
        np.save(Path(folder) / "volume.npy", scaled.astype(np.float32))
        np.save(Path(folder) / "body.npy", body)
        _save_network(Path(folder) / "network.safetensors")
        here, other = Path(__file__).resolve().parent.parent, Path(options.against).resolve()
        _child("fp32", folder, here)
        runs = [
            {
                BASE: _child("whole", folder, other),
                HERE: _child("body", folder, here),
                HERE_PLAIN: _child("body_plain", folder, here),
            }
            for _ in range(options.repeats)
        ]
        distances = {
            name: mean_distances(Path(folder), variant, body)
            for name, variant in ((BASE, "whole"), (HERE, "body"), (HERE_PLAIN, "body_plain"))
        }
        return _report(runs, distances, share=float(body.mean()), shape=shape)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", help="folder of the checkout to compare with")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", nargs=3, type=int, default=[256, 192, 192], metavar=("Z", "Y", "X"))
    parser.add_argument("--keep", help="folder that volume, network and maps stay in")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(variant: str, folder: str, checkout: Path) -> dict[str, float]:
    """Run one variant with the package of a checkout and return its cost."""
    command = [sys.executable, __file__, "--variant", variant, "--folder", folder]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", env=environment)
    print(f"{variant:12} {done.stdout.strip()}", file=sys.stderr)
    return json.loads(done.stdout)


def _run_variant(variant: str, folder: Path) -> None:
    """Embed the volume in one way, save the maps and print the cost as JSON: the work of a child process."""
    torch.set_num_threads(1)
    network, _ = load_checkpoint(folder / "network.safetensors")
    volume, body = np.load(folder / "volume.npy"), np.load(folder / "body.npy")
    settings = EmbeddingSettings.model_validate(
        {
            "precision": "fp32" if variant == "fp32" else "bf16",
            "device": "cpu",
            "memory_limit_mb": 1600,
            "with_semantic_map": variant != "body_plain",
        }
    )
    embedder = VolumeEmbedder(network, settings=settings)
    started = time.process_time()
    if variant.startswith("body"):
        region = distance_transform_edt(~body) <= MARGIN_VOX
        started = time.process_time()
        maps = embedder.embed(volume, region=region)
    else:
        maps = embedder.embed(volume)
    cost = {"cpu_seconds": time.process_time() - started, "peak_mb": _peak_mb()}
    for name, tensor in maps._asdict().items():
        if tensor is not None:
            np.save(folder / f"{variant}_{name}.npy", tensor[0].permute(1, 2, 3, 0).numpy())
    print(json.dumps(cost))


def _save_network(path: Path) -> None:
    """Save the published network with seeded weights, its batch normalisation set by synthetic trunks."""
    torch.manual_seed(0)
    network = EmbeddingNetwork(published_network("sampp"))
    volume = torch.from_numpy(trunk_ct((48, 160, 192))[0])
    volume = (volume.clip(LOW_HU, HIGH_HU) - LOW_HU) / (HIGH_HU - LOW_HU) * 255.0 - 50.0
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


def mean_distances(folder: Path, variant: str, body: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    """Return map -> mean and 99.9th percentile of 1 - cosine to the fp32 map, over the cells in the body."""
    found = {}
    for name in MAPS:
        path = folder / f"{variant}_{name}.npy"
        if not path.exists():
            continue
        got, expected = np.load(path, mmap_mode="r"), np.load(folder / f"fp32_{name}.npy", mmap_mode="r")
        stride = [round(size / cells) for size, cells in zip(body.shape, got.shape[:3], strict=True)]
        centres = np.ix_(
            *(
                np.minimum(np.arange(cells) * step + step // 2, size - 1)
                for cells, step, size in zip(got.shape[:3], stride, body.shape, strict=True)
            )
        )
        is_body = body[centres]
        distance = np.concatenate(
            [
                1.0 - _cosines(got_row[inside], expected_row[inside])
                for got_row, expected_row, inside in zip(got, expected, is_body, strict=True)
            ]
        )
        found[name] = float(distance.mean()), float(np.quantile(distance, 0.999))
    return found


def _cosines(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return (first * second).sum(axis=-1) / np.maximum(lengths, 1e-12)


def _report(
    runs: list[dict[str, dict[str, float]]],
    distances: dict[str, dict[str, tuple[float, float]]],
    *,
    share: float,
    shape: tuple[int, ...],
) -> int:
    """Print the table and the bars; return 1 if one is missed."""
    print(f"CT {shape} (z, y, x), {share:.0%} of it body, margin {MARGIN_VOX} voxels, one thread")
    print(
        f"{'':30}{'least s':>9}{'median s':>9}{'ratio':>7}{'peak MB':>9}  mean and 99.9 % of 1 - cosine in the body"
    )
    ratios = {}
    for name in runs[0]:
        seconds = [run[name]["cpu_seconds"] for run in runs]
        ratios[name] = statistics.median(run[BASE]["cpu_seconds"] / run[name]["cpu_seconds"] for run in runs)
        row = f"{name:30}{min(seconds):9.2f}{statistics.median(seconds):9.2f}{ratios[name]:7.2f}"
        row += f"{max(run[name]['peak_mb'] for run in runs):9.0f}"
        row += "".join(
            f"  {of_map} {mean:.1e} {tail:.1e}" for of_map, (mean, tail) in distances[name].items()
        )
        print(row)
    bars = {
        f"same maps, at least {MIN_SPEED_RATIO:g} times as fast": ratios[HERE] >= MIN_SPEED_RATIO,
        f"without the semantic map, at least {MIN_SPEED_RATIO:g} times as fast": ratios[HERE_PLAIN]
        >= MIN_SPEED_RATIO,
        f"within {LARGEST_DISTANCE:g} of fp32 in the body": all(
            mean <= LARGEST_DISTANCE for mean, _ in distances[HERE].values()
        ),
    }
    for bar, is_met in bars.items():
        print(f"{'met   ' if is_met else 'MISSED'} {bar}")
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
