"""Other registration programs carry images and points as our files say, on an oblique, anisotropic, non-cubic pair.

`make test-peers` installs the programs into an environment of their own and runs this; it is no part of `make test`.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.elastix_files import write_elastix_files
from anatomical_embedding.registration.itk_transform import (
    forward_transform,
    inverse_transform,
    resample_by_itk,
    transform_by_itk,
    write_transform,
)
from anatomical_embedding.volumes.affine import lps_from_ras
from anatomical_embedding.volumes.nifti import VolumeHeader, read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import oblique_affine

PEERS = os.environ.get("ANATOMICAL_EMBEDDING_PEERS")
SCRIPTS = Path(__file__).parent
OUTSIDE_HU = -2000.0
MOST_MM = 0.05
MOST_HU = 1.0

pytestmark = pytest.mark.skipif(
    PEERS is None, reason="`make test-peers` names the Python that has the programs"
)


def smooth_noise(shape, *, seed, width, peak):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return noise * peak / np.abs(noise).max()


@pytest.fixture(scope="module")
def pair():
    """Return fixed and moving scans, the start, and the deformation, on three oblique grids."""
    fixed = Volume(
        smooth_noise((46, 40, 31), seed=1, width=2, peak=900).astype(np.float32),
        oblique_affine((12, -7, 18), (1.7, 2.1, 3.4), (-31.0, 44.0, 210.0)),
    )
    start = oblique_affine((-6, 10, 4), (1.04, 0.97, 1.02), (12.0, -25.0, 330.0))
    moving_affine = oblique_affine((3, 14, -10), (2.3, 1.6, 2.9))
    moving_shape = (38, 52, 36)
    centre = start @ np.append(fixed.centre_mm, 1.0)
    middle_vox = (np.array(moving_shape) - 1) / 2
    moving_affine[:3, 3] = centre[:3] - moving_affine[:3, :3] @ middle_vox
    moving = Volume(smooth_noise(moving_shape, seed=2, width=2, peak=900).astype(np.float32), moving_affine)
    shape = (30, 27, 25)
    components = [smooth_noise(shape, seed=seed, width=3, peak=6.0) for seed in (3, 4, 5)]
    field_affine = oblique_affine((12, -7, 18), (2.4, 2.8, 3.8), (-25.0, 50.0, 212.0))
    field = DisplacementField(np.stack(components, axis=-1).astype(np.float32), field_affine)
    return fixed, moving, start, field


def case_of(pair, direction, folder):
    """Return the map of a direction, the grid it ends on and what is carried; and write what the peers read."""
    fixed, moving, start, field = pair
    onto, carried, transform = {
        "forward": (fixed, moving, forward_transform(start, field)),
        "inverse": (moving, fixed, inverse_transform(start, field)),
    }[direction]
    write_volume(onto, folder / "onto.nii.gz")
    write_volume(carried, folder / "carried.nii.gz")
    places = np.random.default_rng(6).uniform(0.15, 0.85, (200, 3)) * np.array(onto.shape)
    points = pd.DataFrame(lps_from_ras(onto.world_from_voxel(places)), columns=["x", "y", "z"])
    points.to_csv(folder / "points.csv", index=False)
    return transform, onto, carried


def run_peer(script, folder, transform):
    """Run a script of the peers and return the image and the points (RAS+) that it writes."""
    done = subprocess.run(
        [PEERS, SCRIPTS / f"with_{script}.py", folder, transform],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": ""},
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    points = pd.read_csv(folder / f"{script}.csv")[["x", "y", "z"]].to_numpy()
    return read_volume(folder / f"{script}.nii.gz", require_contrast=False), lps_from_ras(points)


def hold_to_ours(program, case, folder, path):
    """Hold the image of a program, inside of what is carried, and its points to ours."""
    transform, onto, carried = case
    found, moved = run_peer(program, folder, path)
    ours = resample_by_itk(transform, carried, VolumeHeader(onto.shape, onto.affine))
    places = transform_by_itk(transform, onto.world_from_voxel(np.indices(onto.shape).reshape(3, -1).T))
    is_inside = carried.depth_mm(places).reshape(onto.shape) > 1.0
    assert is_inside.sum() > 10_000
    np.testing.assert_allclose(found.affine, onto.affine, atol=1e-3)
    hu = np.abs(found.array - ours.array)[is_inside].max()
    points = lps_from_ras(pd.read_csv(folder / "points.csv")[["x", "y", "z"]].to_numpy())
    mm = np.linalg.norm(moved - transform_by_itk(transform, points), axis=1).max()
    print(f"{program}, {path.parent.name}/{path.name}: {hu:.4f} HU, {mm:.5f} mm")
    assert hu < MOST_HU
    assert mm < MOST_MM


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_ants_takes_the_composite(pair, direction, tmp_path):
    case = case_of(pair, direction, tmp_path)
    write_transform(case[0], tmp_path / f"{direction}.h5")
    hold_to_ours("ants", case, tmp_path, tmp_path / f"{direction}.h5")


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_transformix_takes_the_parameter_files(pair, direction, tmp_path):
    case = case_of(pair, direction, tmp_path)
    grid = VolumeHeader(case[1].shape, case[1].affine)
    path = write_elastix_files(case[0], grid, tmp_path / direction, fill_value=OUTSIDE_HU)
    hold_to_ours("elastix", case, tmp_path, path)
