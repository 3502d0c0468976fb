"""What `apply` and `transform-points` are given that is not quite what they want: read rightly, said, or refused."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.points.points_file import read_points
from anatomical_embedding.registration.itk_transform import transform_by_itk
from anatomical_embedding.registration.transform_files import is_covered, read_transform
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.command import refusal_of, run
from tests.shifted_scans import SHAPE, VECTORS, applied, fixture_folder  # noqa: F401
from tests.unit.samples import LPS_AFFINE


def save_field(path, vectors=VECTORS, *, name=""):
    image = nibabel.Nifti1Image(vectors, LPS_AFFINE)
    image.header.set_intent("vector", name=name)
    nibabel.save(image, path)


def notes_of(capsys, *arguments):
    capsys.readouterr()
    assert run(arguments) == 0
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize("ending", ["nii", "nrrd", "mha"])
def test_a_field_is_read_in_every_form_that_itk_writes(folder, ending):
    path = folder / f"field.{ending}"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(folder / "shift.nii.gz")), str(path))
    assert run(["transform-points", path, folder / "points.csv", "--output", folder / "out.csv"]) == 0
    found = read_points(folder / "out.csv", coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[-16.0, -16.0, 10.0]], atol=1e-5)


def test_the_way_back_of_an_affine_transform(folder, capsys):
    arguments = [folder / "points.csv", "--output", folder / "out.csv", "--inverse"]
    assert run(["transform-points", folder / "shift.h5", *arguments]) == 0
    found = read_points(folder / "out.csv", coordinates="ras")
    np.testing.assert_allclose(found.points_mm, [[-4.0, -24.0, 6.0]], atol=1e-5)
    said = refusal_of(capsys, ["transform-points", folder / "shift.nii.gz", *arguments])
    assert "is not an affine map, so its inverse is not known" in said


def niftyreg(path):
    save_field(path, name="NREG_TRANS")


def places_of_voxels():
    """Return the RAS mm of the voxels, a little moved and stretched, as another patient's are."""
    voxels = np.moveaxis(np.indices(SHAPE), 0, -1)
    places = voxels @ LPS_AFFINE[:3, :3].T + LPS_AFFINE[:3, 3]
    return (1.15 * places + [10.0, -20.0, 30.0])[..., np.newaxis, :].astype(np.float32)


def spm(path):
    """Write places in RAS mm as SPM does; its own intent name is `Mapping`."""
    save_field(path, places_of_voxels(), name="Mapping")


def unnamed_places(path):
    """Write the same as other programs save it again."""
    save_field(path, places_of_voxels())


def places_in_lps(path):
    save_field(path, places_of_voxels() * np.float32([-1, -1, 1]))


def places_in_voxels(path):
    save_field(path, np.moveaxis(np.indices(SHAPE), 0, -1)[..., np.newaxis, :].astype(np.float32))


def nrrd(space="LPS", *more):
    """Return a writer of a field of ones."""
    head = ["NRRD0005", "type: float", "dimension: 4", f"space: {space}", "sizes: 3 4 4 4", "encoding: raw"]
    head += ["space directions: none (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)", "endian: little"]
    head += ["kinds: vector domain domain domain", *more]
    values = np.ones((4, 4, 4, 3), "<f4").tobytes()
    return lambda path: path.write_bytes("\n".join(head).encode() + b"\n\n" + values)


@pytest.mark.parametrize("more", [(), ("measurement frame: (1,0,0) (0,1,0) (0,0,1)",)])
def test_a_field_in_nrrd_whose_vectors_are_lps_is_read(tmp_path, more):
    nrrd("left-posterior-superior", *more, "displacement field type:=resampling")(tmp_path / "a.nrrd")
    assert read_transform(tmp_path / "a.nrrd").TransformPoint((1.0, 2.0, 1.5)) == (2.0, 3.0, 2.5)


def colours(path):
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, LPS_AFFINE), path)


def not_finite(path):
    vectors = VECTORS.copy()
    vectors[3:5, 0, 0] = np.nan
    save_field(path, vectors)


def four_axes(path):
    nibabel.save(nibabel.Nifti1Image(VECTORS[:, :, :, 0], LPS_AFFINE), path)


def elastix(path):
    path.write_text('(Transform "TranslationTransform")\n(TransformParameters 1 2 3)\n', encoding="utf-8")


def matrix(path):
    path.write_text("1 0 0 1\n0 1 0 2\n0 0 1 3\n0 0 0 1\n", encoding="utf-8")


def singular(path):
    flat = SimpleITK.AffineTransform(3)
    flat.SetMatrix([0.0, 0, 0, 0, 1, 0, 0, 0, 1])
    SimpleITK.WriteTransform(flat, str(path))


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (niftyreg, "a.nii.gz", "is a transform of NiftyReg, whose vectors are RAS"),
        (
            colours,
            "a.nii.gz",
            "holds no vectors of three components in mm but vector of 8-bit unsigned integer",
        ),
        (four_axes, "a.nii.gz", "holds no vectors of three components in mm but 32-bit float along 4 axes"),
        (spm, "y_a.nii", "is a deformation of SPM, which holds places"),
        (unnamed_places, "a.nii", "holds places and no displacements"),
        (places_in_lps, "a.nii", "holds places and no displacements"),
        (places_in_voxels, "a.nii", "holds places and no displacements"),
        (nrrd("RAS"), "a.nrrd", "has vectors in the space RAS"),
        (nrrd("LPS", "measurement frame: (-1,0,0) (0,-1,0) (0,0,1)"), "a.nrrd", "a measurement frame of"),
        (nrrd("LPS", "displacement field type:=modeling"), "a.nrrd", "a field of the type modeling"),
        (not_finite, "a.nii.gz", "has 2 vectors that are not finite"),
        (elastix, "a.txt", "it is a parameter file of elastix"),
        (matrix, "a.mat", "it is a 4x4 matrix in text"),
        (singular, "a.tfm", "is singular: it leads all points onto a plane or a line"),
    ],
)
def test_what_only_looks_like_a_transform_is_refused(folder, capsys, make, name, message):
    make(folder / name)
    said = refusal_of(
        capsys, ["transform-points", folder / name, folder / "points.csv", "--output", folder / "out.csv"]
    )
    assert f"{name}: " in said
    assert message in said


def test_splines_cover_what_they_move(tmp_path):
    """Control points that all move by 5 mm move whatever they cover by as much, and ITK leaves the rest alone."""
    spline = SimpleITK.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin((-20.0, 5.0, 30.0))
    spline.SetTransformDomainDirection((0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0))
    spline.SetTransformDomainPhysicalDimensions((60.0, 40.0, 50.0))
    spline.SetTransformDomainMeshSize((4, 3, 2))
    spline.SetParameters([5.0] * len(spline.GetParameters()))
    SimpleITK.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    read = read_transform(tmp_path / "spline.tfm")
    points_mm = np.random.default_rng(5).uniform((-60, -80, 10), (60, 30, 100), (2000, 3))
    moved_mm = transform_by_itk(read, points_mm) - points_mm
    found = is_covered(read, points_mm)
    np.testing.assert_array_equal(found, np.abs(moved_mm).max(axis=1) > 1.0)
    assert 100 < found.sum() < 1900


def test_what_a_field_does_not_cover_is_said(folder, capsys):
    """ITK leaves points outside a field where they are; the field ends at z = 31 mm, half of the scan does at 63."""
    (folder / "points.csv").write_text(
        "x_mm,y_mm,z_mm,name\n-10,-20,8,in\n-10,-20,40,out\n", encoding="utf-8"
    )
    arguments = ["transform-points", folder / "shift.nii.gz", folder / "points.csv"]
    notes = notes_of(capsys, *arguments, "--output", folder / "out.csv")
    assert notes == [
        f"note: {folder / 'shift.nii.gz'}: does not cover the point 'out', which is left where it was"
    ]
    found = read_points(folder / "out.csv", coordinates="ras").points_mm
    np.testing.assert_allclose(found, [[-16.0, -16.0, 10.0], [-10.0, -20.0, 40.0]], atol=1e-5)
    twice = np.concatenate([read_volume(folder / "fixed.nii.gz").array] * 2, axis=2)
    write_volume(Volume(twice, LPS_AFFINE), folder / "twice.nii.gz")
    arguments = ["apply", folder / "shift.nii.gz", folder / "moving.nii.gz", "--modality", "ct"]
    notes = notes_of(capsys, *arguments, "--onto", folder / "twice.nii.gz", "--output", folder / "out.nii.gz")
    assert notes == [
        f"note: {folder / 'shift.nii.gz'}: covers 50% of the scan, and leaves the rest where it is; forward.h5 of "
        "`register` holds the start there"
    ]


@pytest.mark.parametrize(("name", "options"), [("moving", []), ("labels", ["--labels"])])
def test_a_transform_that_leads_away_is_refused(folder, capsys, name, options):
    SimpleITK.WriteTransform(SimpleITK.TranslationTransform(3, (900.0, 0, 0)), str(folder / "away.tfm"))
    arguments = ["apply", folder / "away.tfm", folder / f"{name}.nii.gz", "--onto", folder / "fixed.nii.gz"]
    arguments += ["--output", folder / "out.nii.gz", "--modality", "ct", *options]
    said = refusal_of(capsys, arguments)
    assert "away.tfm: maps no part of" in said
    assert "inverse.h5" in said
    assert not (folder / "out.nii.gz").exists()


def test_a_folder_of_masks_comes_over_as_their_map(folder, capsys):
    labels = read_volume(folder / "labels.nii.gz", require_contrast=False).array
    for name, mask in (("air", labels == 0), ("bone", labels > 0)):
        write_volume(Volume(mask.astype(np.uint8), LPS_AFFINE), folder / "masks" / f"{name}.nii.gz")
    arguments = ["--onto", folder / "fixed.nii.gz", "--labels", "--modality", "ct", "--output"]
    assert (
        run(["apply", folder / "shift.tfm", folder / "labels.nii.gz", *arguments, folder / "one.nii.gz"]) == 0
    )
    notes = notes_of(
        capsys, "apply", folder / "shift.tfm", folder / "masks", *arguments, folder / "two.nii.gz"
    )
    assert notes == [f"note: {folder / 'masks'}: its labels are 1 air, 2 bone"]
    one, two = (
        read_volume(folder / f"{name}.nii.gz", require_contrast=False).array for name in ("one", "two")
    )
    np.testing.assert_array_equal(two == 2, one > 0)


def test_labels_that_are_lost_or_interpolated_are_said(folder, capsys):
    array = read_volume(folder / "labels.nii.gz", require_contrast=False).array.copy()
    array[0, 0, 0] = 7  # the shift leads fixed voxels to it from outside the scan
    write_volume(Volume(array, LPS_AFFINE), folder / "labels.nii.gz")
    arguments = ["apply", folder / "shift.tfm", folder / "labels.nii.gz", "--onto", folder / "fixed.nii.gz"]
    arguments += ["--output", folder / "out.nii.gz"]
    notes = notes_of(capsys, *arguments, "--modality", "ct", "--labels")
    assert notes == [f"note: {folder / 'labels.nii.gz'}: no voxel of the label 7 is left"]
    notes = notes_of(capsys, *arguments, "--modality", "mr")
    assert any("holds 3 different whole numbers, as a label map does" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "content", "output", "written"),
    [
        ("a.txt", "point\n1\n3 4 5\n", "out.txt", "point\n1\n9.000000 0.000000 7.000000\n"),
        (
            "a.csv",
            "x,y,z,t,label\n10,20,8,0,one\n",
            "out.csv",
            "x,y,z,t,label\n16.000000,16.000000,10.000000,0,one\n",
        ),
        (
            "a.csv",
            "x_mm,y_mm,z_mm,name\n-10,-20,8,one\n",
            "out.pts",
            "point\n1\n16.000000 16.000000 10.000000\n",
        ),
        (
            "a.csv",
            "i,j,k,name\n5,10,4,one\n",
            "out.csv",
            "x_mm,y_mm,z_mm,name\n-16.000000,-16.000000,10.000000,one\n",
        ),
        (
            "a.txt",
            "index\n1\n5 10 4\n",
            "out.csv",
            "x_mm,y_mm,z_mm,name\n-16.000000,-16.000000,10.000000,1\n",
        ),
    ],
)
def test_points_go_out_in_the_form_that_is_asked_for(folder, name, content, output, written):
    (folder / name).write_text(content, encoding="utf-8")
    more = ["--of", folder / "moving.nii.gz", "--modality", "ct"]
    if "i,j,k" in content:
        more += ["--coordinates", "voxel"]
    arguments = ["transform-points", folder / "shift.tfm", folder / name, "--output", folder / output]
    assert run([*arguments, *more]) == 0
    assert (folder / output).read_text(encoding="utf-8").replace("\r", "") == written


@pytest.mark.parametrize("name", ["labels", "empty", "probabilities"])
def test_the_grid_of_any_image_is_taken(folder, name):
    """What the voxels of the image hold does not matter: it may be a label map, or say nothing at all."""
    shape = (30, 28, 16)
    write_volume(Volume(np.zeros(shape, np.uint8), LPS_AFFINE), folder / "empty.nii.gz")
    values = np.random.default_rng(1).random(shape, np.float32)
    write_volume(Volume(values, LPS_AFFINE), folder / "probabilities.nii.gz")
    assert run(applied(folder, "shift.h5", "moving", name)) == 0
    arguments = [
        "--onto",
        folder / "fixed.nii.gz",
        "--output",
        folder / "expected.nii.gz",
        "--modality",
        "ct",
    ]
    assert run(["apply", folder / "shift.h5", folder / "moving.nii.gz", *arguments]) == 0
    np.testing.assert_array_equal(
        read_volume(folder / "out.nii.gz").array, read_volume(folder / "expected.nii.gz").array
    )
    (folder / "vox.csv").write_text("i,j,k,name\n5,10,4,one\n", encoding="utf-8")
    command = ["transform-points", folder / "shift.tfm", folder / "vox.csv", "--output", folder / "out.csv"]
    assert run([*command, "--of", folder / f"{name}.nii.gz"]) == 0
