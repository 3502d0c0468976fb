"""Print how far simple baselines get on phantoms: the demo is worth training on only if they fail.

Run as `python -m benchmarks.measure_phantom_difficulty benchmarks/phantom_settings.json`.
"""

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import fftconvolve

from anatomical_embedding.phantom.scan import PhantomScan
from anatomical_embedding.phantom.synthetic_body import make_subject
from anatomical_embedding.settings.phantom import PhantomSettings
from anatomical_embedding.volumes.affine import Points

NUM_SUBJECTS = 6
NUM_NCC_QUERIES_PER_PAIR = 10
CUBE_VOX = 11
HU_WINDOW = (-1000, 600)


def body_box_mm(scan: PhantomScan) -> Points:
    """Return the (2, 3) corners of the box around everything denser than air, in world mm."""
    is_body = scan.volume.array > -300
    spans = [np.flatnonzero(is_body.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))]
    corners = scan.volume.world_from_voxel(np.array(spans).T)
    return np.sort(corners, axis=0)


def same_coordinate(source: PhantomScan, target: PhantomScan, points_mm: Points) -> Points:
    """Return the points carried over by the middles of the two body boxes."""
    return points_mm - body_box_mm(source).mean(axis=0) + body_box_mm(target).mean(axis=0)


def body_affine(source: PhantomScan, target: PhantomScan, points_mm: Points) -> Points:
    """Return the points carried over by the two body boxes, stretched."""
    from_low, from_high = body_box_mm(source)
    to_low, to_high = body_box_mm(target)
    return (points_mm - from_low) / (from_high - from_low) * (to_high - to_low) + to_low


def normalised_correlation(source: PhantomScan, target: PhantomScan, points_mm: Points) -> Points:
    """Return for each point the place where the cube around it correlates best."""
    # air becomes 0, so that the zeros beyond the border of a Fourier transform look like air
    volumes = [np.clip(scan.volume.array, *HU_WINDOW) - float(HU_WINDOW[0]) for scan in (source, target)]
    half = CUBE_VOX // 2
    padded = np.pad(volumes[0], half, mode="edge")
    mean = uniform_filter(volumes[1], CUBE_VOX, mode="constant")
    spread = np.sqrt(np.maximum(uniform_filter(volumes[1] ** 2, CUBE_VOX, mode="constant") - mean**2, 100.0))
    answers = []
    for index in np.rint(source.volume.voxel_from_world(points_mm)).astype(int):
        cube = padded[tuple(slice(i, i + CUBE_VOX) for i in index)]
        pattern = (cube - cube.mean())[::-1, ::-1, ::-1]
        correlation = fftconvolve(volumes[1], pattern, mode="same") / spread
        answers.append(np.unravel_index(correlation.argmax(), correlation.shape))
    return target.volume.world_from_voxel(np.array(answers))


def report(name: str, errors_mm: NDArray[np.float64]) -> None:
    """Print one line of figures."""
    print(
        f"{name:16s} n {len(errors_mm):5d}  median {np.median(errors_mm):5.1f}  mean {errors_mm.mean():5.1f}"
        f"  p90 {np.quantile(errors_mm, 0.9):5.1f}  hit@10 {np.mean(errors_mm <= 10):.3f}"
        f"  hit@20 {np.mean(errors_mm <= 20):.3f}"
    )


def main(settings_path: Path) -> None:
    """Print the errors of the baselines over all ordered pairs of the first subjects."""
    settings = PhantomSettings.model_validate_json(settings_path.read_text(encoding="utf-8"))
    settings = settings.model_copy(update={"modalities": ("ct",)})
    scans = [make_subject(settings, subject_index=index).ct for index in range(NUM_SUBJECTS)]
    random = np.random.default_rng(0)
    errors: dict[str, list[NDArray[np.float64]]] = {"same_coordinate": [], "body_affine": [], "ncc": []}
    for source, target in permutations([scan for scan in scans if scan is not None], 2):
        names = sorted(source.landmarks_mm.keys() & target.landmarks_mm.keys())
        queries = np.array([source.landmarks_mm[name] for name in names])
        truth = np.array([target.landmarks_mm[name] for name in names])
        for name, method in (("same_coordinate", same_coordinate), ("body_affine", body_affine)):
            errors[name].append(np.linalg.norm(method(source, target, queries) - truth, axis=1))
        some = random.choice(len(names), NUM_NCC_QUERIES_PER_PAIR, replace=False)
        found = normalised_correlation(source, target, queries[some])
        errors["ncc"].append(np.linalg.norm(found - truth[some], axis=1))
    for name, parts in errors.items():
        report(name, np.concatenate(parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
