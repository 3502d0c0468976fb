"""DICOM slices that are cut short, damaged, missing or not allowed: each is named."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.dicom_edits import edited, refusal
from tests.dicom_slices import Stack, grey_ramp, read_series


def test_all_slices_that_are_cut_short_are_named(tmp_path):
    folder = Stack().write(tmp_path)
    for number in (3, 4, 5):
        path = folder / f"IM{number:04d}.dcm"
        path.write_bytes(path.read_bytes()[:-30])
    told = str(refusal(folder))
    assert told.startswith(f"{folder}/IM0003.dcm: is cut short: 82 of 112 bytes of pixels")
    assert "(and IM0004.dcm, IM0005.dcm too)" in told


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"<html>",
        lambda content: content[:250],
        lambda content: content[:140],
    ],
    ids=["empty", "other content", "half a header", "only the start"],
)
@pytest.mark.parametrize("name", ["IM{:04d}.dcm", "slice{:d}", "1.2.840.{:d}"])
def test_every_second_slice_unreadable_is_named(tmp_path, damage, name):
    folder = Stack(name=name.format).write(tmp_path)
    broken = [folder / name.format(number) for number in (1, 3, 5)]
    for path in broken:
        path.write_bytes(damage(path.read_bytes()))
    told = str(refusal(folder))
    assert told.startswith(f"{broken[0]}: looks like a slice of the series")
    assert all(path.name in told for path in broken)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    folder = Stack().write(tmp_path)
    (folder / "IM0005.dcm").unlink()
    (folder / "IM0005.dcm").symlink_to("absent")
    assert f"{folder}/IM0005.dcm: looks like a slice" in str(refusal(folder))


def test_a_slice_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    folder = Stack().write(tmp_path)
    opened = Path.open

    def open_or_deny(path, *arguments, **options):
        if path.name == "IM0002.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_or_deny)
    assert f"{folder}/IM0002.dcm: cannot be read: Permission denied" in str(refusal(folder))


def test_slices_without_preamble_are_read(tmp_path):
    folder = Stack().write(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    assert not any(b"DICM" in path.read_bytes()[:132] for path in folder.iterdir())
    array = read_series(folder).volume.array
    np.testing.assert_array_equal(array, grey_ramp().transpose(2, 1, 0) - 1024)


@pytest.mark.slow
def test_nothing_reaches_standard_error(tmp_path):
    """Values that break the standard, an odd character set and a gap, read by a program of its own."""
    stack = Stack(edit=edited(SpecificCharacterSet="ISO_IR 999", SeriesNumber="1.5", PatientAge="old"))
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = stack.write(tmp_path)
    code = f"from tests.dicom_slices import read_series; from pathlib import Path; read_series(Path({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
