"""Transforms of `register` tell whose they are: used the wrong way, or on other scans, they are refused."""

import json

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.displacement_field import LPS_SIGNS, DisplacementField, write_field
from anatomical_embedding.registration.guided_start import given_start, read_start, write_start
from anatomical_embedding.registration.initial.read import read_initial_start
from anatomical_embedding.registration.itk_transform import transform_by_itk, write_transform
from anatomical_embedding.registration.registered_scans import NOTE_MARK, described_scans, note_of
from anatomical_embedding.registration.transform_files import read_transform
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.volume import Volume
from tests.command import refusal_of, run
from tests.shifted_scans import VECTORS, applied, fixture_folder  # noqa: F401
from tests.unit.samples import LPS_AFFINE


@pytest.fixture
def registered(folder):
    """Return the folder as `register` leaves one of moving onto fixed, whose grids are the same."""
    options = ReadingOptions(modality="ct")
    scans = described_scans(
        *(read_raw_scan(folder / f"{name}.nii.gz", options) for name in ("fixed", "moving"))
    )
    write_start(given_start(np.eye(4)), folder / "start.json", scans=scans)
    (folder / "shift.h5").rename(folder / "forward.h5")
    SimpleITK.WriteTransform(SimpleITK.TranslationTransform(3, (-6.0, 4.0, -2.0)), str(folder / "inverse.h5"))
    (folder / "shift.nii.gz").rename(folder / "displacement_field.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("transform", "source", "onto"),
    [
        ("forward.h5", "fixed", "moving"),
        ("displacement_field.nii.gz", "fixed", "moving"),
        ("inverse.h5", "moving", "fixed"),
    ],
)
def test_a_transform_of_register_that_is_used_the_wrong_way_is_refused(
    registered, capsys, transform, source, onto
):
    """Both scans lie in one place, so that the wrong way gives an image as well."""
    said = refusal_of(capsys, applied(registered, transform, source, onto))
    assert f"{onto}.nii.gz is the {onto} scan; use " in said
    assert said.endswith(f"scan; use {'forward' if transform == 'inverse.h5' else 'inverse'}.h5")
    assert not (registered / "out.nii.gz").exists()
    assert run(applied(registered, transform, onto, source)) == 0
    start = registered / "start.json"
    assert read_start(start).status == "given"
    start.write_text(start.read_text(encoding="utf-8").replace("scans", "others"), encoding="utf-8")
    assert run(applied(registered, transform, source, onto)) == 0, "nothing tells whose the transform is"


@pytest.mark.parametrize("key", ["sha256", "shape", "affine"])
def test_a_start_that_tells_a_scan_in_part_tells_nothing(registered, key):
    content = json.loads((registered / "start.json").read_text(encoding="utf-8"))
    del content["scans"]["moving"][key]
    (registered / "start.json").write_text(json.dumps(content), encoding="utf-8")
    assert run(applied(registered, "forward.h5", "moving", "fixed")) == 0


def test_labels_and_other_grids_are_told_by_their_voxels(registered, capsys):
    """Labels have no checksum that is known: where both grids are alike only the other scan tells."""
    assert run(applied(registered, "forward.h5", "labels", "fixed", "--labels")) == 0
    said = refusal_of(capsys, applied(registered, "inverse.h5", "labels", "fixed", "--labels"))
    assert "fixed.nii.gz is the fixed scan" in said
    content = json.loads((registered / "start.json").read_text(encoding="utf-8"))
    content["scans"]["moving"]["affine"][0][3] += 0.5
    (registered / "start.json").write_text(json.dumps(content), encoding="utf-8")
    scan = read_volume(registered / "moving.nii.gz")
    write_volume(Volume(scan.array[2:], scan.affine), registered / "small.nii.gz")
    said = refusal_of(capsys, applied(registered, "forward.h5", "labels", "small", "--labels"))
    assert "labels.nii.gz is the fixed scan" in said
    assert run(applied(registered, "forward.h5", "moving", "small")) == 0


COPIES = {
    "fixed": ("p7_to_p8.h5", "warp.nii", "warp.nii.gz"),
    "moving": ("p8_to_p7.h5",),
}


@pytest.fixture
def copied(registered):
    """Return a folder with transforms of `register` alone, under other names."""
    scans = json.loads((registered / "start.json").read_text(encoding="utf-8"))["scans"]
    (registered / "start.json").unlink()
    shift = SimpleITK.TranslationTransform(3, (6.0, -4.0, 2.0))
    field = DisplacementField(VECTORS[..., 0, :] * LPS_SIGNS, LPS_AFFINE)
    for fills, transform in (("fixed", shift), ("moving", shift.GetInverse())):
        for name in COPIES[fills]:
            note = note_of(fills, scans)
            if name.endswith(".h5"):
                write_transform(SimpleITK.CompositeTransform([transform]), registered / name, note=note)
            else:
                write_field(field, registered / name, note=note)
    return registered


@pytest.mark.parametrize(("fills", "name"), [(fills, name) for fills in COPIES for name in COPIES[fills]])
def test_a_copy_of_another_name_tells_its_direction(copied, capsys, fills, name):
    """The file says so itself, and is to other programs the transform that it was."""
    source = "moving" if fills == "fixed" else "fixed"
    said = refusal_of(capsys, applied(copied, name, fills, source))
    assert f"{name}: resamples the {source} scan of its registration onto the {fills} one, but " in said
    assert run(applied(copied, name, source, fills)) == 0
    carried = transform_by_itk(read_transform(copied / name), np.array([[-10.0, -20.0, 8.0]]))
    sign = 1.0 if fills == "fixed" else -1.0
    np.testing.assert_allclose(
        carried, [[-10.0 - 6.0 * sign, -20.0 + 4.0 * sign, 8.0 + 2.0 * sign]], atol=1e-5
    )
    SimpleITK.WriteTransform(read_transform(copied / name), str(copied / "again.h5"))
    assert run(applied(copied, "again.h5", fills, source)) == 0, "another program keeps no note"


def test_another_field_with_a_copy_of_the_header_tells_nothing(copied):
    """As of programs that take the header of a field for its inverse."""
    name = next(name for name in COPIES["fixed"] if name.endswith(".nii.gz"))
    image = nibabel.load(copied / name)
    for path, vectors in (("same.nii.gz", image.dataobj), ("inverse.nii.gz", -np.asarray(image.dataobj))):
        nibabel.save(nibabel.Nifti1Image(np.asarray(vectors), image.affine, image.header), copied / path)
    assert run(applied(copied, "inverse.nii.gz", "fixed", "moving")) == 0
    assert run(applied(copied, "same.nii.gz", "fixed", "moving")) != 0


def test_points_of_the_other_scan_are_refused(copied, capsys):
    arguments = ["--output", copied / "out.csv", "--modality", "ct", "--of"]
    command = ["transform-points", copied / "p7_to_p8.h5", copied / "points.csv", *arguments]
    assert run([*command, copied / "fixed.nii.gz"]) == 0
    said = refusal_of(capsys, [*command, copied / "moving.nii.gz"])
    assert "moving.nii.gz is the moving scan; use inverse.h5" in said
    said = refusal_of(capsys, [*command, copied / "fixed.nii.gz", "--inverse"])
    assert "fixed.nii.gz is the fixed scan; use forward.h5" in said


@pytest.mark.parametrize("more", [[], ["--of", "fixed.nii.gz"]])
def test_points_beside_the_scan_that_a_transform_carries_are_refused_or_said(
    copied, capsys, monkeypatch, more
):
    """A transform of `register` knows its scan: points that were told to be LPS and are RAS lie on the other side."""
    monkeypatch.chdir(copied)
    options = ["--output", "out.csv", "--modality", "ct", *more]
    said = refusal_of(
        capsys, ["transform-points", "p7_to_p8.h5", "points.csv", "--coordinates", "lps", *options]
    )
    assert "no point lies inside" in said and "whether they are LPS (--coordinates lps)" in said
    assert not (copied / "out.csv").exists()
    (copied / "two.csv").write_text(
        (copied / "points.csv").read_text(encoding="utf-8") + "5000,0,0,far\n", encoding="utf-8"
    )
    assert run(["transform-points", "p7_to_p8.h5", "two.csv", *options]) == 0
    assert "note: the point 'far' lies outside" in capsys.readouterr().err


@pytest.mark.parametrize("note", [b"{", b'{"fills": "fixed"}', b'{"fills": "up", "scans": {}}', b"[]"])
def test_a_note_that_is_broken_tells_nothing(copied, note):
    path = copied / "p7_to_p8.h5"
    path.write_bytes(path.read_bytes() + NOTE_MARK + note)
    assert run(applied(copied, "p7_to_p8.h5", "fixed", "moving")) == 0


def test_a_start_of_the_scans_in_the_other_order_is_refused(registered):
    fixed, moving = (
        read_raw_scan(registered / f"{name}.nii.gz", ReadingOptions(modality="ct"))
        for name in ("fixed", "moving")
    )
    np.testing.assert_array_equal(
        read_initial_start(registered / "start.json", fixed=fixed, moving=moving).matrix, np.eye(4)
    )
    with pytest.raises(
        InputFileError, match=r"start\.json: leads from .*fixed\.nii\.gz to .*moving\.nii\.gz, the o"
    ):
        read_initial_start(registered / "start.json", fixed=moving, moving=fixed)
