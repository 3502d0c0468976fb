"""Every input of `tests/scan_inputs`: five known places are found within 0.1 mm, or one line says why not."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from anatomical_embedding.volumes.scan import sha256_of_scan
from tests.reference.dicom_by_tags import place_by_tags, value_by_tags
from tests.scan_inputs.every_input import INPUTS
from tests.scan_inputs.marked_scan import MARK_VALUES

LARGEST_ERROR_MM = 0.1
READ = [name for name, entry in INPUTS.items() if not entry.refusal]
REFUSED = [name for name, entry in INPUTS.items() if entry.refusal]


def places_of_marks(volume):
    """Return (5, 3) mm RAS+ of the voxels that have the values of the marks."""
    voxels = []
    for value in MARK_VALUES:
        found = np.argwhere(np.abs(volume.array - float(value)) < 0.3)
        assert len(found) == 1, value
        voxels.append(found[0])
    return volume.world_from_voxel(np.array(voxels))


def middles_near(volume, places_mm):
    """Return (5, 3) mm RAS+, the middle of what is bright within 9 mm of each place."""
    centres = volume.world_from_voxel(np.indices(volume.shape).reshape(3, -1).T)
    values = volume.array.reshape(-1).astype(float)
    middles = []
    for place in places_mm:
        is_near = np.linalg.norm(centres - place, axis=1) < 9.0
        weights = np.maximum(values[is_near] - 150.0, 0.0)
        middles.append(weights @ centres[is_near] / weights.sum())
    return np.array(middles)


@pytest.mark.parametrize("name", READ)
def test_five_places_are_found(tmp_path, name):
    entry = INPUTS[name]
    scan = read_raw_scan(entry.write(tmp_path), ReadingOptions(**entry.options))
    found = middles_near(scan.volume, entry.marks_mm) if entry.is_resampled else places_of_marks(scan.volume)
    distance_mm = np.linalg.norm(found - entry.marks_mm, axis=1)
    assert distance_mm.max() < LARGEST_ERROR_MM
    said = " ".join(scan.remarks)
    assert all(part in said for part in entry.remarks), said
    assert bool(scan.remarks) == bool(entry.remarks), said
    assert scan.modality == "ct"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    entry = INPUTS[name]
    path = entry.write(tmp_path)
    with pytest.raises(InputFileError) as caught:
        read_raw_scan(path, ReadingOptions(**entry.options))
    told = str(caught.value)
    assert entry.refusal in told
    assert "\n" not in told and told.startswith(str(tmp_path))


def test_there_are_enough_inputs_of_every_kind():
    assert len(READ) >= 60 and len(REFUSED) >= 30


@pytest.mark.parametrize("name", ["nrrd detached", "mhd", "mhd slices listed"])
def test_the_checksum_of_a_scan_covers_the_files_of_its_voxels(tmp_path, name):
    path = INPUTS[name].write(tmp_path)
    before = sha256_of_scan(path)
    voxels = sorted(tmp_path.glob("*.raw"))[-1]
    voxels.write_bytes(b"\1\1" + voxels.read_bytes()[2:])
    assert sha256_of_scan(path) != before


# Real files that pydicom and nibabel carry

PYDICOM = Path(pydicom.data.__file__).parent / "test_files"
NIBABEL = Path(nibabel.__file__).parent
REAL_REFUSALS = {
    PYDICOM / "CT_small.dcm": "is one slice of a series",
    PYDICOM / "MR_truncated.dcm": "is one slice of a series",
    PYDICOM / "rtdose.dcm": "RT Dose Storage",
    PYDICOM / "rtstruct.dcm": "RT Structure Set Storage",
    PYDICOM / "rtplan.dcm": "RT Plan Storage",
    PYDICOM / "test-SR.dcm": "Comprehensive SR Storage",
    PYDICOM / "waveform_ecg.dcm": "12-lead ECG Waveform Storage",
    PYDICOM / "liver_1frame.dcm": "Segmentation Storage",
    PYDICOM / "examples_ybr_color.dcm": "Ultrasound Multi-frame Image Storage",
    PYDICOM / "SC_rgb_jpeg.dcm": "is a colour picture (RGB)",
    PYDICOM / "JPEG2000.dcm": "Secondary Capture Image Storage that does not state its position",
    PYDICOM / "dicomdirtests/98892003/MR2": "holds 2 DICOM series",
    PYDICOM / "dicomdirtests/98892003/MR700": "is turned against the other slices",
    PYDICOM / "dicomdirtests/77654033/CT2": "unequal slice gaps: 202.500 mm between 17106 and 17136",
    PYDICOM / "dicomdirtests": "holds no DICOM series that can be read",
    NIBABEL / "tests/data/example4d.nii.gz": "expected one volume of 3 axes",
    NIBABEL / "tests/data/functional.nii": "expected one volume of 3 axes",
    NIBABEL / "tests/data/resampled_anat_moved.nii": "153 of 1071 voxels that are NaN",
    NIBABEL / "tests/data/nifti1.hdr": "is of a format that is not read",
    NIBABEL / "tests/data/test.mgz": "is of a format that is not read",
}


@pytest.mark.parametrize("path", REAL_REFUSALS, ids=lambda path: path.name)
def test_a_real_file_that_is_no_scan_is_named(path):
    with pytest.raises(InputFileError) as caught:
        read_raw_scan(path, ReadingOptions())
    assert REAL_REFUSALS[path] in str(caught.value) and "\n" not in str(caught.value)


def test_places_and_values_of_a_real_series():
    folder = PYDICOM / "dicomdirtests/98892001/CT5N"
    volume = read_raw_scan(folder, ReadingOptions()).volume
    paths = sorted(folder.iterdir())
    assert volume.shape == (16, 16, len(paths))
    for path in paths:
        dataset = pydicom.dcmread(path)
        for row, column in ((0, 0), (3, 12), (8, 8), (15, 1), (11, 14)):
            place = place_by_tags(dataset, row=row, column=column)
            voxel = np.rint(volume.voxel_from_world(place)).astype(int)
            np.testing.assert_allclose(volume.world_from_voxel(voxel), place, atol=0.01)
            assert volume.array[tuple(voxel)] == value_by_tags(dataset, row=row, column=column)


@pytest.mark.slow
def test_places_and_values_of_a_real_multi_frame_file(tmp_path):
    """A Philips MPRAGE whose pixels were wiped and are numbers here; every frame is held against its own groups."""
    path = tmp_path / "mprage.dcm"
    path.write_bytes(gzip.decompress((NIBABEL / "nicom/tests/data/philips_mprage.dcm.gz").read_bytes()))
    dataset = pydicom.dcmread(path)
    stored = np.arange(len(dataset.PixelData) // 2).astype("<u2") % 4001
    stored = stored.reshape(dataset.NumberOfFrames, dataset.Rows, dataset.Columns)
    dataset.PixelData = stored.tobytes()
    dataset.save_as(path)
    volume = read_raw_scan(path, ReadingOptions()).volume
    count = 0
    for frame, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        single = pydicom.Dataset()
        single.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
        single.ImageOrientationPatient = group.PlaneOrientationSequence[0].ImageOrientationPatient
        single.PixelSpacing = group.PixelMeasuresSequence[0].PixelSpacing
        rescale = group.PixelValueTransformationSequence[0]
        for row, column in ((2, 5), (100, 30), (120, 200), (200, 77), (64, 128)):
            place = place_by_tags(single, row=row, column=column)
            voxel = np.rint(volume.voxel_from_world(place)).astype(int)
            np.testing.assert_allclose(volume.world_from_voxel(voxel), place, atol=0.05)
            number = float(stored[frame, row, column])
            expected = number * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)
            assert volume.array[tuple(voxel)] == pytest.approx(expected, rel=1e-5)
            count += 1
    assert count == 5 * volume.shape[2]


@pytest.mark.parametrize("name", ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"])
def test_places_of_real_nifti_files(name):
    path = NIBABEL / "tests/data" / name
    content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    order = "<" if content[:2] == b"\x5c\x01" else ">"
    rows = np.reshape(struct.unpack_from(f"{order}12f", content, 280), (3, 4))
    volume = read_raw_scan(path, ReadingOptions(modality="mr")).volume  # one is a mask
    voxels = np.array([[0, 0, 0], [1, 2, 3], [3, 4, 1], [2, 0, 6], [3, 3, 3]])
    np.testing.assert_allclose(volume.world_from_voxel(voxels), voxels @ rows[:, :3].T + rows[:, 3], atol=0.1)


@pytest.mark.parametrize("name", ["nrrd", "nrrd gzip", "nrrd detached", "mha", "mhd slices listed"])
def test_damaged_headers_are_read_or_refused_in_one_line(tmp_path, name):
    """Sixty damages each: a byte changed, some taken out or put in, or the file cut."""
    path = INPUTS[name].write(tmp_path)
    sound = path.read_bytes()
    rng = np.random.default_rng(5)
    num_refused = 0
    for _ in range(60):
        content = bytearray(sound)
        place = int(rng.integers(0, min(600, len(sound))))
        kind = int(rng.integers(0, 4))
        if kind == 0:
            content[place] = int(rng.choice(list(b"0123456789-.e (),:=\n\xff")))
        elif kind == 1:
            del content[place : place + int(rng.integers(1, 30))]
        elif kind == 2:
            content[place:place] = bytes(rng.choice(list(b"0123456789 -\n"), 4).tolist())
        else:
            del content[place:]
        path.write_bytes(bytes(content))
        try:
            read_raw_scan(path, ReadingOptions(modality="ct", hu_offset=0.0))
        except InputFileError as error:
            num_refused += 1
            assert "\n" not in str(error)
    assert num_refused > 20


def test_a_file_that_is_cut_in_its_space_origin_is_refused(tmp_path):
    path = INPUTS["nrrd"].write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"space origin: (", b"space origin: [", 1))
    with pytest.raises(InputFileError, match="has a space origin that is not three numbers"):
        read_raw_scan(path, ReadingOptions())
