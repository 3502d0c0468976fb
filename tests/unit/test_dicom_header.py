"""Tags of a DICOM header as they are written, also where the bytes break the standard."""

import pydicom
import pytest

from anatomical_embedding.volumes.dicom_header import read_dicom_header
from tests.dicom_slices import Stack


@pytest.fixture
def path(tmp_path):
    """Return a slice with a spacing of 1.5 mm and a number."""

    def numbered(dataset, k):
        dataset.PixelSpacing, dataset.AcquisitionNumber, dataset.AcquisitionTime = ["1.5", "1.5"], "7", None

    return Stack(edit=numbered).write(tmp_path / "series") / "IM0000.dcm"


def changed(path, before, after):
    """Return the header of the slice once the one place of some bytes holds others."""
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    return read_dicom_header(path)


def test_texts_lose_the_padding_at_their_end_alone(path):
    """A number whose first digit was lost on a disk is none: 1.5 mm does not become .5."""
    assert read_dicom_header(path).tags["PixelSpacing"] == ("1.5", "1.5")
    damaged = changed(path, rb"1.5\1.5", b"\x00.5\\1.5")
    assert damaged.tags["PixelSpacing"] == ("\x00.5", "1.5")


def test_an_empty_tag_of_an_unknown_kind_leaves_the_others_readable(path):
    """AcquisitionTime, (0008,0032), is empty here; its kind was TM."""
    found = changed(path, b"\x08\x00\x32\x00TM\x00\x00", b"\x08\x00\x32\x00TX\x00\x00")
    assert found.tags["PixelSpacing"] == ("1.5", "1.5")


@pytest.mark.parametrize(("kind", "number"), [("IS", b"7 "), ("CS", b"7 "), ("US", b"\x07\x00")])
def test_a_number_may_be_written_as_another_kind(path, kind, number):
    before, after = (
        b"\x20\x00\x12\x00IS\x02\x007 ",
        b"\x20\x00\x12\x00" + kind.encode() + b"\x02\x00" + number,
    )
    assert changed(path, before, after).tags["AcquisitionNumber"] == ("7",)


@pytest.mark.parametrize("syntax", ["implicit little", "explicit big", "deflated"])
def test_every_transfer_syntax_gives_the_same_texts(path, syntax):
    dataset = pydicom.dcmread(path)
    expected = read_dicom_header(path).tags
    if syntax == "deflated":
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    else:
        del dataset.PixelData
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian
            if syntax == "implicit little"
            else pydicom.uid.ExplicitVRBigEndian
        )
        pydicom.dcmwrite(
            path, dataset, implicit_vr=syntax == "implicit little", little_endian=syntax == "implicit little"
        )
    found = read_dicom_header(path).tags
    assert found.pop("TransferSyntaxUID") == (dataset.file_meta.TransferSyntaxUID,)
    assert found == {
        keyword: values for keyword, values in expected.items() if keyword != "TransferSyntaxUID"
    }


def test_each_of_several_texts_may_be_padded(path):
    assert changed(path, rb"1.5\1.5", b"1.\x00\\1. ").tags["PixelSpacing"] == ("1.", "1.")
