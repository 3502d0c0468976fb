"""Measure resampling to the working spacing against scipy's cubic zoom.

Run: `python -m benchmarks.resample`. Prints CPU seconds of one thread and their ratio; the bar is 8.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume

SPACING_MM = (2.0, 2.0, 2.0)


def main() -> None:
    """Time both ways in turn on one volume of noise and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--spacing-mm", type=float, nargs=3, default=(0.75, 0.75, 1.28))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    noise = np.random.default_rng(0).integers(-1000, 1500, options.shape, dtype=np.int16)
    volume = Volume(np.asfortranarray(noise), np.diag([*options.spacing_mm, 1.0]))

    def ours() -> None:
        resample_to_spacing(volume, spacing_mm=SPACING_MM, is_label=False)

    def cubic_zoom() -> None:
        zoom = volume.spacing_mm / SPACING_MM
        ndimage.zoom(volume.array, zoom, order=3, output=np.float32)

    seconds = np.median(
        [[cpu_seconds(ours), cpu_seconds(cubic_zoom)] for _ in range(options.repeats)], axis=0
    )
    print(f"{options.shape} voxels of {options.spacing_mm} mm to {SPACING_MM} mm, CPU s of one thread:")
    print(f"averaging, separable  {seconds[0]:.2f}")
    print(f"scipy cubic zoom      {seconds[1]:.2f}")
    print(f"ratio                 {seconds[1] / seconds[0]:.1f}  (bar: 8)")


def cpu_seconds(work: Callable[[], None]) -> float:
    """Return the CPU seconds that one call takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
