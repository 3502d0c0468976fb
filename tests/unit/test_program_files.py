"""What `register --transforms` writes, read with nibabel, SimpleITK and by hand and applied to points in numpy.

The reference is the map itself: the vectors between the voxels of the deformation by scipy, then the start. `make
test-peers` has the programs read the same files.
"""

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import map_coordinates

from anatomical_embedding.cli.register import PROGRAM_NAMES
from anatomical_embedding.registration import program_files
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.itk_transform import refined
from anatomical_embedding.registration.pair_map import PairMap, covering
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.volumes.volume import VolumeHeader
from tests.unit.samples import oblique_affine
from tests.unit.test_displacement_field import smooth_field

LPS = np.array([-1.0, -1.0, 1.0])
FIELD = smooth_field(largest_mm=4.0)
START = oblique_affine((-6, 10, 4), (1.04, 0.97, 1.02), (12.0, -25.0, 330.0))
"""A start that scales, after which the grid of the way back is skewed."""
FIXED = VolumeHeader((30, 26, 40), oblique_affine((10.0, -20.0, 35.0), (1.7, 2.6, 2.1), (-32.0, 38.0, 97.0)))
MOVING = VolumeHeader((25, 31, 22), oblique_affine((24.0, 10.0, 9.0), (2.2, 1.9, 3.0), (-14.5, 12.8, 434.1)))
PAIR = PairMap(START, FIELD, FIXED, MOVING, fixed_fill=-1000.0, moving_fill=-1024.0)


def points_in_fixed():
    """Return points where the deformation was registered."""
    voxels = np.random.default_rng(1).uniform(2, np.array(FIELD.displacements_mm.shape[:3]) - 3, (60, 3))
    return voxels @ FIELD.affine[:3, :3].T + FIELD.affine[:3, 3]


def between(vectors, affine, points):
    """Return the vectors at points, linear between the voxels of an (X, Y, Z, 3) array."""
    voxels = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    assert (voxels >= 0).all() and (voxels <= np.array(vectors.shape[:3]) - 1).all()
    return np.stack([map_coordinates(vectors[..., axis], voxels.T, order=1) for axis in range(3)], axis=-1)


def by_matrix(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def reference(points):
    return by_matrix(START, points + between(FIELD.displacements_mm.astype(float), FIELD.affine, points))


def by_itk(path, points):
    transform = SimpleITK.ReadTransform(str(path))
    return np.array([transform.TransformPoint(point.tolist()) for point in points * LPS]) * LPS


def by_vectors_of_itk(path, points):
    """Move points by a NIfTI file of LPS vectors, as nibabel reads it."""
    image = nibabel.load(path)
    assert image.shape[3:] == (1, 3)
    assert image.header["intent_code"] == 1007
    return points + between(np.asarray(image.dataobj)[:, :, :, 0] * LPS, image.affine, points)


def by_composites(folder, points, *, back):
    return by_itk(folder / ("inverse.h5" if back else "forward.h5"), points)


def by_ants(folder, points, *, back):
    """`-t 1Warp -t 0GenericAffine` sends a point through the warp first; the way back inverts the matrix first."""
    affine = SimpleITK.ReadTransform(str(folder / "ants/0GenericAffine.mat"))
    assert affine.GetName() == "AffineTransform"
    assert affine.GetFixedParameters() == (0.0, 0.0, 0.0)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.reshape(affine.GetMatrix(), (3, 3)), affine.GetTranslation()
    signs = np.diag([*LPS, 1.0])
    matrix = signs @ matrix @ signs
    if back:
        return by_vectors_of_itk(
            folder / "ants/1InverseWarp.nii.gz", by_matrix(np.linalg.inv(matrix), points)
        )
    return by_matrix(matrix, by_vectors_of_itk(folder / "ants/1Warp.nii.gz", points))


def by_greedy(folder, points, *, back):
    matrix = np.loadtxt(folder / "greedy/start.mat")
    if back:
        return by_vectors_of_itk(
            folder / "greedy/inverse_warp.nii.gz", by_matrix(np.linalg.inv(matrix), points)
        )
    return by_matrix(matrix, by_vectors_of_itk(folder / "greedy/warp.nii.gz", points))


def by_elastix(folder, points, *, back):
    """Follow the files from the last to the first, and apply them the other way round."""
    path = folder / f"elastix/{'inverse' if back else 'forward'}/TransformParameters.1.txt"
    chain = []
    while path is not None:
        parameters = dict(re.findall(r"\((\w+) (.*)\)", path.read_text(encoding="utf-8")))
        chain.insert(0, parameters)
        before = parameters["InitialTransformParameterFileName"].strip('"')
        path = None if before == "NoInitialTransform" else folder / before
    for parameters in chain:
        if parameters["Transform"] == '"DeformationFieldTransform"':
            assert parameters["DeformationFieldInterpolationOrder"] == "1"
            points = by_vectors_of_itk(parameters["DeformationFieldFileName"].strip('"'), points)
        else:
            numbers = np.array(parameters["TransformParameters"].split(), dtype=float)
            points = ((points * LPS) @ numbers[:9].reshape(3, 3).T + numbers[9:]) * LPS
    return points


def by_niftyreg(folder, points, *, back):
    """Move points by vectors in RAS, marked as NiftyReg marks displacements."""
    image = nibabel.load(folder / f"niftyreg/{'inverse' if back else 'forward'}.nii.gz")
    assert image.shape[3:] == (1, 3)
    assert image.header["intent_code"] == 1007
    assert image.header["intent_name"].tobytes().rstrip(b"\0") == b"NREG_TRANS"
    assert image.header["intent_p1"] == 1
    return points + between(np.asarray(image.dataobj)[:, :, :, 0], image.header.get_sform(), points)


def by_mrtrix(folder, points, *, back):
    """Look up the places in RAS that the voxels go to, as tcktransform does."""
    image = nibabel.load(folder / f"mrtrix/{'inverse' if back else 'forward'}_points.nii.gz")
    assert image.shape[3:] == (3,)
    return between(np.asarray(image.dataobj), image.header.get_sform(), points)


def by_nitransforms(folder, points, *, back):
    """Follow the finer deformation and the start, linear between vectors as ITK takes them."""
    start = SimpleITK.ReadTransform(str(folder / "nitransforms/start.tfm"))
    if back:
        points = (
            np.array([start.GetInverse().TransformPoint(point) for point in (points * LPS).tolist()]) * LPS
        )
        return by_vectors_of_itk(folder / "nitransforms/inverse_warp_points.nii.gz", points)
    moved = by_vectors_of_itk(folder / "nitransforms/warp_points.nii.gz", points) * LPS
    return np.array([start.TransformPoint(point) for point in moved.tolist()]) * LPS


READERS = {
    "itk": by_composites,
    "slicer": by_composites,
    "ants": by_ants,
    "elastix": by_elastix,
    "greedy": by_greedy,
    "niftyreg": by_niftyreg,
    "mrtrix": by_mrtrix,
    "nitransforms": by_nitransforms,
}


def test_the_verb_names_every_program_and_each_is_tested():
    """DICOM's objects, which need series on both sides, in test_dicom_registration.py."""
    assert set(PROGRAM_NAMES) == set(PROGRAMS) == {*READERS, "dicom"}


@pytest.fixture(scope="module")
def pair(binary):
    """Return the pair with the program that makes the inverse."""
    return replace(PAIR, program=binary)


@pytest.fixture
def caught(capsys, monkeypatch):
    """Return what catches lines and what changes values."""
    return capsys, monkeypatch


@pytest.fixture(scope="module")
def written(tmp_path_factory, pair):
    """Return the folder with the files of all programs."""
    folder = tmp_path_factory.mktemp("transforms")
    for program in (PROGRAMS[name] for name in READERS):
        program.write(pair, folder)
        assert all((folder / name).is_file() for name in program.files)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_points_go_forward_as_by_the_map_itself(written, name):
    points = points_in_fixed()
    found = READERS[name](written, points, back=False)
    np.testing.assert_allclose(found, reference(points), atol=1e-4)


@pytest.mark.parametrize("name", READERS)
def test_the_way_back_ends_where_it_began(written, name):
    points = points_in_fixed()
    found = READERS[name](written, reference(points), back=True)
    assert np.linalg.norm(found - points, axis=1).max() < 0.1
    same = by_composites(written, reference(points), back=True)
    np.testing.assert_allclose(found, same, atol=1e-3)


@pytest.mark.parametrize(("name", "grid"), [("forward", FIXED), ("inverse", MOVING)])
@pytest.mark.parametrize("program", ["niftyreg", "mrtrix"])
def test_a_single_field_reaches_every_corner_of_the_scan(written, program, name, grid):
    """Far from what was registered the start alone holds, for which ITK's composite needs no vectors."""
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in grid.shape]), axis=-1).reshape(-1, 3)
    places = corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    found = READERS[program](written, places, back=name == "inverse")
    np.testing.assert_allclose(found, by_composites(written, places, back=name == "inverse"), atol=1e-3)


@pytest.mark.parametrize(("name", "grid"), [("forward", FIXED), ("inverse", MOVING)])
def test_fields_for_images_lie_on_the_voxels_of_the_scan(written, name, grid):
    """Mrtransform and nitransforms would lay splines between the vectors: at voxels there is nothing between."""
    voxels = np.random.default_rng(2).integers(0, grid.shape, (300, 3))
    places = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    expected = by_composites(written, places, back=name == "inverse")
    goes_to = nibabel.load(written / f"mrtrix/{name}.nii.gz")
    moves_by = nibabel.load(written / f"nitransforms/{name}.nii.gz")
    for image in (goes_to, moves_by):
        assert image.shape[:3] == grid.shape
        np.testing.assert_allclose(image.affine, grid.affine, atol=1e-4)
    at_voxels = tuple(voxels.T)
    np.testing.assert_allclose(np.asarray(goes_to.dataobj)[at_voxels], expected, atol=1e-3)
    moved = places + np.asarray(moves_by.dataobj)[at_voxels][:, 0] * LPS
    np.testing.assert_allclose(moved, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("program", "large"),
    [
        ("mrtrix", ["forward.nii.gz", "inverse.nii.gz"]),
        (
            "nitransforms",
            ["forward.nii.gz", "inverse.nii.gz", "warp_points.nii.gz", "inverse_warp_points.nii.gz"],
        ),
    ],
)
def test_the_size_of_large_files_is_said(pair, tmp_path, caught, program, large):
    capsys, monkeypatch = caught
    PROGRAMS[program].write(pair, tmp_path / "silent")
    assert capsys.readouterr().err == ""
    smallest = min(np.prod(grid.shape) for grid in (FIXED, MOVING)) * 12
    monkeypatch.setattr(program_files, "SAID_BYTES", smallest)
    PROGRAMS[program].write(pair, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("writing ")[1].split(":")[0] for line in lines] == [
        str(tmp_path / program / name) for name in large
    ]
    assert f"{np.prod(FIXED.shape) * 12 / 1e6:.0f} MB before they are packed" in lines[0]


def test_a_finer_deformation_is_the_same_between_its_voxels():
    """Steps of 2, 3 and 2.5 mm become halves, thirds and thirds: 1, 1 and 0.83 mm."""
    fine = refined(FIELD, spacing_mm=1.0)
    np.testing.assert_array_equal(np.array(fine.displacements_mm.shape[:3]) - 1, [38, 48, 66])
    np.testing.assert_allclose(np.linalg.norm(fine.affine[:3, :3], axis=0), [1.0, 1.0, 2.5 / 3])
    points = points_in_fixed()
    expected = between(FIELD.displacements_mm.astype(float), FIELD.affine, points)
    at_nodes = fine.displacements_mm[::2, ::3, ::3]
    np.testing.assert_allclose(at_nodes, FIELD.displacements_mm, atol=1e-4)
    # What lies between the nodes of both is linear along each axis in turn, so the finer one is the same there.
    np.testing.assert_allclose(between(fine.displacements_mm, fine.affine, points), expected, atol=1e-4)


def test_a_field_grows_by_whole_voxels_of_nothing():
    """The scan reaches from -3.5 to 8.5 mm in x: from voxel -1.75 to 4.25, so the field to -2 and 5."""
    field = DisplacementField(np.zeros((4, 4, 4, 3), np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    affine = np.eye(4)
    affine[:3, 3] = -3.0
    grown = covering(field, VolumeHeader((12, 4, 4), affine))
    assert grown.displacements_mm.shape[:3] == (8, 6, 6)
    np.testing.assert_array_equal(grown.affine[:3, 3], [-4.0, -4.0, -4.0])
    np.testing.assert_array_equal(field.affine[:3, 3], 0.0)
