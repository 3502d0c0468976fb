"""What MONAI would give where this project has code of its own: agreement, and CPU seconds of one thread.

    python -m benchmarks.monai_candidates

Three candidates: `RandHistogramShift` against the shift of a histogram inside the body, the average symmetric surface
distance against `measure_overlap`, and `SlidingWindowInferer` against `VolumeEmbedder`. CONTRIBUTING.md quotes
the figures and says what follows from them.
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.metrics import compute_average_surface_distance
from monai.transforms import RandHistogramShift

from anatomical_embedding.embedding.embed_volume import VolumeEmbedder
from anatomical_embedding.evaluation.registration.overlap import measure_overlap
from anatomical_embedding.patches.histogram_shift import shift_histogram
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.training import HistogramShiftSettings
from anatomical_embedding.settings.volumes import IntensitySettings
from anatomical_embedding.volumes.volume import Volume
from tests.integration.tiny_training import INTENSITY
from tests.reference.small_networks import isotropic_settings, network_with_statistics

PATCH_ZYX = (32, 96, 96)
SPACING_MM = (0.9, 0.9, 2.5)
VOLUME_ZYX = (64, 160, 160)
WINDOW_ZYX = (32, 96, 96)
AIR = -50.0


def main() -> None:
    """Measure and print the three candidates."""
    torch.set_num_threads(1)
    compare_histogram_shifts()
    compare_surface_distances()
    compare_windows()


def compare_histogram_shifts() -> None:
    """Print what a shift does to the air round a body, and its cost."""
    generator = np.random.default_rng(0)
    patch = torch.from_numpy(generator.uniform(-50, 205, PATCH_ZYX).astype(np.float32))
    is_body = torch.zeros(PATCH_ZYX, dtype=torch.bool)
    is_body[:, 16:80, 16:80] = True
    patch[~is_body] = AIR
    settings = HistogramShiftSettings(
        probability=1.0, num_control_points=(5, 15), invert_probability=0.5, stretch_probability=0.5
    )
    intensity = IntensitySettings.model_validate(INTENSITY)
    theirs = RandHistogramShift(num_control_points=(5, 15), prob=1.0).set_random_state(0)

    def ours_once() -> torch.Tensor:
        return shift_histogram(
            patch, lambda: is_body, settings=settings, intensity=intensity, generator=generator
        )

    seconds_ours, seconds_theirs = cpu_seconds(ours_once, 50), cpu_seconds(lambda: theirs(patch[None]), 50)
    print(
        f"histogram shift, patch {PATCH_ZYX}: ours {1e3 * seconds_ours:.1f} ms, MONAI {1e3 * seconds_theirs:.1f} ms"
    )
    falls = [theirs(patch[None])[0][is_body][patch[is_body].argsort()].diff().min() < -1 for _ in range(50)]
    print(f"  of 50 curves inverted: ours about half, MONAI {sum(falls)}")


def compare_surface_distances() -> None:
    """Print how far the distances of two balls agree, and the cost with the start of the libraries."""
    offsets = np.moveaxis(np.indices((96, 96, 48)), 0, -1) - (48, 46, 24)
    balls = [np.linalg.norm(offsets - (0, shift, 0), axis=-1) < 20.0 for shift in (0, 3)]
    volumes = [Volume(ball.astype(np.uint8), np.diag([*SPACING_MM, 1.0])) for ball in balls]
    tensors = [torch.from_numpy(ball)[None, None].float() for ball in balls]
    # MONAI 1.6.1 warns of its own call of its own function.
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")

    def ours() -> float:
        return measure_overlap(*volumes, labels=[1])[0].mean_distance_mm

    def theirs() -> float:
        return float(
            compute_average_surface_distance(
                *tensors, include_background=True, symmetric=True, spacing=list(SPACING_MM)
            )
        )

    print(f"mean surface distance: ours {ours():.6f} mm, MONAI {theirs():.6f} mm")
    print(f"  ours {cpu_seconds(ours, 5):.3f} s, MONAI {cpu_seconds(theirs, 5):.3f} s")
    starts = [
        start_seconds(module)
        for module in ("anatomical_embedding.evaluation.registration.overlap", "monai.metrics")
    ]
    print(
        f"  to load: ours {starts[0]:.1f} s, MONAI {starts[1]:.1f} s (with torch, which evaluation never loads)"
    )


def compare_windows() -> None:
    """Print how far the vectors of a whole pass are from those of tiles and of blended windows."""
    network = network_with_statistics(isotropic_settings(width=8)).eval()
    volume = np.random.default_rng(0).uniform(-50, 205, VOLUME_ZYX).astype(np.float32)
    settings = EmbeddingSettings.model_validate(
        {"precision": "fp32", "device": "cpu", "memory_limit_mb": 60, "with_semantic_map": False}
    )
    windows = SlidingWindowInferer(roi_size=WINDOW_ZYX, sw_batch_size=1, overlap=0.5, mode="gaussian")
    with torch.no_grad():
        whole = network(torch.from_numpy(volume)[None, None]).fine
        blended = windows(torch.from_numpy(volume)[None, None], lambda part: network(part).fine)
    tiled = VolumeEmbedder(network, settings=settings).embed(volume).fine
    for name, found in (("tiles of ours", tiled), ("MONAI's windows", blended)):
        cosine = torch.nn.functional.cosine_similarity(found.float(), whole, dim=1)
        difference = (found - whole).abs().max()
        print(f"{name}: largest difference from one pass {difference:.1e}, lowest cosine {cosine.min():.4f}")


def cpu_seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of one call."""
    function()
    started = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - started) / repeats


def start_seconds(module: str) -> float:
    """Return the CPU seconds of loading a module in a process of its own."""
    code = f"import time; import {module}; print(time.process_time())"
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    )


if __name__ == "__main__":
    main()
