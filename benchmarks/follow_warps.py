"""How well lesions are followed over visits of a real CT, warped by fields that are known everywhere.

python -m benchmarks.follow_warps --checkpoint results/models/sam/model.safetensors --folder /tmp/follow_warps

The first visit is a CT of configs/known_warps.yaml, the others what that scan looks like through its warps `gentle`,
`contrast` and `thick`: other shape, noise, contrast agent and slices. Balls and irregular blobs of tissue are put in at
corresponding places and grow, shrink or vanish. Prints distances, states and the agreement of masks, and how much
volumes and diameters of the true masks differ from those computed here from voxels alone. Exits with 1 when a bar is
missed.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import pdist

from anatomical_embedding.api import load_model, match_points
from anatomical_embedding.datasets.known_warp import KnownWarp, draw_pair, warp_of_pair
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.measurements import measure_lesions
from anatomical_embedding.follow.patient import AskedPatient, follow_patient, open_visits
from anatomical_embedding.follow.visits import AskedVisit, require_order
from anatomical_embedding.settings.follow import delivered_follow_settings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions
from anatomical_embedding.volumes.volume import Volume, zeros_on
from benchmarks.known_warps import body_of, yardstick

SETTINGS = delivered_follow_settings()
WARPS = ("gentle", "contrast", "thick")
NUM_LESIONS, APART_MM, BORDER_MM = 12, 40.0, 30.0
RADIUS_MM, EDGE_MM = (6.0, 11.0), 2.0
GROWTH = (0.85, 1.2)
"""Factor of the radius from visit to visit."""
GONE_FROM, GONE_EVERY = 2, 4
"""Every so manieth lesion has vanished from this visit on."""
BUMPS, BUMP = 5, 0.35
"""Of an irregular blob: how many directions it bulges to, and by which share of its radius."""
SMALLEST_DICE, LARGEST_DIFFERENCE = 0.75, 0.01
TISSUE_HU = 110.0


@dataclass(frozen=True)
class Blob:
    """A lesion of any shape: `directions` (B, 3) in which its radius bulges by `bulges` (B,); none for a ball."""

    radius_mm: float
    directions: NDArray[np.float64]
    bulges: NDArray[np.float64]
    growth: float

    def share(self, offsets_mm: NDArray[np.float64], visit: int) -> NDArray[np.float64]:
        """Return (...) how much of (..., 3) places is lesion, by their offsets from its middle."""
        distance = np.linalg.norm(offsets_mm, axis=-1)
        towards = offsets_mm @ self.directions.T / np.maximum(distance, 1e-9)[..., np.newaxis]
        reach = self.radius_mm * self.growth**visit
        radius = reach * (1.0 + np.maximum(towards, 0.0) ** 4 @ self.bulges)
        return np.clip((radius - distance) / EDGE_MM + 0.5, 0.0, 1.0)


def main() -> None:
    """Print the scores and exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="model.safetensors of a run")
    parser.add_argument("--folder", type=Path, required=True, help="where scans and answers go")
    parser.add_argument(
        "--scan", default="LIDC-IDRI-0314_CT", help="of configs/known_warps.yaml (default: %(default)s)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = follow_scan(load_model(options.checkpoint), options.scan, options.folder)
    table.to_csv(options.folder / "answers.csv", index=False)
    sys.exit(0 if print_scores(table) else 1)


def follow_scan(model: Model, name: str, folder: Path) -> pd.DataFrame:
    """Return what was answered on the lesions of a scan, a row a lesion and visit, with the truth."""
    settings = yardstick()
    (path,) = [path for paths in settings.scans.values() for path in paths if path.name.startswith(name)]
    scan = read_volume(settings.root / path)
    random = np.random.default_rng(settings.seed)
    pairs = [draw_pair(scan, name, warp_name=warp, body_of=body_of, settings=settings) for warp in WARPS]
    warps = [warp_of_pair(scan, name, warp_name=warp, settings=settings) for warp in WARPS]
    seen = [scan, *(pair.target for pair in pairs)]
    middles = draw_middles(seen, warps, pairs[0].template_mm)
    blobs = [draw_blob(random, is_ball=number % 2 == 0) for number in range(len(middles[0]))]
    truths = [
        put_in(volume, middles[visit], blobs, visit, folder / f"visit{visit}.nii.gz")
        for visit, volume in enumerate(seen)
    ]
    write_volume(truths[0], folder / "lesions.nii.gz")
    # What is followed is the middle of a given mask, not the point round which a blob with bulges was drawn.
    asked_mm = np.array(
        [
            truths[0].world_from_voxel(np.argwhere(truths[0].array == number)).mean(axis=0)
            for number in range(1, len(blobs) + 1)
        ]
    )
    true_mm = [asked_mm, *(target_places(warp, asked_mm) for warp in warps)]
    visits = tuple(
        AskedVisit(f"visit{number}", folder / f"visit{number}.nii.gz", None) for number in range(len(seen))
    )
    asked = AskedPatient(name, visits, {"visit0": folder / "lesions.nii.gz"}, "ras", ReadingOptions("ct"))
    place = FollowFolder(folder / "followed")
    rows, _ = follow_patient(model, asked, place.folder, settings=SETTINGS)
    scans = open_visits(model, asked, place, checksums=require_order(asked.visits), settings=SETTINGS)
    answers: list[dict[str, Any]] = []
    for number, visit in enumerate(visits[1:], start=1):
        direct = match_points(model, scans["visit0"], scans[visit.name], asked_mm)
        masks = (
            read_volume(place.mask(visit.name), require_contrast=False)
            if place.mask(visit.name).exists()
            else zeros_on(truths[number])
        )
        for row in (row for row in rows if row.visit == visit.name):
            lesion = row.lesion - 1
            answers.append(
                {
                    "visit": visit.name,
                    "lesion": row.lesion,
                    "true_state": "gone" if is_gone(lesion, number) else "present",
                    "state": row.state,
                    "error_mm": np.linalg.norm(np.array(row.point_mm) - true_mm[number][lesion]),
                    "direct_mm": np.linalg.norm(direct.points_mm[lesion] - true_mm[number][lesion]),
                    "dice": dice(masks.array == row.lesion, truths[number].array == row.lesion),
                    **sizes(masks, truths[number], row.lesion),
                }
            )
    report_true_sizes(truths)
    return pd.DataFrame(answers)


def draw_middles(
    seen: Sequence[Volume], warps: Sequence[KnownWarp], places_mm: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return by visit the (N, 3) middles of the lesions: places of the body that lie well inside every scan."""
    moved = [places_mm, *(target_places(warp, places_mm) for warp in warps)]
    deep = np.all(
        [volume.depth_mm(places) >= BORDER_MM for volume, places in zip(seen, moved, strict=True)], axis=0
    )
    taken: list[int] = []
    for row in np.flatnonzero(deep):
        if all(np.linalg.norm(places_mm[row] - places_mm[other]) >= APART_MM for other in taken):
            taken.append(int(row))
    return [places[taken[:NUM_LESIONS]] for places in moved]


def target_places(warp: KnownWarp, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, 3) places of the target that show (N, 3) places of the template, to 0.001 mm."""
    found = places_mm.copy()
    for _ in range(100):
        found = found - (warp.to_template(found) - places_mm)
    if np.abs(warp.to_template(found) - places_mm).max() > 1e-3:
        raise ValueError("a place has no partner through the warp")
    return found


def draw_blob(random: np.random.Generator, *, is_ball: bool) -> Blob:
    """Return a lesion of random size, growth and, if it is no ball, shape."""
    directions = random.standard_normal((BUMPS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bulges = np.zeros(BUMPS) if is_ball else BUMP * random.uniform(-1.0, 1.0, BUMPS)
    return Blob(float(random.uniform(*RADIUS_MM)), directions, bulges, float(random.uniform(*GROWTH)))


def is_gone(lesion: int, visit: int) -> bool:
    """Say whether a lesion, from 0, has vanished by a visit."""
    return visit >= GONE_FROM and lesion % GONE_EVERY == GONE_EVERY - 1


def put_in(
    volume: Volume, middles_mm: NDArray[np.float64], blobs: Sequence[Blob], visit: int, path: Path
) -> Volume:
    """Write a scan with the lesions of a visit, and return their masks."""
    array = volume.array.astype(np.float32)
    labels = np.zeros(volume.shape, dtype=np.uint8)
    texture = np.random.default_rng(visit).normal(0.0, 15.0, volume.shape)
    for number, (middle_mm, blob) in enumerate(zip(middles_mm, blobs, strict=True), start=1):
        if is_gone(number - 1, visit):
            continue
        reach = np.ceil(3.0 * RADIUS_MM[1] / volume.spacing_mm).astype(int)
        middle = np.rint(volume.voxel_from_world(middle_mm)).astype(int)
        low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, volume.shape)
        part = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
        voxels = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in part], indexing="ij"), axis=-1)
        share = blob.share(volume.world_from_voxel(voxels) - middle_mm, visit)
        array[part] += share * (TISSUE_HU + texture[part] - array[part])
        labels[part][share >= 0.5] = number
    write_volume(Volume(np.rint(array).astype(np.int16), volume.affine), path)
    return Volume(labels, volume.affine)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the overlap of two masks; NaN where either is empty."""
    if not first.any() or not second.any():
        return np.nan
    return float(2.0 * (first & second).sum() / (first.sum() + second.sum()))


def sizes(masks: Volume, truth: Volume, lesion: int) -> Mapping[str, float]:
    """Return the errors of volume, as a share, and of the longest diameter, in voxels."""
    if not (masks.array == lesion).any() or not (truth.array == lesion).any():
        return {"volume": np.nan, "diameter": np.nan}
    found, true = (measure_lesions(each, each)[lesion] for each in (masks, truth))
    voxel_mm = float(truth.spacing_mm[:2].max())
    return {
        "volume": abs(found.volume_mm3 / true.volume_mm3 - 1.0),
        "diameter": abs(found.longest.length_mm - true.longest.length_mm) / voxel_mm,
    }


def by_hand(truth: Volume, lesion: int) -> tuple[float, float]:
    """Return volume in mm3 and longest axial diameter in mm, from voxels alone: half a voxel beyond the outermost."""
    inside = truth.array == lesion
    volume_mm3 = inside.sum() * np.prod(truth.spacing_mm)
    longest = 0.0
    for plane in np.moveaxis(inside, 2, 0):
        if plane.sum() < 2:
            continue
        edge = np.argwhere(plane & ~binary_erosion(plane))
        half = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
        corners = (edge[:, np.newaxis] + half).reshape(-1, 2) * truth.spacing_mm[:2]
        longest = max(longest, float(pdist(corners).max()))
    return float(volume_mm3), longest


def report_true_sizes(truths: Sequence[Volume]) -> None:
    """Print how far the measurements of true masks are from those by hand, and refuse more than the bar."""
    volumes, diameters = [], []
    for truth in truths:
        for lesion, found in measure_lesions(truth, truth).items():
            volume_mm3, long_axis_mm = by_hand(truth, lesion)
            volumes.append(abs(found.volume_mm3 / volume_mm3 - 1.0))
            diameters.append(abs(found.longest.length_mm / long_axis_mm - 1.0))
    print(
        f"{len(volumes)} true masks against voxels by hand: volume {max(volumes):.2%}, longest diameter "
        f"{max(diameters):.2%} at most"
    )
    if max(*volumes, *diameters) > LARGEST_DIFFERENCE:
        sys.exit(1)


def print_scores(table: pd.DataFrame) -> bool:
    """Print all figures and say whether every bar is kept."""
    placed = table[table["error_mm"].notna()]
    for column, words in (("direct_mm", "direct match"), ("error_mm", "visits together")):
        median, tail = placed[column].quantile([0.5, 0.95])
        print(f"{words:<18} median {median:>5.2f} mm, 95 % {tail:>6.2f} mm, of {len(placed)}")
    print(pd.crosstab(table["true_state"], table["state"]).to_string())
    shown = table[(table["true_state"] == "present") & (table["state"] == "present")]
    middle = shown[["dice", "volume", "diameter"]].median()
    print(
        f"masks of {shown['dice'].notna().sum()} present lesions: Dice {middle['dice']:.2f}, volume off by "
        f"{middle['volume']:.1%}, diameter by {middle['diameter']:.2f} voxels in the median"
    )
    return bool(middle["dice"] >= SMALLEST_DICE)


if __name__ == "__main__":
    main()
