"""How exact other registration programs are on real CTs warped by known fields (configs/known_warps.yaml).

    make "$PWD/.venv-peers/.installed"
    .venv-peers/bin/pip install -c envs/constraints.txt convexadam==0.2.0 torch==2.13.0
    python -m benchmarks.known_warps make FOLDER --half test
    python -m benchmarks.warped_registration FOLDER --program results/deeds/deeds --model MODEL --output ours.csv
    python -m benchmarks.peer_registration FOLDER --peers .venv-peers/bin/python --model MODEL --output peers.csv
    python -m benchmarks.peer_registration FOLDER --model MODEL --beside ours.csv peers.csv

greedy (picsl-greedy, NCC of 5 x 5 x 5 voxels, 100, 50 and 20 steps) and convexAdam (MIND, its default settings) begin
with the scans as they lie, on both scans averaged to voxels of 2 mm within the box of the body, and use one thread. A
pair that the table holds already is not run again. `--beside` prints the figures of the pairs that all tables share:
median, mean and 95th percentile of the errors of the points in mm, and where the scans have organs their mean Dice, and
mean and 95th percentile of the distances of their surfaces in mm; then by how much each way is above the first one of
the first table, with 95 % intervals by a paired bootstrap over the pairs.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anatomical_embedding import api
from anatomical_embedding.registration.displacement_field import DisplacementField, read_field
from anatomical_embedding.usage.scans import prepare_raw_scan
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.resample import not_finer, resample_onto
from anatomical_embedding.volumes.volume import Volume
from benchmarks.known_warps import OVERLAP, TARGET, TEMPLATE, overlap_of, spread

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
    template, target = (
        api.read_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("template", "target")
    )
    box = prepare_raw_scan(model, template).image
    points = pd.read_csv(folder / "points.csv")
    asked, truth = points[TEMPLATE].to_numpy(), points[TARGET].to_numpy()
    scan, warp = folder.name.rsplit(".", 1)
    tables = []
    for found in registered_by_peers(python, template.volume, target.volume, box=box):
        row = {"scan": scan, "warp": warp, "way": found.program} | overlap_of(folder, found.field)
        row |= {"cpu_s": found.cpu_s, "peak_mb": found.peak_mb}
        errors = np.linalg.norm(found.field.moving_points(asked) - truth, axis=1)
        print(f"{folder.name} {found.program} {spread(errors)} {found.cpu_s:.1f} CPU s", flush=True)
        tables.append(pd.DataFrame({"error_mm": errors}).assign(**row))
    return pd.concat(tables, ignore_index=True)


class FoundByPeer(NamedTuple):
    """What another program found.

    Attributes
    ----------
    program : one of `PROGRAMS`.
    field : from the fixed to the moving world.
    cpu_s, peak_mb : processor time and largest memory of the program.
    """

    program: str
    field: DisplacementField
    cpu_s: float
    peak_mb: float


def registered_by_peers(
    python: Path, fixed: Volume, moving: Volume, *, box: Volume, spacing_mm: float = SPACING_MM
) -> Iterator[FoundByPeer]:
    """Register two scans that lie on one another by every program.

    Parameters
    ----------
    python : that the programs are installed for.
    fixed, moving : scans in one world, any grids.
    box : what the fixed scan is cut to.
    spacing_mm : of the grid that both scans are brought to.
    """
    strides = spacing_mm / box.spacing_mm
    size_x, size_y, size_z = np.rint(np.array(box.shape) / strides).astype(int).tolist()
    affine = affine_of_cells(box.affine, stride_vox=strides)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name, scan in (("fixed", fixed), ("moving", moving)):
            on_grid = resample_onto(
                not_finer(scan, spacing_mm),
                shape=(size_x, size_y, size_z),
                affine=affine,
                is_label=False,
                fill_value=float(scan.array.min()),
            )
            write_volume(on_grid, work / f"{name}.nii.gz")
        for program in PROGRAMS:
            cpu_s, peak_mb = run_peer(python, program, work)
            yield FoundByPeer(program, found_field(program, work), cpu_s, peak_mb)


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
    for warp, of_warp in [("all", rows), *rows.groupby("warp")]:
        of_way = {way: of_warp[of_warp["way"] == way] for way in ways}
        figures = {way: drawn_figures(of_way[way]) for way in ways}
        num_pairs, num_organs = (
            len(of_way[ways[0]].dropna(subset=kind).groupby(PAIR)) for kind in ([], ["dice"])
        )
        print(f"{warp}: {num_pairs} pairs, of {num_organs} with organs")
        for way in ways:
            cost = f"{of_way[way].groupby(PAIR)['cpu_s'].first().mean():.1f} CPU s {peak_of(of_way[way])}"
            print(f"  {way:<12.12} {texts_of(figures[way])} {cost}")
        for way in ways[1:]:
            print(f"  {way:<12.12} more: {differences(figures[ways[0]], figures[way])}")


def peak_of(rows: pd.DataFrame) -> str:
    """Return the largest peak memory as text, nothing where it was not measured."""
    return f"{rows['peak_mb'].max():.0f} MB" if "peak_mb" in rows and rows["peak_mb"].notna().any() else ""


def drawn_figures(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return the figures of one way, first of all its pairs, then of pairs drawn again: name -> (1 + draws,).

    The draws are the same for every way that has the same pairs.
    """
    by_pair = [(pair["error_mm"].to_numpy(), pair[list(OVERLAP)].iloc[0]) for _, pair in rows.groupby(PAIR)]
    errors = [of_pair for of_pair, _ in by_pair]
    organs = np.array([of_pair for _, of_pair in by_pair], dtype=np.float64)
    organs = organs[~np.isnan(organs).any(axis=1)]
    generator = np.random.default_rng(SEED)
    every = drawn_pairs(len(errors), generator)
    of_points = np.array([point_figures(np.concatenate([errors[i] for i in draw])) for draw in every])
    figures = dict(zip(("median", "mean", "95 %"), of_points.T, strict=True))
    if len(organs):
        draws = drawn_pairs(len(organs), generator)
        figures |= {name: organs[draws, column].mean(axis=1) for column, name in enumerate(OVERLAP)}
    return figures


def point_figures(errors_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return median, mean and 95th percentile."""
    return float(np.median(errors_mm)), float(errors_mm.mean()), float(np.percentile(errors_mm, 95))


def drawn_pairs(num_pairs: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return (1 + draws, pairs) rows of pairs: all of them, then as many drawn with replacement."""
    drawn = generator.integers(0, num_pairs, (NUM_RESAMPLES, num_pairs))
    return np.vstack([np.arange(num_pairs), drawn])


def texts_of(figures: dict[str, NDArray[np.float64]]) -> str:
    """Return the figures as text."""
    return ", ".join(f"{name} {values[0]:.{decimals(name)}f}" for name, values in figures.items())


def differences(first: dict[str, NDArray[np.float64]], other: dict[str, NDArray[np.float64]]) -> str:
    """Return by how much another way's figures are higher, with intervals."""
    texts = []
    for name, values in first.items():
        apart = other[name] - values
        low, high = np.percentile(apart[1:], (2.5, 97.5))
        number = f"+.{decimals(name)}f"
        texts.append(f"{name} {apart[0]:{number}} ({low:{number}} to {high:{number}})")
    return "; ".join(texts)


def decimals(name: str) -> int:
    """Return with how many decimals a figure is shown."""
    return 3 if name == "dice" else 2


if __name__ == "__main__":
    main()
