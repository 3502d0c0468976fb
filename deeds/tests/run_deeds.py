"""Runs the built program, which is the one of `conftest.py`, and makes what it is run on."""

import os
import subprocess
import sys

import nibabel
import numpy as np
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
        assert str(name) in lines[0]


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
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mib(*arguments):
    """Return the memory of `deeds arguments`; a small process begins it, whose own memory would count too."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        PEAK_OF_CHILD,
        os.environ["DEEDS_BINARY"],
        *map(str, arguments),
    ]
    return int(subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout) / 1024
