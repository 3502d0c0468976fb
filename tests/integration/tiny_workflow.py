"""A run of the whole workflow in seconds: few small bodies, a folder of scans, a handful of steps."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import yaml
from scipy.ndimage import gaussian_filter

from anatomical_embedding.code_fingerprint import REPOSITORY, code_of
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.dicom_slices import Stack
from tests.integration.snakemake_run import run_snakemake
from tests.integration.tiny_training import NETWORK, TRAINING

SOURCES = ("Snakefile", "config.yaml", "pyproject.toml")
SOURCE_FOLDERS = ("rules", "workflow_scripts", "anatomical_embedding", "envs", "deeds")
UNFINISHED = ("*.partial.*", "*.pyc.*")
"""Names of files that another worker is just writing."""

OVERLAY = {
    "title": "A tiny run",
    "results": "results",
    "datasets": {
        "phantom_ct": {
            "kind": "phantom",
            "num_subjects": 5,
            "seed": 1,
            "ct": {"field_of_view": {"size_vox": [48, 36, 48], "spacing_mm": [8, 8, 8]}},
            "split": {"num_test": 3, "num_validation": 1, "seed": 1},
        },
        "folder_ct": {
            "kind": "folder",
            "modality": "ct",
            "root": "scans",
            "split": {"num_test": 0, "num_validation": 1, "seed": 2},
        },
    },
    "volumes": {"spacing_mm": [8, 8, 8]},
    "models": {
        "sam": {
            "recipe": "sam_small",
            "network": NETWORK,
            "training": TRAINING | {"mix": {"phantom_ct": 1, "folder_ct": 1}, "num_steps": 4},
        },
    },
    "evaluations": {
        "phantom_ct": {
            "dataset": "phantom_ct",
            "models": ["sam"],
            "methods": ["nearest", "stable_points"],
            "pairs": {"num_pairs": 2},
            "bootstrap": {"num_resamples": 100},
        },
    },
}


def set_up(folder: Path, *, num_scans: int = 3) -> None:
    """Copy the sources into a folder, with scans and a run file beside them."""
    copy_sources(folder, SOURCE_FOLDERS)
    for number in range(num_scans):
        write_scan(folder / "scans" / f"scan_{number}.nii.gz", seed=number)
    write_overlay(folder, OVERLAY)


def copy_sources(folder: Path, folders: tuple[str, ...]) -> None:
    """Copy the sources into a folder, with what is known of them already: compiled modules and fingerprints."""
    for stage in (REPOSITORY / "workflow_scripts").glob("*.py"):
        code_of(stage.stem)
    for name in SOURCES:
        shutil.copy2(REPOSITORY / name, folder / name)
    for name in folders:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("build", *UNFINISHED))


def write_overlay(folder: Path, overlay: dict) -> None:
    """Write the run file."""
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")


def write_scan(path: Path, *, seed: int) -> None:
    """Write a CT of random blobs in a body of soft tissue."""
    generator = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, 40)
    radius = np.sqrt(grid[:, None, None] ** 2 + grid[None, :, None] ** 2 + 0 * grid[None, None, :30])
    image = np.where(
        radius < 0.8, 40 + 3000 * gaussian_filter(generator.standard_normal((40, 40, 30)), 3), -1000
    )
    write_volume(Volume(image.astype(np.int16), np.diag([-8.0, -8.0, 8.0, 1.0])), path)


def turn_into_dicom(path: Path) -> None:
    """Put a folder of one DICOM series in the place of a scan of `write_scan`."""
    stored = np.rint(read_volume(path).array).astype(np.int64).transpose(2, 1, 0) + 1024
    path.unlink()
    stack = Stack(stored, step_mm=(0.0, 0.0, 8.0), between_rows_mm=8.0, between_columns_mm=8.0)
    stack.write(path.with_name(path.name.removesuffix(".nii.gz")))


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake in the folder with the run file and return what it said."""
    return run_snakemake(folder, "--cores", "2", "--configfile", "overlay.yaml", *arguments)


def planned_jobs(folder: Path, *arguments: str) -> dict[str, int]:
    """Return rule -> number of jobs that Snakemake would run now."""
    done = snakemake(folder, "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return counted_jobs(done.stdout + done.stderr)


def counted_jobs(said: str) -> dict[str, int]:
    """Return rule -> number of jobs from what a dry run said."""
    if "Nothing to be done" in said:
        return {}
    table = said.split("Job stats:")[1].split("total", maxsplit=1)[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.MULTILINE)}
    counts.pop("all", None)
    assert counts, said
    return counts
