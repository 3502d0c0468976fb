"""Headers that state two places, other units or an offset within them: where a volume then lies, and what is said."""

import gzip
import struct
import tracemalloc

import nibabel
import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.nifti import read_header, read_nifti
from anatomical_embedding.volumes.nifti_geometry import largest_skew
from anatomical_embedding.volumes.organ_labels import read_mask
from anatomical_embedding.volumes.straight_grid import straight_grid, straightened
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from tests.unit.samples import oblique_affine

COUNTING = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
SFORM = np.array([[-2.0, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
QFORM = SFORM + np.array([[0, 0, 0, 40], [0, 0, 0, -25], [0, 0, 0, 60], [0, 0, 0, 0.0]])
APART_MM = "76.32"  # the length of (40, -25, 60)
PIXDIM, VOX_OFFSET, UNITS = 80, 108, 123


def write(path, *, sform=SFORM, qform=SFORM, codes=(1, 1), array=COUNTING, edits=()):
    """Write a file with nibabel, and then bytes of its header: (position, format, values)."""
    image = nibabel.Nifti1Image(array, sform, dtype=array.dtype)
    image.set_sform(sform, code=codes[0])
    image.set_qform(qform, code=codes[1])
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    nibabel.save(image, plain)
    content = bytearray(plain.read_bytes())
    for position, form, *values in edits:
        struct.pack_into(form, content, position, *values)
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))
    return path


def itk_place(path, voxel):
    """Return the world RAS+ of a voxel for ITK."""
    lps = SimpleITK.ReadImage(str(path)).TransformContinuousIndexToPhysicalPoint(tuple(map(float, voxel)))
    return np.array(lps) * (-1, -1, 1)


@pytest.mark.parametrize("codes", [(2, 1), (1, 1), (4, 2), (1, 4), (3, 3)])
def test_forms_that_differ_are_refused_with_their_distance_until_one_is_chosen(tmp_path, codes):
    path = write(tmp_path / "a.nii.gz", qform=QFORM, codes=codes)
    by_itk = "sform" if np.allclose(itk_place(path, (0, 0, 0)), SFORM[:3, 3]) else "qform"
    with pytest.raises(
        InputFileError, match=f"up to {APART_MM} mm apart.*ITK the {by_itk}.*--geometry sform or"
    ):
        read_nifti(path, geometry=None)
    with pytest.raises(InputFileError, match=f"up to {APART_MM} mm apart"):
        read_header(path)
    for geometry, affine in (("sform", SFORM), ("qform", QFORM)):
        found = read_nifti(path, geometry=geometry)
        assert np.allclose(found.volume.affine, affine)
        (remark,) = found.remarks
        assert f"the {geometry} was taken, by --geometry" in remark
        assert (f"{APART_MM} mm away" in remark) == (geometry != by_itk)


def test_pixdim_against_the_sform_is_two_places(tmp_path):
    path = write(tmp_path / "a.nii", codes=(1, 0), edits=[(PIXDIM, "<fff", 1.0, 2.0, 3.0)])
    last = np.array([4, 5, 6])
    off_mm = np.linalg.norm(itk_place(path, last) - (SFORM @ [*last, 1])[:3])
    assert off_mm == pytest.approx(4.0)  # 4 steps of 2 mm, or of 1 mm
    with pytest.raises(
        InputFileError, match=r"spacings of 2, 2, 3 mm and its pixdim 1, 2, 3 mm, up to 4 mm apart"
    ):
        read_nifti(path, geometry=None)
    with pytest.raises(InputFileError, match="--geometry sform"):
        read_nifti(path, geometry="qform")
    found = read_nifti(path, geometry="sform")
    assert np.allclose(found.volume.affine, SFORM)
    assert "show this file 4 mm away" in found.remarks[0]


def test_a_difference_below_a_tenth_of_a_voxel_is_said(tmp_path):
    near = SFORM.copy()
    near[0, 3] += 0.15
    found = read_nifti(write(tmp_path / "a.nii", qform=near), geometry=None)
    assert np.allclose(found.volume.affine, SFORM)
    assert "0.15 mm apart; the sform was taken, within a tenth of a voxel" in found.remarks[0]
    near[0, 3] = SFORM[0, 3] + 0.01
    assert read_nifti(write(tmp_path / "b.nii", qform=near), geometry=None).remarks == ()


def test_a_qform_that_is_no_rotation_stands_beside_a_sound_sform(tmp_path):
    path = write(tmp_path / "a.nii", codes=(2, 1), edits=[(256, "<fff", 1.0, 0.5, 0.5)])
    with pytest.raises(InputFileError, match=r"is not a rotation, beside a sound form.*\(--geometry sform\)"):
        read_nifti(path, geometry=None)
    assert "show this file elsewhere" in read_nifti(path, geometry="sform").remarks[0]
    with pytest.raises(InputFileError, match="is not a rotation; --geometry sform takes the other form"):
        read_nifti(path, geometry="qform")


@pytest.mark.parametrize(("code", "per_mm", "name"), [(1, 0.001, "metres"), (3, 1000.0, "micrometres")])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0)])
def test_units_of_length_are_honoured_as_itk_does(tmp_path, code, per_mm, name, codes):
    scaled = SFORM * [[per_mm], [per_mm], [per_mm], [1]]
    path = write(tmp_path / "a.nii", sform=scaled, qform=scaled, codes=codes, edits=[(UNITS, "B", code | 8)])
    found = read_nifti(path, geometry=None)
    assert np.allclose(found.volume.affine, SFORM, atol=1e-4)
    assert np.allclose(itk_place(path, (4, 5, 6)), (SFORM @ [4, 5, 6, 1])[:3], atol=1e-3)
    assert found.remarks == (f"it is in {name}, by its header; turned into millimetres",)
    assert read_label_file(_binary(path)).remarks == (f"{path}: {found.remarks[0]}",)
    assert read_mask(path, grid=VolumeHeader((5, 6, 7), SFORM)).array.any()


@pytest.mark.parametrize(
    ("per_mm", "codes", "length"),
    [(0.001, (1, 1), "0.021"), (1000.0, (1, 1), "21000"), (0.001, (2, 1), "0.021")],
)
def test_of_two_forms_in_two_units_the_one_that_no_scan_has_is_named(tmp_path, per_mm, codes, length):
    scaled = SFORM * [[per_mm], [per_mm], [per_mm], [1]]
    edits = [(280, "<12f", *scaled[:3].ravel())]
    path = write(tmp_path / "a.nii", codes=codes, edits=edits)
    for geometry in (None, "sform"):
        with pytest.raises(
            InputFileError, match=f"has a sform by which it is {length} mm .*--geometry qform takes"
        ):
            read_nifti(path, geometry=geometry)
    found = read_nifti(path, geometry="qform")
    assert np.allclose(found.volume.affine, SFORM)
    assert "the qform was taken, by --geometry" in found.remarks[0]


def _binary(path):
    """Make the voxels of a file zeros and ones."""
    content = bytearray(path.read_bytes())
    content[352:] = (COUNTING > 100).astype(np.int16).tobytes(order="F")
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("code", "stated"), [(1, "21000 mm long by its header .metres"), (3, "0.021 mm long")]
)
def test_a_unit_that_cannot_be_is_refused(tmp_path, code, stated):
    path = write(tmp_path / "a.nii", edits=[(UNITS, "B", code)])
    with pytest.raises(InputFileError, match=f"{stated}.*correct its spacing or its unit of length"):
        read_nifti(path, geometry=None)


def test_a_unit_that_does_not_exist_is_millimetres_and_said(tmp_path):
    found = read_nifti(write(tmp_path / "a.nii", edits=[(UNITS, "B", 5)]), geometry=None)
    assert np.allclose(found.volume.affine, SFORM)
    assert found.remarks == ("its unit of length is unknown (code 5), taken as millimetres",)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_that_asks_for_more_than_the_file_holds_takes_no_memory(tmp_path, name):
    path = write(tmp_path / name, edits=[(42, "<hhh", 2400, 2400, 1600)])
    tracemalloc.start()
    with pytest.raises(InputFileError, match="it is cut short: its header asks for 18432000352 bytes"):
        read_nifti(path, geometry=None)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.parametrize("offset", [0, 100, 348, 351])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_offset_within_the_header_means_its_end(tmp_path, offset, name):
    labels = COUNTING % 50
    path = write(tmp_path / name, array=labels, edits=[(VOX_OFFSET, "<f", offset)])
    found = read_nifti(path, geometry=None)
    assert np.array_equal(found.volume.array, labels)
    assert found.remarks == (f"its voxels begin at byte 352, behind its header, which says {offset}",)
    assert np.array_equal(read_label_file(path).volume.array, labels)


def test_voxels_right_behind_a_header_without_its_last_four_bytes_are_found(tmp_path):
    path = write(tmp_path / "a.nii", edits=[(VOX_OFFSET, "<f", 0)])
    content = path.read_bytes()
    path.write_bytes(content[:348] + content[352:])
    found = read_nifti(path, geometry=None)
    assert np.array_equal(found.volume.array, COUNTING)
    assert "begin at byte 348" in found.remarks[0]


@pytest.mark.parametrize("order", "<>")
def test_nifti_2_ends_elsewhere(tmp_path, order):
    header = nibabel.Nifti2Header(endianness=order)
    header.set_data_dtype(np.dtype(np.int16).newbyteorder(order))
    nibabel.save(nibabel.Nifti2Image(COUNTING, SFORM, header), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into(f"{order}q", content, 168, 0)
    (tmp_path / "a.nii").write_bytes(bytes(content))
    found = read_nifti(tmp_path / "a.nii", geometry=None)
    assert np.array_equal(found.volume.array, COUNTING)
    assert np.allclose(found.volume.affine, SFORM)
    assert found.remarks == ("its voxels begin at byte 544, behind its header, which says 0",)


def test_extensions_hide_where_the_voxels_begin(tmp_path):
    path = write(tmp_path / "a.nii", edits=[(VOX_OFFSET, "<f", 0), (348, "B", 1)])
    with pytest.raises(InputFileError, match="has extensions behind it, so their beginning is unknown"):
        read_nifti(path, geometry=None)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_extension_that_the_offset_does_not_count_is_refused(tmp_path, name):
    """Its 48 bytes would be taken for the first 24 voxels, and all others lie 24 further on."""
    path = write(tmp_path / name, edits=[(348, "B", 1)])
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    extension = struct.pack("<ii", 48, 6) + b"a comment".ljust(40, b"\0")

    def put(offset):
        changed = bytearray(content[:352] + extension + content[352:])
        struct.pack_into("<f", changed, VOX_OFFSET, offset)
        path.write_bytes(gzip.compress(bytes(changed)) if path.suffix == ".gz" else bytes(changed))

    put(352)
    with pytest.raises(
        InputFileError, match=r"has an extension of 48 bytes where its voxels begin .*vox_offset"
    ):
        read_nifti(path, geometry=None)
    put(352 + 48)
    np.testing.assert_array_equal(read_nifti(path, geometry=None).volume.array, COUNTING)


def skewed(degrees):
    affine = SFORM.copy()
    affine[1, 2] += np.tan(np.radians(degrees)) * affine[2, 2]
    return affine


@pytest.mark.parametrize("degrees", [0.05, 1.0])
def test_a_skewed_scan_keeps_its_place_and_itk_refuses_it(tmp_path, degrees):
    path = write(tmp_path / "a.nii", sform=skewed(degrees), codes=(1, 0))
    with pytest.raises(RuntimeError, match="No orthonormal definition found"):
        SimpleITK.ReadImage(str(path))
    found = read_nifti(path, geometry=None)
    assert np.allclose(found.volume.affine, skewed(degrees), atol=1e-6)
    assert found.remarks == (f"its axes are {degrees:g} degrees off right angles; ITK refuses such a file",)


def test_a_straight_grid_covers_a_skewed_volume_and_shows_the_same_places():
    volume = Volume(
        np.zeros((20, 30, 40), np.int16), oblique_affine((10, 20, 30), (1.0, 1.5, 3.0)) @ skewed(2)
    )
    grid = straight_grid(volume)
    assert largest_skew(grid.affine) < 1e-12
    assert np.allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), volume.spacing_mm)
    corners = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in volume.shape])).reshape(3, -1).T
    inside = Volume(np.zeros(grid.shape), grid.affine).voxel_from_world(volume.world_from_voxel(corners))
    assert inside.min() > -0.502
    assert (inside.max(axis=0) < np.array(grid.shape) - 0.498).all()
    assert (inside.max(axis=0) > np.array(grid.shape) - 1.5).all()
    ramp = Volume(
        volume.world_from_voxel(np.argwhere(volume.array == 0))[:, 2].reshape(volume.shape), volume.affine
    )
    moved = straightened(ramp)
    middle = np.array(moved.shape) // 2
    expected = moved.world_from_voxel([middle])[0, 2]
    assert moved.array[tuple(middle)] == pytest.approx(expected, abs=1e-3)


def test_a_volume_with_right_angles_stays_as_it_is():
    volume = Volume(COUNTING, SFORM)
    assert straightened(volume) is volume
    assert straight_grid(volume).shape == COUNTING.shape
