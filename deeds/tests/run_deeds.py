"""Runs the built program, which is the one of `conftest.py`, and makes what it is run on."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

FAST = ["-G", "5x4x3", "-L", "5x4x3", "-Q", "2x2x1"]


def run(*arguments, status=0):
    """Completed process of `deeds arguments`; its exit status must be `status`."""
    done = subprocess.run(
        [os.environ["DEEDS_BINARY"], *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def refused(*arguments, names):
    """Exit status 2 and one line that contains every one of `names`."""
    done = run(*arguments, status=2)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for name in names:
        assert str(name) in lines[0], lines[0]


def save(path, array, affine):
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.to_filename(path)
    return path


def load(path):
    return np.asarray(nibabel.load(path).dataobj, np.float32)


def smooth_noise(random, shape, sigma):
    noise = ndimage.gaussian_filter(random.standard_normal(shape).astype(np.float32), sigma)
    return noise / np.abs(noise).max()


def phantom(shape, seed=3, amplitude=2.5):
    """Return CT-like fixed and moving arrays and the displacements (3, X, Y, Z) in voxels between them."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    centred = [2 * grid[d] / (shape[d] - 1) - 1 for d in range(3)]
    moving = np.full(shape, -1000, np.float32)
    texture = sum(smooth_noise(random, shape, sigma) for sigma in (2, 4, 7))
    body = (centred[0] / 0.85) ** 2 + (centred[1] / 0.8) ** 2 < 1
    moving[body] = 100 * np.round(4 * texture[body])
    moving = ndimage.gaussian_filter(moving, 0.6)
    displacement = np.stack([amplitude * smooth_noise(random, shape, 9) for _ in range(3)])
    fixed = ndimage.map_coordinates(moving, grid + displacement, order=1, mode="nearest")
    noisy = [a + 10 * random.standard_normal(shape).astype(np.float32) for a in (fixed, moving)]
    return noisy[0], noisy[1], displacement


def carried(folder, stem, points, direction="fixed-to-moving", axes="ras"):
    """World points (N, 3) carried by `deeds points`."""
    np.savetxt(folder / "points.csv", points, delimiter=",", header="x_mm,y_mm,z_mm", comments="", fmt="%.9f")
    run(
        "points",
        "-O",
        stem,
        "--input",
        folder / "points.csv",
        "--output",
        folder / "carried.csv",
        "--direction",
        direction,
        "--axes",
        axes,
    )
    return np.loadtxt(folder / "carried.csv", delimiter=",", skiprows=1)


def lattice(image, step=6, margin=8):
    """World points on a lattice of voxels inside the image."""
    voxels = np.stack(
        np.meshgrid(*[np.arange(margin, n - margin, step) for n in image.shape], indexing="ij"), -1
    ).reshape(-1, 3)
    return nibabel.affines.apply_affine(image.affine, voxels)


PEAK_OF_CHILD = """
import ctypes, resource, subprocess, sys
PR_SET_THP_DISABLE = 41
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
LARGE_BLOCKS_GO_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""To the system as soon as they are freed; otherwise the allocator keeps some, by what it has seen."""
LEAST_BESIDE_MIB, MOST_BESIDE_MIB = 1, 8
"""Of what was counted; the program takes 3 to 5 MiB beside its images, and the tests' images 9 MiB each."""


def assert_takes(counted_mib, *arguments):
    """Hold what `deeds arguments` takes at its most to what was counted; a program with a sanitizer is left out.

    A small process begins it, whose own memory would count too, without huge pages.
    """
    program = Path(os.environ["DEEDS_BINARY"])
    if any(f"__{kind}_init".encode() in program.read_bytes() for kind in ("asan", "hwasan", "msan", "tsan")):
        pytest.skip("a sanitizer takes memory of its own")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PEAK_OF_CHILD, program, *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        | LARGE_BLOCKS_GO_BACK,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    beside_mib = int(done.stdout) / 1024 - counted_mib
    assert LEAST_BESIDE_MIB < beside_mib < MOST_BESIDE_MIB, f"{counted_mib:.1f} {beside_mib:+.1f} MiB"
