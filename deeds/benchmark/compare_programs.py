#!/usr/bin/env python3
"""Print quality, CPU seconds and memory of one or more builds of deeds, and of greedy where it is installed, on a pair.

A pair is a volume and the same volume seen through an affine map plus smooth random displacements,
each with its own noise. The volume is a phantom of smooth tissue classes, or a real CT
(``--source``). With ``--pair FIXED MOVING`` two different scans of equal size are registered; then
only folding and the overlap of threshold classes are known. ``--folder`` takes a pair that is at
hand: ``fixed.nii.gz``, ``moving.nii.gz``, their label maps ``fixed_seg.nii.gz`` and
``moving_seg.nii.gz``, the voxels to score in ``mask.npy`` and, if known, the moving voxel of every
fixed one in ``T.npy``.

Runs are interleaved: ``--program NEW OLD`` shows what a change brings, as the median over the rounds of
each step's CPU seconds by those of the last program. CPU seconds at one thread are the figure to
compare; wall seconds show what more ``--threads`` bring. With ``--runs FILE`` the measurements of
several calls are kept in one file and the table is that of all of them. Needs numpy, nibabel and
scipy; greedy is the PyPI package ``picsl-greedy``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

CLASS_BOUNDS_HU = (-400.0, -50.0, 60.0, 200.0)
GREEDY_PROGRAM = """
import sys
from picsl_greedy import Greedy3D
Greedy3D().execute(sys.argv[1])
"""


@dataclass
class Run:
    """What one run took: CPU seconds and MiB of the linear step; CPU and wall seconds and MiB of the deformable one."""

    linear: float
    linear_memory: float
    deform: float
    wall: float
    memory: float


@dataclass
class Pair:
    """Files of a pair and what is known about it; ``truth`` is (3, X, Y, Z) moving voxels, or None."""

    fixed: Path
    moving: Path
    fixed_classes: np.ndarray
    moving_classes: np.ndarray
    truth: np.ndarray | None
    mask: np.ndarray


def smooth_noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Return Gaussian noise smoothed by ``sigma`` voxels, scaled to standard deviation 1."""
    noise = ndimage.gaussian_filter(random.standard_normal(shape), sigma, mode="reflect")
    return noise / noise.std()


def phantom(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return an ellipsoidal body of smooth tissue classes with fine texture, in HU."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    body = (axes[0] / 0.85) ** 2 + (axes[1] / 0.8) ** 2 + 0.05 * smooth_noise(random, shape, 9) < 1
    tissue = np.digitize(smooth_noise(random, shape, 7), (-1.5, -0.7, 0.0, 0.9, 1.8))
    values = np.array([-800.0, -100.0, 20.0, 60.0, 150.0, 400.0])[tissue]
    values += 40.0 * (np.abs(smooth_noise(random, shape, 2.2)) < 0.1) + 8.0 * smooth_noise(random, shape, 1.6)
    return ndimage.gaussian_filter(np.where(body, values, -1000.0), 0.6)


def random_mapping(shape: tuple[int, ...], random: np.random.Generator, amplitude: float) -> np.ndarray:
    """Return the moving voxel of every fixed voxel, shape (3, X, Y, Z)."""
    angles = np.deg2rad([4.0, -3.0, 5.0])
    linear = np.diag([1.05, 0.96, 1.06])
    for axis, angle in enumerate(angles):
        rotation = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        rotation[first, first] = rotation[second, second] = np.cos(angle)
        rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
        linear = rotation @ linear
    voxels = np.indices(shape, dtype=np.float64)
    centre = (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    mapping = (
        np.tensordot(linear, voxels - centre, 1) + centre + np.array([5.0, -4.0, 6.0]).reshape(3, 1, 1, 1)
    )
    for sigma, size in ((18.0, amplitude), (8.0, 0.28 * amplitude)):
        for axis in range(3):
            noise = smooth_noise(random, shape, sigma)
            mapping[axis] += size * noise / np.abs(noise).max()
    return mapping


def jacobian_determinant(mapping: np.ndarray) -> np.ndarray:
    """Return the determinant of the mapping's derivative at every voxel, by central differences."""
    gradient = np.stack([np.stack(np.gradient(component)) for component in mapping])
    return np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)))


def save(path: Path, values: np.ndarray, spacing_mm: float) -> Path:
    """Write a float32 image with axes along the world's and return its path."""
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([spacing_mm] * 3 + [1.0])), path)
    return path


def isotropic(path: Path, spacing_mm: float) -> np.ndarray:
    """Return the image in canonical order at an isotropic spacing."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    zoom = np.array(image.header.get_zooms()[:3]) / spacing_mm
    return ndimage.zoom(np.asarray(image.dataobj, dtype=np.float32), zoom, order=1, mode="nearest")


def classes_of(values: np.ndarray) -> np.ndarray:
    """Return classes 1, 2, ... by intensity after slight smoothing; 0 is air and lung."""
    return np.digitize(ndimage.gaussian_filter(values, 0.8), CLASS_BOUNDS_HU)


def known_pair(folder: Path, volume: np.ndarray, options: argparse.Namespace) -> Pair:
    """Return a pair whose mapping is known."""
    random = np.random.default_rng(options.seed)
    truth = random_mapping(volume.shape, random, options.amplitude)
    if jacobian_determinant(truth).min() <= 0:
        sys.exit(f"the random mapping folds at --amplitude {options.amplitude}; choose a smaller one")
    fixed = ndimage.map_coordinates(volume, truth, order=1, mode="nearest")
    moving_classes = classes_of(volume)
    fixed_classes = ndimage.map_coordinates(moving_classes, truth, order=0, mode="nearest")
    inside = [(truth[axis] > 2) & (truth[axis] < volume.shape[axis] - 3) for axis in range(3)]
    mask = ndimage.binary_erosion((fixed > -400) & np.all(inside, axis=0), iterations=3)
    noisy = [image + options.noise * random.standard_normal(image.shape) for image in (fixed, volume)]
    return Pair(
        save(folder / "fixed.nii.gz", noisy[0], options.spacing),
        save(folder / "moving.nii.gz", noisy[1], options.spacing),
        fixed_classes,
        moving_classes,
        truth,
        mask,
    )


def real_pair(folder: Path, paths: list[Path], spacing_mm: float) -> Pair:
    """Return two scans cropped about their centres to a common size."""
    volumes = [np.clip(isotropic(path, spacing_mm), -1024, 3000) for path in paths]
    shape = np.minimum(volumes[0].shape, volumes[1].shape)
    starts = [(np.array(volume.shape) - shape) // 2 for volume in volumes]
    fixed, moving = (
        volume[tuple(slice(first, first + size) for first, size in zip(start, shape, strict=True))]
        for volume, start in zip(volumes, starts, strict=True)
    )
    mask = ndimage.binary_erosion(fixed > -400, iterations=3)
    return Pair(
        save(folder / "fixed.nii.gz", fixed, spacing_mm),
        save(folder / "moving.nii.gz", moving, spacing_mm),
        classes_of(fixed),
        classes_of(moving),
        None,
        mask,
    )


def folder_pair(folder: Path) -> Pair:
    """Return a pair whose files are at hand."""
    labels = [np.asarray(nibabel.load(folder / f"{side}_seg.nii.gz").dataobj) for side in ("fixed", "moving")]
    truth = folder / "T.npy"
    return Pair(
        folder / "fixed.nii.gz",
        folder / "moving.nii.gz",
        *labels,
        np.load(truth) if truth.exists() else None,
        np.load(folder / "mask.npy"),
    )


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Return CPU seconds, wall seconds and peak memory in MiB of a command; end with its output when it fails."""
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        peak_kib = 0
        while True:
            finished, status, usage = os.wait4(process.pid, os.WNOHANG)
            if finished:
                break
            peak_kib = max(peak_kib, peak_memory_kib(process.pid))
            time.sleep(0.02)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)}\nfailed:\n{log.read().decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, wall, peak_kib / 1024


def peak_memory_kib(process_id: int) -> int:
    """Return the peak resident memory of a running process (Linux; 0 elsewhere)."""
    status = Path(f"/proc/{process_id}/status")
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def score(pair: Pair, mapping: np.ndarray) -> str:
    """Return the cells of the table: Dice, error in voxels (mean, 95 %), folding, spread of the Jacobian."""
    warped = ndimage.map_coordinates(pair.moving_classes, mapping, order=0, mode="nearest")
    dice = [
        2
        * np.sum((warped == label) & (pair.fixed_classes == label))
        / (np.sum(warped == label) + np.sum(pair.fixed_classes == label))
        for label in np.union1d(warped, pair.fixed_classes)
        if label != 0
    ]
    determinant = jacobian_determinant(mapping)[pair.mask]
    cells = f"{np.mean(dice):8.4f}"
    if pair.truth is None:
        cells += f"{'-':>8}{'-':>8}"
    else:
        error = np.linalg.norm((mapping - pair.truth)[:, pair.mask], axis=0)
        cells += f"{error.mean():8.3f}{np.percentile(error, 95):8.3f}"
    return (
        cells + f"{100 * np.mean(determinant <= 0):9.4f}{np.log(np.clip(determinant, 1e-3, 1e3)).std():8.3f}"
    )


def mapping_of_field(path: Path, spacing_mm: float) -> np.ndarray:
    """Return the mapping in voxels from a displacement field in mm with LPS components."""
    field = np.moveaxis(np.squeeze(np.asarray(nibabel.load(path).dataobj, dtype=np.float64)), -1, 0)
    return np.indices(field.shape[1:]) + field * np.array([-1, -1, 1]).reshape(3, 1, 1, 1) / spacing_mm


class Deeds:
    """Our program: its commands linear, register and field."""

    def __init__(self, program: Path, options: argparse.Namespace, threads: int) -> None:
        self.name, self.program, self.options = f"{program} {threads}T", str(program.resolve()), options
        self.threads = threads
        self.stem = self.name.replace("/", "_").replace(" ", "_")

    def run(self, folder: Path, pair: Pair, environment: dict[str, str]) -> Run:
        """Return what the linear and the deformable step took."""
        images = ["--fixed", str(pair.fixed), "--moving", str(pair.moving), "-O", str(folder / self.stem)]
        common = [*images, "--threads", str(self.threads), "--quiet"]
        linear = measured([self.program, "linear", *common], environment)
        levels = ["-G", self.options.grid, "-L", self.options.radius, "-Q", self.options.quantization]
        matrix = ["-A", str(folder / f"{self.stem}_matrix.txt"), "-a", str(self.options.alpha)]
        deform = measured([self.program, "register", *common, *matrix, *levels], environment)
        return Run(linear[0], linear[2], *deform)

    def mapping(self, folder: Path, pair: Pair) -> np.ndarray:
        """Return the estimated mapping in voxels."""
        path = folder / f"{self.stem}_field.nii.gz"
        subprocess.run(
            [self.program, "field", "-O", str(folder / self.stem), "--displacements", str(path), "--quiet"],
            check=True,
        )
        return mapping_of_field(path, self.options.spacing)


class Greedy:
    """The greedy program with local cross-correlation, as a peer."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.name, self.options = "greedy", options

    def run(self, folder: Path, pair: Pair, environment: dict[str, str]) -> Run:
        """Return what the affine and the deformable step took."""
        images = f"-d 3 -m NCC 2x2x2 -n 100x50x20 -i {pair.fixed} {pair.moving} -V 0"
        images += " -threads 1"
        affine = f"{images} -a -ia-image-centers -o {folder / 'greedy.mat'}"
        deformable = f"{images} -it {folder / 'greedy.mat'} -o {folder / 'greedy_warp.nii.gz'}"
        start = [sys.executable, "-c", GREEDY_PROGRAM]
        linear = measured([*start, affine], environment)
        return Run(linear[0], linear[2], *measured([*start, deformable], environment))

    def mapping(self, folder: Path, pair: Pair) -> np.ndarray:
        """Return the estimated mapping in voxels: the affine matrix (RAS mm) after the warp (LPS mm)."""
        warped = mapping_of_field(folder / "greedy_warp.nii.gz", self.options.spacing)
        matrix = np.loadtxt(folder / "greedy.mat")
        shift = matrix[:3, 3].reshape(3, 1, 1, 1) / self.options.spacing
        return np.tensordot(matrix[:3, :3], warped, 1) + shift


def parsed_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", type=Path, nargs="+", required=True, help="builds of the deeds program")
    parser.add_argument("--source", type=Path, help="a CT instead of the phantom")
    parser.add_argument("--pair", type=Path, nargs=2, help="two CTs instead of a known mapping")
    parser.add_argument("--folder", type=Path, help="a pair that is at hand")
    parser.add_argument("--size", type=int, nargs=3, default=(192, 160, 128))
    parser.add_argument("--spacing", type=float, default=2.0, help="mm")
    parser.add_argument("--amplitude", type=float, default=9.0, help="largest smooth displacement in voxels")
    parser.add_argument("--noise", type=float, default=15.0, help="HU")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--grid", default="5x4x3")
    parser.add_argument("--radius", default="5x4x3")
    parser.add_argument("--quantization", default="2x2x1")
    parser.add_argument("--alpha", type=float, default=1.6)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of deeds; greedy always has one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=Path, help="file that keeps the measurements of several calls")
    parser.add_argument("--without-greedy", action="store_true")
    return parser.parse_args()


def made_pair(folder: Path, options: argparse.Namespace) -> Pair:
    """Return the pair that the options ask for."""
    if options.folder:
        return folder_pair(options.folder)
    if options.pair:
        return real_pair(folder, options.pair, options.spacing)
    if options.source:
        return known_pair(folder, np.clip(isotropic(options.source, options.spacing), -1024, 3000), options)
    return known_pair(folder, phantom(tuple(options.size), np.random.default_rng(options.seed)), options)


def recorded_runs(options: argparse.Namespace) -> dict[str, list[Run]]:
    """Return the runs of earlier calls by program."""
    if not options.runs or not options.runs.exists():
        return {}
    stored = json.loads(options.runs.read_text(encoding="utf-8"))
    return {name: [Run(**run) for run in runs] for name, runs in stored.items()}


def print_table(pair: Pair, runs: dict[str, list[Run]], quality: dict[str, str]) -> None:
    """Print medians over the runs; ratios are to the last program's same step in the same round."""
    rounds = len(next(iter(runs.values())))
    load = os.getloadavg()[0]
    print(
        f"size {'x'.join(map(str, pair.mask.shape))}, medians of {rounds}, CPU seconds, load average {load:.1f}"
    )
    heads = (
        "linear",
        "ratio",
        "MiB",
        "deform",
        "ratio",
        "wall",
        "MiB",
        "Dice",
        "TRE",
        "p95",
        "fold %",
        "sd logJ",
    )
    widths = (8, 8, 6, 8, 8, 8, 6, 8, 8, 8, 9, 8)
    margin = max(map(len, runs))
    print(" " * margin + "".join(head.rjust(width) for head, width in zip(heads, widths, strict=True)))
    print(f"{'before':{margin + 52}}{score(pair, np.indices(pair.mask.shape, dtype=np.float64))}")
    last = np.array([(run.linear, run.deform) for run in list(runs.values())[-1]])
    for name, runs_of_program in runs.items():
        figures = np.array([list(asdict(run).values()) for run in runs_of_program])
        linear, linear_memory, deform, wall, memory = np.median(figures, axis=0)
        linear_ratio, ratio = np.median(figures[:, [0, 2]] / last, axis=0)
        times = f"{linear:8.2f}{linear_ratio:8.3f}{linear_memory:6.0f}{deform:8.2f}{ratio:8.3f}{wall:8.2f}{memory:6.0f}"
        print(f"{name:{margin}}{times}{quality[name]}", flush=True)


def main() -> None:
    """Make the pair, run the programs in turn and print the table."""
    options = parsed_options()
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    programs: list[Deeds | Greedy] = [
        Deeds(program, options, count) for program in options.program for count in options.threads
    ]
    if importlib.util.find_spec("picsl_greedy") and not options.without_greedy:
        programs.append(Greedy(options))
    runs = recorded_runs(options)
    if runs and set(runs) != {program.name for program in programs}:
        sys.exit(f"{options.runs} holds runs of {', '.join(runs)}; name another file for other programs")
    runs = runs or {program.name: [] for program in programs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = made_pair(folder, options)
        for _ in range(options.repeats):
            for program in programs:
                runs[program.name].append(program.run(folder, pair, environment))
        if options.runs:
            stored = {program: [asdict(run) for run in measured] for program, measured in runs.items()}
            options.runs.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        print_table(
            pair, runs, {program.name: score(pair, program.mapping(folder, pair)) for program in programs}
        )


if __name__ == "__main__":
    main()
