"""How near answers come to the truth on real CTs warped by known fields (configs/known_warps.yaml).

python -m benchmarks.known_warps make /tmp/known_warps --half development
python -m benchmarks.known_warps match /tmp/known_warps --model MODEL.safetensors
python -m benchmarks.known_warps refine /tmp/known_warps
python -m benchmarks.known_warps make /tmp/torsos --half test --scans CRLM-CT-1004_CT LIDC-IDRI-0314_CT

`make` writes each pair into a folder `<scan>.<warp>`: template.nii.gz, target.nii.gz and points.csv with corresponding
points, ready for `match` and `register` as well; for a scan in a case folder also template_labels.nii.gz and
target_labels.nii.gz with the organs of both. `match` adds the stable points of a packaged model (starts.csv), with
`--scans 'pt_*'` to the scans that it has learned to know and no others. `refine` moves these to the voxel and prints
median, mean and 95th percentile of the errors in mm before and after; where no model answered, it starts from the truth
with independent normal errors of 2.6 mm along each axis, mean 4 mm, about what cells of 8 mm give. It exits with 1 when
a bar is missed.
"""

import argparse
import fnmatch
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray

from anatomical_embedding import api
from anatomical_embedding.code_fingerprint import REPOSITORY
from anatomical_embedding.datasets.known_warp import (
    KnownWarp,
    WarpedPair,
    draw_pair,
    warp_of_pair,
    warped_labels,
)
from anatomical_embedding.evaluation.registration.organ_overlap import measure_organs
from anatomical_embedding.matching.voxel_refinement import RefinedMatches, refine_matches
from anatomical_embedding.registration.displacement_field import (
    DisplacementField,
    Sampling,
    resample_all_through,
)
from anatomical_embedding.settings.known_warps import Half, KnownWarpsSettings
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.settings.run_file import completed_run_file, read_run_files
from anatomical_embedding.settings.volumes import BodyMaskSettings
from anatomical_embedding.volumes.body_mask import body_box, body_mask
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.prepare import crop_volume
from anatomical_embedding.volumes.resample import resample_to_spacing
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

YARDSTICK = REPOSITORY / "configs" / "known_warps.yaml"
START_DEVIATION_MM = 2.6
TEMPLATE, TARGET = (["x_mm", "y_mm", "z_mm"], ["target_x_mm", "target_y_mm", "target_z_mm"])
THICK, LESIONS = "thick", "lesions"
ORGANS = (
    *("brainstem", "esophagus", "larynx", "mandible", "parotid_left", "parotid_right"),
    "spinal_cord",
)
"""Of the scans in case folders."""
LABELS_MM, LABELS_MARGIN_MM = 1.5, 30.0
OVERLAP = ("dice", "surface_mm", "surface_p95_mm")
LARGEST_MEDIAN, LARGEST_P95 = 0.45, 0.7
"""Errors after, as shares of those before."""
LARGEST_MEDIAN_THICK, LARGEST_P95_THICK = 0.6, 0.8
LARGEST_WORSE_MM = 1.0
"""By so much the worst tenth of lesions may get worse."""


def main() -> None:
    """Make the pairs, match them, or refine the matches."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("make", "match", "refine"))
    parser.add_argument("folder", type=Path, help="where the pairs are")
    parser.add_argument(
        "--half", choices=("development", "test"), default="development", help="of the scans (make)"
    )
    parser.add_argument("--warps", nargs="*", help="only these (make)")
    parser.add_argument("--scans", nargs="*", default=["*"], help="only these; names may have wildcards")
    parser.add_argument("--model", type=Path, help="packaged model (match)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.step == "make":
        make(options.folder, half=options.half, warps=options.warps, scans=options.scans)
    elif options.step == "match":
        match(pairs_in(options.folder, options.scans), api.load_model(options.model))
    else:
        pairs = pairs_in(options.folder, options.scans)
        sys.exit(0 if is_good(refine(pairs, delivered_settings())) else 1)


def yardstick() -> KnownWarpsSettings:
    """Return what is warped and how."""
    return KnownWarpsSettings(**yaml.safe_load(YARDSTICK.read_text(encoding="utf-8")))


def delivered_settings() -> RefinementSettings:
    """Return how the demo's models refine."""
    run = completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))
    return RefinementSettings(**run["answers"]["refinement"])


def body_of(volume: Volume) -> NDArray[np.bool_]:
    """Return the mask of the body in a CT, as the workflow makes it."""
    run = completed_run_file(read_run_files([REPOSITORY / "config.yaml"]))
    return body_mask(volume, modality="ct", settings=BodyMaskSettings(**run["volumes"]["body_mask"]))


def make(folder: Path, *, half: Half, warps: Sequence[str] | None, scans: Sequence[str]) -> None:
    """Write every pair of one half, or those of some warps and scans."""
    settings = yardstick()
    named = {name_of_scan(path): path for path in settings.scans[half]}
    for name in chosen(named, scans):
        path = settings.root / named[name]
        scan = read_volume(path)
        labels = organs_of(path, scan)
        for warp in warps or settings.warps:
            pair = draw_pair(scan, name, warp_name=warp, body_of=body_of, settings=settings)
            write_pair(pair, folder / f"{name}.{warp}")
            if labels is not None:
                drawn = warp_of_pair(scan, name, warp_name=warp, settings=settings)
                reach_mm = settings.largest_mm + abs(settings.warps[warp].slide_mm)
                write_labels(labels, drawn, pair.target, folder / f"{name}.{warp}", reach_mm=reach_mm)


def organs_of(path: Path, scan: Volume) -> Volume | None:
    """Return the organs of a scan in a case folder, labels 1, 2, ...; None for another scan."""
    masks = {organ: path.parent / "segmentations" / f"{organ}.nii.gz" for organ in ORGANS}
    if not all(mask.exists() for mask in masks.values()):
        return None
    array = np.zeros(scan.shape, np.uint8)
    for label, mask in enumerate(masks.values(), start=1):
        array[read_volume(mask, require_contrast=False).array > 0] = label
    return Volume(array, scan.affine)


def write_labels(labels: Volume, warp: KnownWarp, target: Volume, folder: Path, *, reach_mm: float) -> None:
    """Write the organs of both scans on grids of LABELS_MM, so that errors below a voxel show."""
    strides = LABELS_MM / target.spacing_mm
    size_x, size_y, size_z = np.rint(np.array(target.shape) / strides).astype(int).tolist()
    grid = VolumeHeader((size_x, size_y, size_z), affine_of_cells(target.affine, stride_vox=strides))
    write_volume(warped_labels(labels, warp, grid=grid, reach_mm=reach_mm), folder / "target_labels.nii.gz")
    fine = resample_to_spacing(labels, spacing_mm=[LABELS_MM] * 3, is_label=True)
    box = body_box(fine.array > 0, margin_vox=np.full(3, round(LABELS_MARGIN_MM / LABELS_MM)))
    write_volume(crop_volume(fine, box=box), folder / "template_labels.nii.gz")


def overlap_of(folder: Path, field: DisplacementField) -> dict[str, float]:
    """Return the mean Dice of the organs and of the mean and 95th percentile distances of their surfaces in mm.

    NaN where the pair has no organs. As in the workflow, the moving organs are carried onto the fixed ones, and what
    the moving scan does not show counts for nothing.
    """
    paths = [folder / f"{name}_labels.nii.gz" for name in ("template", "target")]
    if not paths[0].exists():
        return dict.fromkeys(OVERLAP, np.nan)
    truth, moving = (read_volume(path) for path in paths)
    grid = VolumeHeader(truth.shape, truth.affine)
    (found,) = resample_all_through(field, [Sampling(moving, True, 0)], grid=grid)
    organs = measure_organs(found.volume, found.volume, truth, is_shared=found.is_reached, organs=ORGANS)
    rows = [
        (organ.dice_after, organ.mean_distance_mm_after, organ.p95_distance_mm_after)
        for organ in organs
        if organ.dice_after is not None
    ]
    means = np.nanmean(np.array(rows, dtype=np.float64), axis=0)
    return dict(zip(OVERLAP, means.tolist(), strict=True))


def name_of_scan(path: PurePath) -> str:
    """Return the case of a scan in a case folder, the name of the file of another."""
    return path.parent.name if path.name == "ct.nii.gz" else path.name.split(".")[0]


def chosen(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that fit one of the patterns; stop with the pattern that none fits."""
    names = list(names)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            sys.exit(f"--scans {pattern}: expected one of {', '.join(sorted(set(names)))}")
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def pairs_in(folder: Path, scans: Sequence[str]) -> list[Path]:
    """Return the folders of the pairs of some scans."""
    pairs = sorted(points.parent for points in folder.glob("*/points.csv"))
    names = set(chosen([scan_and_warp(pair)[0] for pair in pairs], scans))
    return [pair for pair in pairs if scan_and_warp(pair)[0] in names]


def scan_and_warp(pair: Path) -> tuple[str, str]:
    """Return the names of the scan and the warp of a pair."""
    scan, warp = pair.name.rsplit(".", 1)
    return scan, warp


def write_pair(pair: WarpedPair, folder: Path) -> None:
    """Write two scans and their points."""
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(pair.template, folder / "template.nii.gz")
    write_volume(pair.target, folder / "target.nii.gz")
    table = pd.DataFrame(np.hstack([pair.template_mm, pair.target_mm]), columns=[*TEMPLATE, *TARGET])
    table.assign(growth=pair.growth).to_csv(folder / "points.csv", index_label="name")


def match(pairs: Sequence[Path], model: api.Model) -> None:
    """Write the stable points of each pair as starts."""
    for pair in pairs:
        template, target = (
            api.embed_scan(model, pair / f"{name}.nii.gz", modality="ct") for name in ("template", "target")
        )
        asked = pd.read_csv(pair / "points.csv")[TEMPLATE].to_numpy()
        found = api.match_points(
            model, template, target, asked, method="stable_points", refinement="parabolic"
        )
        pd.DataFrame(found.points_mm, columns=TEMPLATE).to_csv(pair / "starts.csv", index=False)


def refine(pairs: Sequence[Path], settings: RefinementSettings) -> pd.DataFrame:
    """Print the errors of each warp and of all, and return those of every point."""
    errors = pd.concat([refined_pair(pair, settings) for pair in pairs], ignore_index=True)
    print(f"{'warp':<10} {'before':>17} {'after':>17} {'of before':>10} {'refined':>8} {'ms':>6}")
    for warp, rows in errors.groupby("warp", sort=False):
        print(f"{warp:<10} {figures(rows)}")
    for start, rows in errors[~errors["warp"].isin([THICK, LESIONS])].groupby("start"):
        print(f"all others, from {start}\n{'':<10} {figures(rows)}")
    for growth, rows in errors[errors["warp"] == LESIONS].groupby("growth"):
        print(f"radius x {growth:<3} {figures(rows)}")
    return errors


def refined_pair(folder: Path, settings: RefinementSettings) -> pd.DataFrame:
    """Return the errors of the points of one pair, before and after."""
    template, target = (read_volume(folder / f"{name}.nii.gz") for name in ("template", "target"))
    points = pd.read_csv(folder / "points.csv")
    asked, truth = points[TEMPLATE].to_numpy(), points[TARGET].to_numpy()
    model_starts = folder / "starts.csv"
    start = truth + np.random.default_rng(1).normal(0.0, START_DEVIATION_MM, truth.shape)
    if model_starts.exists():
        start = pd.read_csv(model_starts)[TEMPLATE].to_numpy()
    began = time.process_time()
    found: RefinedMatches = refine_matches(template, target, asked, start, settings=settings)
    cost_ms = 1000.0 * (time.process_time() - began) / len(asked)
    scan, warp = scan_and_warp(folder)
    return pd.DataFrame(
        {
            "scan": scan,
            "warp": warp,
            "start": "stable points" if model_starts.exists() else "truth and noise",
            "growth": points["growth"],
            "before": np.linalg.norm(start - truth, axis=1),
            "after": np.linalg.norm(found.points_mm - truth, axis=1),
            "is_refined": found.is_refined,
            "reason": found.reason,
            "cost_ms": cost_ms,
        }
    ).dropna(subset=["before"])


def figures(rows: pd.DataFrame) -> str:
    """Return the figures of some points as text."""
    shares = [rows["after"].quantile(q) / rows["before"].quantile(q) for q in (0.5, 0.95)]
    return (
        f"{spread(rows['before'])} {spread(rows['after'])} {shares[0]:>5.2f} {shares[1]:.2f}"
        f" {100 * rows['is_refined'].mean():>6.0f} % {rows['cost_ms'].mean():>6.1f}"
    )


def spread(errors_mm: NDArray[np.float64]) -> str:
    """Return median, mean and 95th percentile."""
    return " ".join(
        f"{figure:>5.2f}"
        for figure in (np.median(errors_mm), np.mean(errors_mm), np.percentile(errors_mm, 95))
    )


def is_good(errors: pd.DataFrame) -> bool:
    """Print which bars are missed and return whether none is."""
    lesions, thick = errors["warp"] == LESIONS, errors["warp"] == THICK
    missed = [
        f"{name}: {share:.2f} of the error before, at most {bar} asked for"
        for rows, kind, bars in (
            (errors[~lesions & ~thick], "all", (LARGEST_MEDIAN, LARGEST_P95)),
            (errors[thick], "slices of 5 mm", (LARGEST_MEDIAN_THICK, LARGEST_P95_THICK)),
        )
        for name, quantile, bar in zip((f"median, {kind}", f"95 %, {kind}"), (0.5, 0.95), bars, strict=True)
        if (share := rows["after"].quantile(quantile) / rows["before"].quantile(quantile)) > bar
    ]
    for growth, rows in errors[lesions].groupby("growth"):
        gain = rows["before"] - rows["after"]
        if gain.mean() <= 0.0:
            missed.append(
                f"lesions of {growth:g} times the radius: farther by {-gain.mean():.2f} mm in the mean"
            )
        if gain.quantile(0.1) < -LARGEST_WORSE_MM:
            missed.append(
                f"lesions of {growth:g} times the radius: worst tenth {-gain.quantile(0.1):.2f} mm farther"
            )
    for text in missed:
        print(f"missed: {text}")
    return not missed


if __name__ == "__main__":
    main()
