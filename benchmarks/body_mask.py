"""Measure the body mask on the working grid against the same on the stored grid of a real CT.

Run: `python -m benchmarks.body_mask CT.nii.gz`. Prints CPU seconds of one thread, their ratio and the Dice
overlap.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from anatomical_embedding.settings.volumes import CtBodyMaskSettings
from anatomical_embedding.volumes.body_mask import clean_mask
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.orientation import to_lps
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume

SPACING_MM = (2.0, 2.0, 2.0)
SETTINGS = CtBodyMaskSettings(
    threshold_hu=-900.0, closing_radius_mm=2.4, smallest_part_share=0.05, largest_hole_mm2=25600.0
)


def main() -> None:
    """Make both masks and print times and overlap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    volume = to_lps(read_volume(parser.parse_args().image))
    resampled = resample_to_spacing(volume, spacing_mm=SPACING_MM, is_label=False)
    working, working_seconds = timed_mask(resampled)
    stored, stored_seconds = timed_mask(volume)
    stored = resample_to_spacing(Volume(stored, volume.affine), spacing_mm=SPACING_MM, is_label=True).array
    dice = 2 * np.sum(working & stored) / (working.sum() + stored.sum())
    print(f"working grid {resampled.shape}: {working_seconds:.2f} CPU s")
    print(f"stored grid  {volume.shape}: {stored_seconds:.2f} CPU s")
    print(f"ratio {stored_seconds / working_seconds:.1f}, Dice {dice:.3f}")


def timed_mask(volume: Volume) -> tuple[np.ndarray, float]:
    """Return the body mask of a CT and the CPU seconds it took."""
    started = time.process_time()
    mask = clean_mask(volume.array > SETTINGS.threshold_hu, spacing_mm=volume.spacing_mm, settings=SETTINGS)
    return mask, time.process_time() - started


if __name__ == "__main__":
    main()
