"""Other registration programs carry images and points as our files say, on an oblique, anisotropic, non-cubic pair.

`make test-peers` installs the programs into an environment of their own and runs this; it is no part of `make test`.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.itk_transform import resample_by_itk, transform_by_itk
from anatomical_embedding.registration.pair_map import PairMap
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from tests.peers.programs import needs_peers, read_points, run_program, write_points
from tests.peers.registered_pair import registered_pair
from tests.unit.samples import oblique_affine

OUTSIDE_HU = -2000.0
EDGE_VOX = 0.1
MOST_HU, MOST_MM = 1.0, 0.05
MOST_SPLINE_MM = 0.1
"""Splines swing past the kinks of a deformation: within 0.05 mm at 99.8 % of places, not at all of them."""

pytestmark = needs_peers


def smooth_noise(shape, *, seed, width, peak):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return noise * peak / np.abs(noise).max()


def rough_pair(program) -> tuple[Volume, Volume, PairMap]:
    """Return fixed and moving scans on oblique grids, and a map with a start that turns and scales."""
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
    grids = (VolumeHeader(scan.shape, scan.affine) for scan in (fixed, moving))
    fills = {"fixed_fill": OUTSIDE_HU, "moving_fill": OUTSIDE_HU}
    return fixed, moving, PairMap(start, field, *grids, **fills, program=program)


@pytest.fixture(scope="module", params=["registered", "rough"])
def pair(request, tmp_path_factory):
    """Return the name of a pair, its scans and the map between them."""
    program = request.getfixturevalue("binary")
    if request.param == "rough":
        return request.param, rough_pair(program)
    return request.param, registered_pair(tmp_path_factory.mktemp("registered"), program)


def case_of(pair, direction, folder):
    """Return the map of a direction, the grid it ends on and what is carried; and write what the peers read."""
    fixed, moving, found = pair
    onto, carried, transform = {
        "forward": (fixed, moving, found.forward),
        "inverse": (moving, fixed, found.inverse),
    }[direction]
    write_volume(onto, folder / "onto.nii.gz")
    write_volume(carried, folder / "carried.nii.gz")
    places = np.random.default_rng(6).uniform(0.15, 0.85, (200, 3)) * np.array(onto.shape)
    write_points(onto.world_from_voxel(places), folder / "points.csv")
    return transform, onto, carried


USES = {
    ("simpleitk", "itk"): (["forward.h5"], ["inverse.h5"]),
    ("nitransforms", "nitransforms"): (
        ["nitransforms/forward.nii.gz", "nitransforms/warp_points.nii.gz", "nitransforms/start.tfm"],
        [
            "nitransforms/inverse.nii.gz",
            "inverse:nitransforms/start.tfm",
            "nitransforms/inverse_warp_points.nii.gz",
        ],
    ),
    ("ants", "itk"): (["forward.h5"], ["inverse.h5"]),
    ("ants", "ants"): (
        ["ants/1Warp.nii.gz", "ants/0GenericAffine.mat"],
        ["inverse:ants/0GenericAffine.mat", "ants/1InverseWarp.nii.gz"],
    ),
    ("elastix", "elastix"): (
        ["elastix/forward/TransformParameters.1.txt"],
        ["elastix/inverse/TransformParameters.1.txt"],
    ),
    ("greedy", "greedy"): (
        ["greedy/warp.nii.gz", "greedy/start.mat"],
        ["inverse:greedy/start.mat", "greedy/inverse_warp.nii.gz"],
    ),
    ("niftyreg", "niftyreg"): (["niftyreg/forward.nii.gz"], ["niftyreg/inverse.nii.gz"]),
    ("mrtrix", "mrtrix"): (
        ["mrtrix/forward.nii.gz", "mrtrix/forward_points.nii.gz"],
        ["mrtrix/inverse.nii.gz", "mrtrix/inverse_points.nii.gz"],
    ),
}
"""Program that runs, name of its files for `--transforms`, and the files it is given for each direction."""


def placed(name, folder):
    """Return the name of a file with its folder, after the word that asks for its inverse."""
    word, _, file = name.rpartition(":")
    return f"{word}:{folder / file}" if word else str(folder / file)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(("program", "name"), USES)
def test_a_program_carries_images_and_points_as_we_do(pair, program, name, direction, tmp_path):
    """The image where it lies between voxels of what is carried, and 200 points.

    In the outer half of the outermost voxels ITK goes on with their value; greedy, NiftyReg and others mix in nothing.
    """
    which, scans_and_map = pair
    transform, onto, carried = case_of(scans_and_map, direction, tmp_path)
    PROGRAMS[name].write(scans_and_map[2], tmp_path)
    files = USES[program, name][direction == "inverse"]
    moved = run_program(program, tmp_path, [placed(name, tmp_path) for name in files])
    found = read_volume(tmp_path / "found.nii.gz", require_contrast=False)
    ours = resample_by_itk(transform, carried, VolumeHeader(onto.shape, onto.affine))
    places = transform_by_itk(transform, onto.world_from_voxel(np.indices(onto.shape).reshape(3, -1).T))
    voxels = carried.voxel_from_world(places)
    is_inside = ((voxels > EDGE_VOX) & (voxels < np.array(carried.shape) - 1 - EDGE_VOX)).all(axis=-1)
    is_inside = is_inside.reshape(onto.shape)
    assert is_inside.sum() > 10_000
    np.testing.assert_allclose(found.affine, onto.affine, atol=1e-3)
    difference_hu = np.abs(found.array - ours.array)[is_inside]
    points = read_points(tmp_path / "points.csv")
    mm = np.linalg.norm(moved - transform_by_itk(transform, points), axis=1).max()
    print(
        f"{which}, {program}, {' '.join(files)}: {difference_hu.max():.4f} HU at most, "
        f"{difference_hu.mean():.4f} HU on average, {mm:.5f} mm"
    )
    assert difference_hu.max() < MOST_HU
    assert mm < (MOST_SPLINE_MM if name == "nitransforms" else MOST_MM)
