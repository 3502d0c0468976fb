"""How near refined matches come to the truth on real CTs warped by known smooth fields, and what a point costs.

python -m benchmarks.voxel_refinement SCAN.nii.gz [SCAN.nii.gz ...]

Each scan is warped by random smooth displacements with noise on top; points in the body are asked, starting from
places that are off by about as much as cells of 8 mm are (independent normal errors of 2.6 mm along each axis, mean
4 mm). Prints median, mean and 95th percentile before and after, the share that was refined, and CPU milliseconds a
point on one thread. No trained model takes part: what is measured is the refinement alone.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.matching.voxel_refinement import RefinedMatches, refine_matches
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files
from anatomical_embedding.volumes.nifti import read_volume
from anatomical_embedding.volumes.volume import Volume

NUM_POINTS = 100
START_DEVIATION_MM = 2.6
BODY_HU = -300
EDGE_SHARE = 0.08
COARSE_MM = 8.0
NUM_INVERSION_STEPS = 60
WARPS = ((0.0, 30.0, 0.0), (3.0, 40.0, 15.0), (8.0, 40.0, 15.0), (8.0, 25.0, 15.0))
"""Mean displacement in mm, deviation of its smoothing in mm, noise in HU."""


def main() -> None:
    """Print a row for each scan and warp."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scans", type=Path, nargs="+", help="CTs in HU (.nii.gz)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = delivered_settings()
    print(f"{'scan':<34} {'warp mm':>14} {'before':>17} {'after':>17} {'refined':>8} {'ms':>6}")
    for path in options.scans:
        scan = read_volume(path)
        for mean_mm, smooth_mm, noise_hu in WARPS:
            print(f"{path.parent.name + '/' + path.name:<34.34} {mean_mm:>7.0f}/{smooth_mm:<6.0f}", end=" ")
            print(measure(scan, settings, mean_mm=mean_mm, smooth_mm=smooth_mm, noise_hu=noise_hu))


def delivered_settings() -> RefinementSettings:
    """Return how the demo's models refine."""
    run = completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))
    return RefinementSettings(**run["answers"]["refinement"])


def measure(
    scan: Volume, settings: RefinementSettings, *, mean_mm: float, smooth_mm: float, noise_hu: float
) -> str:
    """Return the figures of one warp as text."""
    generator = np.random.default_rng(3)
    field_mm = smooth_field(scan, mean_mm=mean_mm, smooth_mm=smooth_mm, generator=generator)
    warped = warp(scan, field_mm, noise_hu=noise_hu, generator=generator)
    asked = points_in_body(scan)
    truth = where_they_went(scan, field_mm, asked)
    start = truth + np.random.default_rng(1).normal(0.0, START_DEVIATION_MM, truth.shape)
    began = time.process_time()
    found: RefinedMatches = refine_matches(scan, warped, asked, start, settings=settings)
    cost_ms = 1000.0 * (time.process_time() - began) / len(asked)
    before, after = (np.linalg.norm(points - truth, axis=1) for points in (start, found.points_mm))
    return f"{spread(before)} {spread(after)} {100 * found.is_refined.mean():>6.0f} % {cost_ms:>6.1f}"


def spread(errors_mm: NDArray[np.float64]) -> str:
    """Return median, mean and 95th percentile."""
    figures = (np.median(errors_mm), errors_mm.mean(), np.percentile(errors_mm, 95))
    return " ".join(f"{figure:>5.2f}" for figure in figures)


def smooth_field(
    scan: Volume, *, mean_mm: float, smooth_mm: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return (X, Y, Z, 3) random displacements in mm on the grid of a scan, of a mean length."""
    coarse = np.maximum(2, np.ceil(np.array(scan.shape) * scan.spacing_mm / COARSE_MM)).astype(int)
    random = [gaussian_filter(generator.standard_normal(coarse), smooth_mm / COARSE_MM) for _ in range(3)]
    field = np.stack([zoom(part, np.array(scan.shape) / coarse, order=1) for part in random], axis=-1)
    return field * (mean_mm / np.linalg.norm(field, axis=-1).mean())


def warp(
    scan: Volume, field_mm: NDArray[np.float64], *, noise_hu: float, generator: np.random.Generator
) -> Volume:
    """Return a scan that shows at each place what lies by the field away from it."""
    grid = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), axis=-1)
    source_vox = grid + field_mm @ np.linalg.inv(scan.affine)[:3, :3].T
    array = map_coordinates(
        scan.array.astype(np.float32), np.moveaxis(source_vox, -1, 0), order=1, mode="nearest"
    )
    return Volume(array + noise_hu * generator.standard_normal(array.shape, dtype=np.float32), scan.affine)


def points_in_body(scan: Volume) -> NDArray[np.float64]:
    """Return (N, 3) random places in mm inside the body, away from the edges of the scan."""
    generator = np.random.default_rng(0)
    places = np.argwhere(gaussian_filter((scan.array > BODY_HU).astype(np.float32), 3) > 1 - 0.1)
    edge = EDGE_SHARE * np.array(scan.shape)
    places = places[np.all((places > edge) & (places < np.array(scan.shape) - edge), axis=1)]
    chosen = places[generator.choice(len(places), NUM_POINTS, replace=False)]
    return scan.world_from_voxel(chosen + generator.uniform(-0.5, 0.5, (NUM_POINTS, 3)))


def where_they_went(
    scan: Volume, field_mm: NDArray[np.float64], points_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the places of the warped scan that show points of the scan: y with y + u(y) = x, by fixed point."""
    places = points_mm.copy()
    for _ in range(NUM_INVERSION_STEPS):
        places_vox = scan.voxel_from_world(places).T
        moved = [
            map_coordinates(part, places_vox, order=1, mode="nearest")
            for part in np.moveaxis(field_mm, -1, 0)
        ]
        places = points_mm - np.stack(moved, axis=-1)
    return places


if __name__ == "__main__":
    main()
