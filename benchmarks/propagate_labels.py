"""How well `propagate` carries organ masks between bodies that no training saw, and lesion masks to a later scan.

    python -m benchmarks.propagate_labels --checkpoint results/models/sam/model.safetensors [--results results]

Organs: Dice overlap with the true labels over ordered pairs of the test bodies of a phantom data set, for all labels
that either body shows and for those of 1000 voxels or more; beside it that of the labels merely moved from body centre
to body centre, the bar. Lesions: balls at their places at the first time of the tracked phantoms; distance of the
carried ball's centre from the true one at the second time, of those that both times show. CPU seconds a pair, embedding
left out. Exits with status 1 when organs overlap less than at the bar, or half of the lesions end 10 mm off.
"""

import argparse
import sys
import tempfile
import time
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding import api
from anatomical_embedding.index_file import read_index
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume

LARGE_VOX = 1000
MAX_MEDIAN_MM = 10.0
TRACKED = "phantom_tracking"


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="packaged CT model")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the run")
    parser.add_argument("--dataset", default="phantom_ct")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num-pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of pairs")
    parser.add_argument("--refinement", choices=("none", "parabolic", "voxel"), help="default: the model's")
    options = parser.parse_args()
    model = api.load_model(options.checkpoint)
    are_good = [measure_organs(model, options), measure_lesions(model, options)]
    return 0 if all(are_good) else 1


def measure_organs(model: api.Model, options: argparse.Namespace) -> bool:
    """Print the overlap of organs, and return whether it is above the bar."""
    rows = read_index(options.results / "volumes" / f"{options.dataset}.csv")
    bodies = sorted(row.patient_id for row in rows if row.split == options.split and row.modality == "ct")
    folder = options.results / "phantoms" / options.dataset
    pairs = list(permutations(bodies, 2))
    chosen = np.random.default_rng(options.seed).permutation(len(pairs))[: options.num_pairs]
    scans = {name: api.embed_scan(model, folder / name / "ct.nii.gz", modality="ct") for name in bodies}
    dice: dict[str, list[float]] = {"carried": [], "carried, large": [], "centred": [], "centred, large": []}
    seconds = []
    for number in sorted(chosen):
        template, target = pairs[number]
        labels, truth = (read_volume(folder / name / "labels.nii.gz") for name in (template, target))
        started = time.process_time()
        found = api.propagate_labels(
            model,
            scans[template],
            folder / template / "labels.nii.gz",
            scans[target],
            grid=scans[target].scan_grid,
            refinement=options.refinement,
        )
        seconds.append(time.process_time() - started)
        moved = centred(labels, scans[template], scans[target], grid=truth)
        for name, volume in (("carried", found.volume), ("centred", moved)):
            overlaps, sizes = overlap(volume.array, truth.array)
            dice[name] += overlaps.tolist()
            dice[f"{name}, large"] += overlaps[sizes >= LARGE_VOX].tolist()
    for name, values in dice.items():
        print(
            f"{name}: mean Dice {np.mean(values):.3f}, median {np.median(values):.3f}, {len(values)} labels"
        )
    print(f"{np.median(seconds):.1f} CPU s a pair, {len(seconds)} pairs")
    return bool(np.mean(dice["carried"]) > np.mean(dice["centred"]))


def measure_lesions(model: api.Model, options: argparse.Namespace) -> bool:
    """Print how far off lesions end, and return whether the median is below the bar."""
    folder = options.results / "phantoms" / TRACKED
    distances_mm, num_lesions = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        mask_path = Path(scratch) / "lesion.nii.gz"
        for path in sorted(folder.glob("*.lesions.csv")):
            lesions = pd.read_csv(path, dtype={"volume_id": str})
            first, second = (rows.set_index("lesion") for _, rows in lesions.groupby("volume_id", sort=True))
            case = path.name.removesuffix(".lesions.csv")
            names = [f"{case}_{number:02d}_01" for number in (1, 2)]
            scans = [api.embed_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in names]
            raw = [read_volume(folder / f"{name}.nii.gz") for name in names]
            for lesion in first.index[first["is_inside"]].intersection(second.index[second["is_inside"]]):
                write_volume(ball(raw[0], first.loc[lesion]), mask_path)
                found = api.propagate_labels(
                    model, scans[0], mask_path, scans[1], grid=raw[1], refinement=options.refinement
                )
                num_lesions += 1
                voxels = np.argwhere(found.volume.array > 0)
                if len(voxels):
                    centre_mm = raw[1].world_from_voxel(voxels).mean(axis=0)
                    true_mm = second.loc[lesion, ["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float)
                    distances_mm.append(float(np.linalg.norm(centre_mm - true_mm)))
    lost = num_lesions - len(distances_mm)
    distances_mm += [np.inf] * lost
    within = np.mean(np.array(distances_mm) <= MAX_MEDIAN_MM)
    print(
        f"lesions: {num_lesions}, {lost} not carried, median {np.median(distances_mm):.1f} mm off, "
        f"{100 * within:.0f} % within {MAX_MEDIAN_MM:g} mm"
    )
    return bool(np.median(distances_mm) <= MAX_MEDIAN_MM)


def ball(scan: Volume, lesion: pd.Series) -> Volume:
    """Return the mask of a lesion, at least the voxel of its centre."""
    centre_mm = lesion[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float)
    points_mm = scan.world_from_voxel(np.indices(scan.shape).reshape(3, -1).T)
    distance_mm = np.linalg.norm(points_mm - centre_mm, axis=1)
    mask = distance_mm <= max(lesion["radius_mm"], distance_mm.min())
    return Volume(mask.reshape(scan.shape).astype(np.uint8), scan.affine)


def centred(labels: Volume, template: api.EmbeddedScan, target: api.EmbeddedScan, *, grid: Volume) -> Volume:
    """Return the labels moved by the way from the centre of one body to that of the other."""
    shift_mm = centre_of(template.body_mask) - centre_of(target.body_mask)
    places_mm = grid.world_from_voxel(np.indices(grid.shape).reshape(3, -1).T) + shift_mm
    return Volume(labels.nearest_values(places_mm).reshape(grid.shape), grid.affine)


def centre_of(body: Volume) -> np.ndarray:
    """Return the (3,) mean world mm of a mask."""
    return body.world_from_voxel(np.argwhere(body.array > 0)).mean(axis=0)


def overlap(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Dice of each label that either map holds, and its true number of voxels."""
    num_labels = int(max(found.max(), truth.max())) + 1
    here, there = (np.bincount(array.ravel().astype(int), minlength=num_labels) for array in (found, truth))
    both = np.bincount(truth[found == truth].ravel().astype(int), minlength=num_labels)
    shown = np.flatnonzero(here + there)
    shown = shown[shown > 0]
    return 2.0 * both[shown] / (here + there)[shown], there[shown]


if __name__ == "__main__":
    sys.exit(main())
