"""A disk that fills up while a file is written: nothing half-written stays, and what stood there still stands."""

import errno
import os
import subprocess

import numpy as np
import pytest

from anatomical_embedding.files import write_json
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume

DISK_SIZE = "256k"


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_earlier_file_stays_and_no_part_of_the_new_one(small_disk):
    path = small_disk / "scores.json"
    write_json(path, {"median_mm": 3})
    before = path.read_bytes()
    with pytest.raises(OSError) as caught:
        write_json(path, {"text": "x" * 1_000_000})
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert [entry.name for entry in small_disk.iterdir()] == ["scores.json"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of nibabel's open file
def test_no_part_of_a_volume_stays(small_disk):
    array = np.random.default_rng(0).integers(-1000, 1000, (100, 100, 100)).astype(np.int16)
    with pytest.raises(OSError):
        write_volume(Volume(array, np.eye(4)), small_disk / "scan.nii")
    assert list(small_disk.iterdir()) == []
