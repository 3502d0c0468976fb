"""How exact other registration programs are on real CTs warped by known fields (configs/known_warps.yaml).

    make .venv-peers/.installed
    .venv-peers/bin/pip install -c envs/constraints.txt convexadam==0.2.0 torch==2.13.0
    python -m benchmarks.known_warps make FOLDER --half test
    python -m benchmarks.warped_registration FOLDER --program results/deeds/deeds --model MODEL --output ours.csv
    python -m benchmarks.peer_registration FOLDER --peers .venv-peers/bin/python --model MODEL --output peers.csv
    python -m benchmarks.peer_registration FOLDER --model MODEL --beside ours.csv peers.csv

greedy (picsl-greedy, NCC of 5 x 5 x 5 voxels, 100, 50 and 20 steps) and convexAdam (MIND, its default settings) begin
with the scans as they lie, on both scans averaged to voxels of 2 mm within the box of the body, and use one thread. A
pair that the table holds already is not run again. `--beside` prints the figures of the pairs that all tables share,
and how far each way is from the first one of the first table, with 95 % intervals by a paired bootstrap over the pairs.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding import api
from anatomical_embedding.registration.displacement_field import DisplacementField, read_field
from anatomical_embedding.registration.field_descent import not_finer
from anatomical_embedding.usage.scans import prepare_raw_scan
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.resample import resample_onto
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import TARGET, TEMPLATE, spread

SPACING_MM = 2.0
PROGRAMS = ("greedy", "convexadam")
NUM_RESAMPLES, SEED = 2000, 1
PAIR = ["scan", "warp"]


def main() -> None:
    """Run the peers, or print figures of tables side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the pairs are")
    parser.add_argument("--peers", type=Path, help="Python that the other programs are installed for")
    parser.add_argument("--model", type=Path, required=True, help="whose settings say where a body is")
    parser.add_argument("--pairs", nargs="+", default=["*"], help="patterns of the names of the pairs")
    parser.add_argument("--output", type=Path, help="errors (CSV) to write, a row for each point")
    parser.add_argument("--beside", type=Path, nargs="+", help="tables to print side by side")
    options = parser.parse_args()
    if options.beside:
        print_beside([pd.read_csv(table) for table in options.beside])
        return
    model = api.load_model(options.model)
    known = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=[*PAIR, "way"])
    for pattern in options.pairs:
        for points in sorted(options.folder.glob(f"{pattern}/points.csv")):
            scan, warp = points.parent.name.rsplit(".", 1)
            if not ((known["scan"] == scan) & (known["warp"] == warp)).any():
                known = pd.concat([known, registered(points.parent, options.peers, model)], ignore_index=True)
                known.to_csv(options.output, index=False)


def registered(folder: Path, python: Path, model: api.Model) -> pd.DataFrame:
    """Return the errors of the points of one pair by every program."""
    raw = [api.read_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("template", "target")]
    box = prepare_raw_scan(model, raw[0]).image
    strides = SPACING_MM / box.spacing_mm
    size_x, size_y, size_z = np.rint(np.array(box.shape) / strides).astype(int).tolist()
    affine = affine_of_cells(box.affine, stride_vox=strides)
    points = pd.read_csv(folder / "points.csv")
    asked, truth = points[TEMPLATE].to_numpy(), points[TARGET].to_numpy()
    scan, warp = folder.name.rsplit(".", 1)
    tables = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name, scan_read in zip(("fixed", "moving"), raw, strict=True):
            on_grid = resample_onto(
                not_finer(scan_read.volume, SPACING_MM),
                shape=(size_x, size_y, size_z),
                affine=affine,
                is_label=False,
                fill_value=float(scan_read.volume.array.min()),
            )
            write_volume(on_grid, work / f"{name}.nii.gz")
        for program in PROGRAMS:
            cpu_s, peak_mb = run_peer(python, program, work)
            found = found_field(program, work).moving_points(asked)
            row = {"scan": scan, "warp": warp, "way": program, "cpu_s": cpu_s, "peak_mb": peak_mb}
            errors = pd.DataFrame({"error_mm": np.linalg.norm(found - truth, axis=1)}).assign(**row)
            print(
                f"{folder.name} {program} {spread(errors['error_mm'].to_numpy())} {cpu_s:.1f} CPU s",
                flush=True,
            )
            tables.append(errors)
    return pd.concat(tables, ignore_index=True)


def run_peer(python: Path, program: str, folder: Path) -> tuple[float, float]:
    """Run one program on one thread and return its processor seconds and its peak memory in MB."""
    script = Path(__file__).with_name("run_peer.py")
    one_thread = {
        name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    }
    with (folder / f"{program}.log").open("w") as log:
        process = subprocess.Popen(
            [python, script, program, folder],
            env=os.environ | one_thread,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{program} failed:\n{(folder / f'{program}.log').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def found_field(program: str, folder: Path) -> DisplacementField:
    """Return what a program found, from the fixed to the moving world."""
    if program == "greedy":
        return read_field(folder / "warp.nii.gz")
    fixed: Volume = read_volume(folder / "fixed.nii.gz")
    shifts = np.load(folder / "shifts.npy")
    return DisplacementField((shifts @ fixed.affine[:3, :3].T).astype(np.float32), fixed.affine)


def print_beside(tables: Sequence[pd.DataFrame]) -> None:
    """Print the figures of the pairs that all tables share, and the differences from the first way."""
    shared = set.intersection(*[set(table[PAIR].itertuples(index=False, name=None)) for table in tables])
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[[pair in shared for pair in rows[PAIR].itertuples(index=False, name=None)]]
    ways = list(rows["way"].unique())
    print(f"{len(shared)} pairs")
    for warp, of_warp in [("all", rows), *rows.groupby("warp")]:
        errors = {way: by_pair(of_warp[of_warp["way"] == way]) for way in ways}
        for way in ways:
            cost = of_warp[of_warp["way"] == way]
            figures = (
                f"{spread(np.concatenate(errors[way]))} {cost['cpu_s'].mean():>6.1f} CPU s {peak_of(cost)}"
            )
            print(f"{warp:<8} {way:<12.12} {figures} {differences(errors[ways[0]], errors[way])}")


def peak_of(rows: pd.DataFrame) -> str:
    """Return the largest peak memory as text, nothing where it was not measured."""
    return f"{rows['peak_mb'].max():.0f} MB" if "peak_mb" in rows and rows["peak_mb"].notna().any() else ""


def by_pair(rows: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Return the errors of each pair, in the order of their names."""
    return [errors["error_mm"].to_numpy() for _, errors in rows.groupby(PAIR)]


def differences(first: list[NDArray[np.float64]], other: list[NDArray[np.float64]]) -> str:
    """Return by how much another way's median and 95th percentile are higher, with intervals."""
    draws = np.random.default_rng(SEED).integers(0, len(first), (NUM_RESAMPLES, len(first)))
    texts = []
    for name, percent in (("median", 50), ("95 %", 95)):
        apart = np.percentile(np.concatenate(other), percent) - np.percentile(np.concatenate(first), percent)
        drawn = [
            np.percentile(np.concatenate([other[i] for i in draw]), percent)
            - np.percentile(np.concatenate([first[i] for i in draw]), percent)
            for draw in draws
        ]
        low, high = np.percentile(drawn, (2.5, 97.5))
        texts.append(f"{name} {apart:+.2f} ({low:+.2f} to {high:+.2f})")
    return "; ".join(texts)


if __name__ == "__main__":
    main()
