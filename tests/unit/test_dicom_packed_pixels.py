"""Compressed pixels of DICOM slices, and those that nothing unpacks."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLossless

from tests.dicom_edits import edited, refusal
from tests.dicom_slices import Layout, Stack, grey_ramp, read_series, save
from tests.packaged_model import kept_locale


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG", JPEGLossless), ("JPEG2000", JPEG2000Lossless)])
@pytest.mark.parametrize("is_signed", [False, True])
def test_compressed_slices_are_rescaled_once(tmp_path, capfd, compressor, syntax, is_signed):
    stack = Stack(
        stored=grey_ramp(rows=33, columns=40) - 500 * is_signed,
        layout=Layout(is_signed=is_signed),
        slope=lambda k: 2.0 + k,
        edit=edited(PhotometricInterpretation="MONOCHROME1"),
    )
    for k in range(6):
        image = SimpleITK.GetImageFromArray(stack.stored[k].astype(np.int16 if is_signed else np.uint16))
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "packed.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        with kept_locale():
            writer.Execute(image)
        packed = pydicom.dcmread(tmp_path / "packed.dcm")
        assert packed.file_meta.TransferSyntaxUID in {syntax, "1.2.840.10008.1.2.4.70"}
        dataset = stack.dataset(k)
        dataset.PixelData = packed.PixelData
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        (tmp_path / "series").mkdir(exist_ok=True)
        save(dataset, tmp_path / "series" / stack.name(k), syntax=packed.file_meta.TransferSyntaxUID)
    array = read_series(tmp_path / "series").volume.array
    factors = np.arange(2, 8)[:, None, None]
    np.testing.assert_array_equal(array, (factors * stack.stored - 1024).transpose(2, 1, 0))
    assert capfd.readouterr() == ("", "")
    broken = tmp_path / "series" / "IM0002.dcm"
    dataset = pydicom.dcmread(broken)
    start = dataset.PixelData.index(b"\xff\xd8" if compressor == "JPEG" else b"\xff\x4f")
    dataset.PixelData = dataset.PixelData[:start] + b"\x11" * (len(dataset.PixelData) - start)
    dataset.save_as(broken)
    assert f"{broken}: is packed as JPEG" in str(refusal(tmp_path / "series"))
    assert capfd.readouterr() == ("", "")


def test_a_syntax_that_nothing_unpacks_is_named(tmp_path):
    known, jpeg_xl = b"1.2.840.10008.1.2.4.202", b"1.2.840.10008.1.2.4.110"
    folder = Stack().write(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = known.decode()
        dataset.PixelData = encapsulate([b"\xff\x0a" * 40])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.save_as(path)
        path.write_bytes(path.read_bytes().replace(known, jpeg_xl))
    assert f"IM0000.dcm: is packed as {jpeg_xl.decode()}" in str(refusal(folder))


def test_bytes_in_foreign_order_are_refused(tmp_path):
    layout = Layout(bits_allocated=8, bits_stored=8, syntax=ExplicitVRBigEndian)
    stack = Stack(stored=grey_ramp() % 256, layout=layout)
    assert "holds bytes in big-endian order" in str(refusal(stack.write(tmp_path)))
