"""NIfTI files: what comes back, what other programs see, and what is refused with which words."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.nifti import map_volume, read_header, read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume
from tests.unit.samples import LPS_AFFINE, affines, oblique_affine, save_nifti

COUNTING = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("data_type", [np.uint8, np.int16, np.uint16, np.float32])
def test_what_is_written_is_read_back(tmp_path, name, data_type):
    affine = oblique_affine((10, -20, 30), (0.8, 0.9, 5.0), (-100, 50, 20))
    write_volume(Volume(COUNTING.astype(data_type), affine), tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert volume.array.dtype == data_type
    assert np.array_equal(volume.array, COUNTING)
    assert np.allclose(volume.affine, affine, atol=1e-4)
    header = read_header(tmp_path / name)
    assert header.shape == (2, 3, 4)
    assert np.array_equal(header.affine, volume.affine)


@settings(max_examples=30)
@given(affine=affines(largest_angle_deg=180.0))
def test_other_programs_see_the_same_place_by_sform_and_by_qform(tmp_path_factory, affine):
    path = tmp_path_factory.mktemp("geometry") / "a.nii"
    write_volume(Volume(COUNTING, affine), path)
    header = nibabel.load(path).header
    assert header["sform_code"] == 1
    assert np.allclose(header.get_sform(), affine, atol=1e-3)
    corner = np.array([1.0, 2.0, 3.0, 1.0])
    assert header["qform_code"] == 0 or np.allclose(header.get_qform() @ corner, affine @ corner, atol=0.06)
    seen_lps = SimpleITK.ReadImage(str(path)).TransformContinuousIndexToPhysicalPoint((1.0, 2.0, 3.0))
    expected_ras = affine @ (1.0, 2.0, 3.0, 1.0)
    assert np.allclose(np.array(seen_lps) * (-1, -1, 1), expected_ras[:3], atol=1e-2)


@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (0, 0, 180), (5, 0, 180), (0, 90, 180), (20, 30, 40)])
def test_the_qform_is_set_for_usual_directions(tmp_path, angles_deg):
    affine = oblique_affine(angles_deg, (0.7, 0.8, 5.0), (-200.0, 150.0, -900.0))
    volume = Volume(np.zeros((300, 280, 60), np.uint8), affine)
    write_volume(volume, tmp_path / "a.nii")
    header = nibabel.load(tmp_path / "a.nii").header
    assert header["qform_code"] == 1
    corner = np.array([299.0, 279.0, 59.0, 1.0])
    assert np.allclose(header.get_qform() @ corner, affine @ corner, atol=0.06)


def test_a_sheared_affine_keeps_its_sform_and_has_no_qform(tmp_path):
    affine = LPS_AFFINE.copy()
    affine[0, 1] = 0.7  # mm
    write_volume(Volume(COUNTING, affine), tmp_path / "a.nii")
    assert nibabel.load(tmp_path / "a.nii").header["qform_code"] == 0
    assert np.allclose(read_volume(tmp_path / "a.nii").affine, affine)


def test_equal_volumes_give_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        write_volume(Volume(COUNTING, LPS_AFFINE), tmp_path / folder / "a.nii.gz")
    assert (tmp_path / "one/a.nii.gz").read_bytes() == (tmp_path / "two/a.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("name", "array"), [("a.img", COUNTING), ("a.nii", COUNTING.astype(complex)), ("a.nii", COUNTING[0])]
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, name, array):
    with pytest.raises(ValueError, match=r"a\.(img|nii)"):
        write_volume(Volume(array, LPS_AFFINE), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_qform_serves_alone(tmp_path):
    image = nibabel.Nifti1Image(COUNTING, None)
    image.set_qform(np.diag([3.0, 3.0, 3.0, 1.0]), code=1)
    nibabel.save(image, tmp_path / "qform.nii")
    assert np.allclose(read_volume(tmp_path / "qform.nii").affine, np.diag([3.0, 3.0, 3.0, 1.0]))


def _with_scaling(path, stored, slope, intercept):
    image = nibabel.Nifti1Image(stored, LPS_AFFINE)
    image.header.set_slope_inter(slope, intercept)
    with path.open("wb") as stream:
        image.header["vox_offset"] = 352
        image.header.write_to(stream)
        stream.write(b"\0" * (352 - stream.tell()))
        stream.write(stored.tobytes(order="F"))
    return path


def test_an_intercept_that_is_no_number_beside_a_slope_is_named(tmp_path):
    path = _with_scaling(tmp_path / "ct.nii", COUNTING, 1.0, 0.0)
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 116, np.nan)
    path.write_bytes(bytes(content))
    with pytest.raises(InputFileError, match=r"has the slope 1 and the intercept nan \(scl_inter\)"):
        read_volume(path)


def test_stored_scaling_is_applied(tmp_path):
    hu = read_volume(_with_scaling(tmp_path / "ct.nii", COUNTING.astype(np.uint16), 1.0, -1024.0)).array
    assert hu.dtype == np.int16
    assert hu[1, 2, 3] == 23 - 1024
    scaled = read_volume(_with_scaling(tmp_path / "mr.nii", COUNTING, 0.5, 2.0)).array
    assert scaled.dtype == np.float32
    assert scaled[1, 2, 3] == 23 * 0.5 + 2
    wide = read_volume(_with_scaling(tmp_path / "wide.nii", COUNTING + np.int16(32000), 1.0, 1000.0)).array
    assert wide[1, 2, 3] == 33023


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    path = save_nifti(tmp_path / "a.nii", COUNTING[..., None])
    assert read_volume(path).shape == (2, 3, 4)
    assert map_volume(path).shape == (2, 3, 4)


def test_a_mapped_volume_is_the_file_itself(tmp_path):
    path = tmp_path / "a.nii"
    write_volume(Volume(COUNTING, LPS_AFFINE), path)
    volume = map_volume(path)
    assert isinstance(volume.array, np.memmap)
    assert np.array_equal(volume.array, COUNTING)
    assert volume.array.flags.f_contiguous
    assert not volume.array.flags.writeable
    assert np.array_equal(volume.affine, read_volume(path).affine)


def test_what_cannot_be_mapped_is_refused(tmp_path):
    write_volume(Volume(COUNTING, LPS_AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(InputFileError, match=r"a\.nii\.gz: is compressed, expected an uncompressed \.nii"):
        map_volume(tmp_path / "a.nii.gz")
    with pytest.raises(InputFileError, match=r"b\.nii: is scaled"):
        map_volume(_with_scaling(tmp_path / "b.nii", COUNTING, 0.5, 2.0))
    whole = save_nifti(tmp_path / "c.nii", COUNTING).read_bytes()
    (tmp_path / "c.nii").write_bytes(whole[:-5])
    with pytest.raises(InputFileError, match=r"c\.nii: cannot be read as NIfTI, it is cut short: its header"):
        map_volume(tmp_path / "c.nii")


def with_header(path, **fields):
    """Change header fields in the bytes of a file, past nibabel's own repairs."""
    content = bytearray(path.read_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(bytes(content))


def _missing(path):
    return path


def _folder(path):
    path.mkdir()


def _truncated(path):
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    save_nifti(path, noise)
    path.write_bytes(path.read_bytes()[:5000])


def _text(path):
    path.write_bytes(gzip.compress(b"no volume here, only words" * 40))


def _empty(path):
    path.write_bytes(b"")


def _four_axes(path):
    save_nifti(path, np.stack([COUNTING] * 2, axis=-1))


def _one_slice(path):
    save_nifti(path, COUNTING[:, :, :1])


def _flat(path):
    save_nifti(path, COUNTING[:, :, 0])


def _nan(path):
    array = COUNTING.astype(np.float32)
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    save_nifti(path, array)


def _constant(path):
    save_nifti(path, np.full((3, 3, 3), 7, np.int16))


def _uncompressed(change):
    def make(path):
        plain = save_nifti(path.with_suffix(""), COUNTING)
        change(plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))

    return make


def _zero_spacing(path):
    with_header(path, pixdim=[1, 2, 0, 2, 1, 1, 1, 1])


def _nan_spacing(path):
    with_header(path, pixdim=[1, 2, 2, np.nan, 1, 1, 1, 1])


def _singular(path):
    with_header(path, srow_y=[-2, 0, 0, 0])


def _infinite_affine(path):
    with_header(path, srow_z=[0, 0, np.inf, 0])


def _no_place(path):
    with_header(path, sform_code=0, qform_code=0)


def _colours(path):
    array = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    save_nifti(path, array)


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # nibabel, while it looks at a broken affine
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "no such file"),
        (_folder, "is a folder, expected a NIfTI file"),
        (_truncated, "cannot be read as NIfTI: it is cut short, or no NIfTI file"),
        (_text, "cannot be read as NIfTI"),
        (_empty, "cannot be read as NIfTI"),
        (_four_axes, r"has shape \(2, 3, 4, 2\), expected one volume of 3 axes"),
        (_one_slice, r"has shape \(2, 3, 1\), expected 3 axes of 2 or more voxels"),
        (_flat, r"has shape \(2, 3\), expected 3 axes of 2 or more voxels"),
        (_nan, "has 3 of 24 voxels that are NaN or infinite"),
        (_constant, "every voxel has the value 7"),
        (_uncompressed(_zero_spacing), r"has spacing \[2.0, 0.0, 2.0\] mm, expected positive numbers"),
        (_uncompressed(_nan_spacing), r"has spacing \[2.0, 2.0, nan\] mm, expected positive numbers"),
        (_uncompressed(_singular), "has a singular sform"),
        (_uncompressed(_infinite_affine), "has a sform that is not finite"),
        (_uncompressed(_no_place), "sets neither sform nor qform"),
        (_colours, "has voxels of type"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, make, message):
    path = tmp_path / "scan.nii.gz"
    make(path)
    with pytest.raises(InputFileError, match=message) as caught:
        read_volume(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "scan.mgz"
    nibabel.save(nibabel.MGHImage(COUNTING, LPS_AFFINE), path)
    with pytest.raises(InputFileError, match=r"scan\.mgz: cannot be read as NIfTI"):
        read_volume(path)


def test_checks_of_the_voxels_can_be_waived(tmp_path):
    _constant(tmp_path / "mask.nii")
    assert read_volume(tmp_path / "mask.nii", require_contrast=False).array.max() == 7
    _nan(tmp_path / "nan.nii")
    assert np.isnan(read_volume(tmp_path / "nan.nii", require_finite=False).array[0, 0, 0])
