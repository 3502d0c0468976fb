"""Every file and folder that pydicom, nibabel and pydicom-data carry is read, or refused in one line.

pydicom-data is not installed with the project; where it is, or lies on PYTHONPATH, its files are tried as well.
"""

from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan
from tests.reference.dicom_by_tags import place_by_tags

NIBABEL = Path(nibabel.__file__).parent
FOLDERS = {
    "pydicom": Path(pydicom.data.__file__).parent / "test_files",
    "nibabel": NIBABEL / "tests" / "data",
    "nibabel DICOM": NIBABEL / "nicom" / "tests" / "data",
}
NO_SCANS = {".py", ".pyc", ".json"}


def pydicom_data():
    """Return the folder of the files of pydicom-data, or skip."""
    found = find_spec("data_store")
    if found is None:
        pytest.skip("needs the package pydicom-data, which is not installed")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def paths_in(folder):
    """Return all files, and the folders that hold some."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_SCANS]
    return [*files, *sorted({path.parent for path in files})]


def read_or_refused(path):
    """Return the scan, or None where it is refused in a line that names it."""
    try:
        return read_raw_scan(path, ReadingOptions())
    except InputFileError as error:
        assert "\n" not in str(error)
        assert str(error).startswith(str(path))
        return None


@pytest.mark.filterwarnings("ignore:::pydicom")
@pytest.mark.parametrize(("name", "least"), [("pydicom", 1), ("nibabel", 2), ("nibabel DICOM", 0)])
def test_the_files_of_a_package_are_read_or_refused_in_one_line(name, least):
    found = [read_or_refused(path) for path in paths_in(FOLDERS[name])]
    assert len(found) > 10
    scans = [scan for scan in found if scan is not None]
    assert len(scans) >= least
    assert all(np.isfinite(scan.volume.affine).all() for scan in scans)


@pytest.mark.filterwarnings("ignore:::pydicom")
def test_the_files_of_pydicom_data_are_read_or_refused_in_one_line():
    folder = pydicom_data()
    read = {path.name: scan for path in paths_in(folder) if (scan := read_or_refused(path)) is not None}
    assert set(read) == {"eCT_Supplemental.dcm"}
    volume = read["eCT_Supplemental.dcm"].volume
    dataset = pydicom.dcmread(folder / "eCT_Supplemental.dcm")
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        frame = pydicom.Dataset()
        frame.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
        orientation = group if "PlaneOrientationSequence" in group else shared
        frame.ImageOrientationPatient = orientation.PlaneOrientationSequence[0].ImageOrientationPatient
        frame.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        for row, column in ((0, 0), (100, 30), (500, 200), (200, 511), (64, 128)):
            place = place_by_tags(frame, row=row, column=column)
            voxel = np.rint(volume.voxel_from_world(place)).astype(int)
            np.testing.assert_allclose(volume.world_from_voxel(voxel), place, atol=0.01)
