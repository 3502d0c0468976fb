"""Input files that are replaced are noticed by size, date and links, and a run that is moved stays as it is."""

import os
import shutil
import time

import pytest

from anatomical_embedding.datasets.input_state import input_state

SECONDS_FOR_TEN_THOUSAND = 2.0


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two files of one size and date."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.nii.gz", "b.nii.gz"):
        (folder / name).write_bytes(b"1234")
        os.utime(folder / name, ns=(1, 1_600_000_000_123_456_789))
    return folder


def test_equal_files_have_equal_states_wherever_they_lie(folder, tmp_path, monkeypatch):
    path = folder / "a.nii.gz"
    before = input_state([path])
    assert input_state([path]) == before
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert input_state([tmp_path / "elsewhere" / "a.nii.gz"]) == before
    monkeypatch.chdir(tmp_path)
    assert input_state(["scans/a.nii.gz"]) == before


@pytest.mark.parametrize(
    "date", [1_600_000_000_123_456_788, 1_000_000_000_000_000_000, 2_000_000_000_000_000_000]
)
def test_another_date_counts_older_or_newer(folder, date):
    before = input_state([folder / "a.nii.gz"])
    os.utime(folder / "a.nii.gz", ns=(1, date))
    assert input_state([folder / "a.nii.gz"]) != before


def test_another_size_counts_at_the_same_date(folder):
    before = input_state([folder / "a.nii.gz"])
    (folder / "a.nii.gz").write_bytes(b"12345")
    os.utime(folder / "a.nii.gz", ns=(1, 1_600_000_000_123_456_789))
    assert input_state([folder / "a.nii.gz"]) != before


def test_a_link_that_is_turned_counts_though_size_and_date_stay(folder):
    states = set()
    for number, target in enumerate(("a.nii.gz", "b.nii.gz")):
        link = folder / f"link_{number}.nii.gz"
        link.symlink_to(target)
        states.add(input_state([link]))
    assert len(states) == 2


def test_a_link_to_a_folder_that_is_turned_counts(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    states = set()
    for number, target in enumerate(("scans", "other")):
        link = tmp_path / f"current_{number}"
        link.symlink_to(target)
        states.add(input_state([link / "a.nii.gz"]))
    assert len(states) == 2


def test_every_file_counts_and_one_that_is_not_there(folder):
    one, both = input_state([folder / "a.nii.gz"]), input_state([folder / "a.nii.gz", folder / "b.nii.gz"])
    (folder / "b.nii.gz").unlink()
    assert len({one, both, input_state([folder / "a.nii.gz", folder / "b.nii.gz"])}) == 3


def test_ten_thousand_files_are_looked_at_in_no_time(folder):
    paths = [folder / "a.nii.gz"] * 10_000
    started = time.process_time()
    for path in paths:
        input_state([path])
    assert time.process_time() - started < SECONDS_FOR_TEN_THOUSAND
