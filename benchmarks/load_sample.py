"""One training sample (two views of 96 x 96 x 32 voxels of 2 mm): from a prepared volume against reading a raw one.

The published way reads and resamples the volume for every sample; ours cuts the patches out of a memory-mapped
prepared volume. The raw volume is random and has the size of a chest CT.

    python -m benchmarks.load_sample [--repeats 3]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from anatomical_embedding.patches.patch import sample_patch
from anatomical_embedding.patches.views import draw_view_pair
from anatomical_embedding.settings.training import ViewSettings
from anatomical_embedding.volumes.nifti import map_volume, read_volume, write_volume
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume

MIN_RATIO = 5.0
RAW_SPACING_MM = (0.75, 0.75, 1.5)
SPACING_MM = (2.0, 2.0, 2.0)
VIEWS = ViewSettings(
    patch_size_vox=(96, 96, 32),
    scale_range=(0.8, 1.2),
    axis_scale_range=(1.0, 1.0),
    max_rotation_degrees=0.0,
    independent_probability=0.2,
    seed_in_body_probability=0.0,
)


def main() -> None:
    """Print CPU seconds a sample both ways and exit with 1 if the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        raw_path, prepared_path = Path(name) / "raw.nii.gz", Path(name) / "prepared.nii"
        small = gaussian_filter(np.random.default_rng(0).standard_normal((64, 64, 50)), 2) * 8000
        array = small.repeat(8, 0).repeat(8, 1).repeat(4, 2).astype(np.int16)
        write_volume(Volume(array, np.diag([*RAW_SPACING_MM, 1.0])), raw_path)
        write_volume(_resampled(read_volume(raw_path)), prepared_path)
        ratios = []
        for repeat in range(options.repeats):
            published = _seconds(lambda: _resampled(read_volume(raw_path)), seed=repeat)
            ours = _seconds(lambda: map_volume(prepared_path), seed=repeat)
            ratios.append(published / ours)
            print(f"raw {published:.3f} CPU s, prepared {ours:.3f} CPU s, ratio {published / ours:.1f}")
    print(f"median ratio {np.median(ratios):.1f} (at least {MIN_RATIO})")
    sys.exit(float(np.median(ratios)) < MIN_RATIO)


def _resampled(volume: Volume) -> Volume:
    resampled = resample_to_spacing(volume, spacing_mm=SPACING_MM, is_label=False)
    return Volume(resampled.array.astype(np.int16), resampled.affine)


def _seconds(load, *, seed: int) -> float:
    started = time.process_time()
    volume = load()
    views = draw_view_pair(volume, volume, settings=VIEWS, generator=np.random.default_rng(seed))
    for view in views:
        sample_patch(volume, view, normalise=lambda voxels: voxels.astype(np.float32), outside_value=-1024.0)
    return time.process_time() - started


if __name__ == "__main__":
    main()
