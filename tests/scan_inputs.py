"""One scan of known content in every format that users have, with the oddities that they come with.

Five voxels of a small body have values of their own. Every input is written by hand, header and voxels, from one array
and one matrix, so that a test knows where these voxels lie without our readers: `MARKS_MM`, in mm RAS+.
"""

import bz2
import gzip
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from scipy.spatial.transform import Rotation

from tests.ct_like import ct_like
from tests.dicom_slices import (
    DOSE_CLASS,
    ENHANCED_CT_CLASS,
    MR_CLASS,
    OTHER_SERIES,
    PET_CLASS,
    REPORT_CLASS,
    SECONDARY_CAPTURE_CLASS,
    SERIES,
    Layout,
    Stack,
    decimal,
    plain_object,
    save,
)

SPACING_MM = np.array([2.0, 1.5, 3.0])
DIRECTIONS = Rotation.from_euler("xyz", [12, -20, 33], degrees=True).as_matrix()
"""Of the axes of the array in RAS, a column each."""
ORIGIN_MM = np.array([-60.0, 35.0, -140.0])
MARKS_VOX = np.array([[20, 22, 4], [30, 20, 9], [25, 12, 15], [14, 25, 11], [33, 27, 6]])
MARK_VALUES = np.array([1501, 1502, 1503, 1504, 1505])
MARKS_MM = ORIGIN_MM + (MARKS_VOX * SPACING_MM) @ DIRECTIONS.T
LPS = np.array([-1.0, -1.0, 1.0])


def scan_array() -> NDArray[np.int16]:
    """Return the (X, Y, Z) HU of the body with its marks."""
    hu = ct_like().copy()
    hu[tuple(MARKS_VOX.T)] = MARK_VALUES
    return hu


HU = scan_array()


@dataclass(frozen=True)
class ScanInput:
    """One input.

    Attributes
    ----------
    write : writes it into an empty folder and returns its path.
    refusal : part of the one line that refuses it; empty for an input that is read.
    remarks : parts of what is said about it.
    options : what its user says of it.
    is_resampled : its slices lie on no straight grid, so that marks are blurred; they are found by their middle.
    marks_mm : where the marks lie.
    """

    write: Callable[[Path], Path]
    refusal: str = ""
    remarks: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    is_resampled: bool = False
    marks_mm: NDArray[np.float64] = field(default_factory=MARKS_MM.copy)


# NIfTI, byte by byte (nifti1.h)


def matrix(*, scale: float = 1.0) -> NDArray[np.float64]:
    """Return the (3, 4) voxel to RAS matrix of the scan."""
    return np.c_[DIRECTIONS * SPACING_MM, ORIGIN_MM] * scale


def nifti_bytes(
    *,
    sform: int = 1,
    qform: int = 0,
    rows: NDArray | None = None,
    data: NDArray | None = None,
    code: int = 4,
    order: str = "<",
    slope: float = 1.0,
    intercept: float = 0.0,
    units: int = 2,
    pixdim: NDArray | None = None,
    shape: tuple[int, ...] | None = None,
    qoffset: NDArray | None = None,
) -> bytes:
    """Return a NIfTI-1 file."""
    data = HU if data is None else data
    rows = matrix() if rows is None else rows
    pixdim = SPACING_MM if pixdim is None else pixdim
    shape = data.shape if shape is None else shape
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into(f"{order}2h", header, 70, code, 8 * data.dtype.itemsize)
    struct.pack_into(f"{order}8f", header, 76, 1.0, *pixdim, 1, 1, 1, 1)
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, intercept)
    header[123] = units
    struct.pack_into(f"{order}2h", header, 252, qform, sform)
    x, y, z, _ = Rotation.from_matrix(DIRECTIONS).as_quat(canonical=True)
    offset = ORIGIN_MM if qoffset is None else qoffset
    struct.pack_into(f"{order}6f", header, 256, x, y, z, *offset)
    struct.pack_into(f"{order}12f", header, 280, *np.ravel(rows))
    header[344:348] = b"n+1\0"
    return bytes(header) + data.astype(data.dtype.newbyteorder(order)).tobytes(order="F")


def nifti(name: str = "x.nii", **changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a NIfTI file."""

    def write(folder: Path) -> Path:
        content = nifti_bytes(**changes)
        path = folder / name
        path.write_bytes(gzip.compress(content, 1) if name.lower().endswith(".gz") else content)
        return path

    return write


FLIPPED = np.c_[DIRECTIONS * SPACING_MM * [-1, 1, 1], ORIGIN_MM + DIRECTIONS[:, 0] * 2.0 * (HU.shape[0] - 1)]
"""Matrix of the array that is stored from the other end of its first axis."""

NIFTI_INPUTS = {
    "nifti": ScanInput(nifti()),
    "nifti packed": ScanInput(nifti("x.nii.gz")),
    "nifti in capitals": ScanInput(nifti("X.NII.GZ")),
    "nifti big-endian": ScanInput(nifti(order=">")),
    "nifti qform alone": ScanInput(nifti(sform=0, qform=1)),
    "nifti both forms": ScanInput(nifti(sform=1, qform=1)),
    "nifti unsigned with an intercept": ScanInput(
        nifti(data=(HU + 1024).astype(np.uint16), code=512, intercept=-1024.0)
    ),
    "nifti floats": ScanInput(nifti(data=HU.astype(np.float64), code=64)),
    "nifti slope and intercept": ScanInput(
        nifti(data=(HU * 2).astype(np.int32), code=8, slope=0.5, intercept=0.0)
    ),
    "nifti micrometres": ScanInput(
        nifti(rows=matrix(scale=1000.0), pixdim=SPACING_MM * 1000, units=3),
        remarks=("it is in micrometres",),
    ),
    "nifti metres": ScanInput(
        nifti(rows=matrix(scale=0.001), pixdim=SPACING_MM / 1000, units=1), remarks=("it is in metres",)
    ),
    "nifti metres that are millimetres": ScanInput(nifti(units=1), refusal="is 96000 mm long by its header"),
    "nifti slope and intercept that are no numbers": ScanInput(
        nifti(slope=float("nan"), intercept=float("nan"))
    ),
    "nifti intercept beside a slope of 0": ScanInput(
        nifti(slope=0.0, intercept=1024.0), remarks=("a slope of 0, which means no scaling",)
    ),
    "nifti stored from the other end": ScanInput(nifti(data=HU[::-1], rows=FLIPPED)),
    "nifti with an axis of one": ScanInput(nifti(shape=(*HU.shape, 1))),
    "nifti without signs": ScanInput(
        nifti(data=(HU.astype(np.int64) % 65536).astype(np.uint16), code=512),
        refusal="values below 0 were stored without their sign",
    ),
    "nifti of twice the bytes": ScanInput(
        nifti(data=HU.astype(np.int32), code=4), refusal="holds 2 times the 84480 bytes of the voxels"
    ),
    "nifti packed of twice the bytes": ScanInput(
        nifti("x.nii.gz", data=HU.astype(np.int32), code=4), refusal="holds 2 times the 84480 bytes"
    ),
    "nifti whose checksum is another": ScanInput(
        lambda folder: _changed(
            nifti("x.nii.gz")(folder), lambda content: content[:-8] + b"1234" + content[-4:]
        ),
        refusal="CRC check failed",
    ),
    "nifti packed with other bytes behind": ScanInput(
        lambda folder: _changed(nifti("x.nii.gz")(folder), lambda content: content + b"other"),
        remarks=("behind its packed voxels, whose checksum fits, lie other bytes",),
    ),
    "nifti whose place was lost": ScanInput(
        nifti(rows=np.eye(3, 4), pixdim=np.ones(3)),
        remarks=("as where a program wrote an array without its place",),
        marks_mm=MARKS_VOX,
    ),
    "nifti offset of 1024": ScanInput(
        nifti(data=(HU + 1024).astype(np.int16)), options={"modality": "ct"}, remarks=("1024",)
    ),
    "nifti forms apart": ScanInput(
        nifti(qform=1, qoffset=ORIGIN_MM + 40.0), refusal="states two places: its sform and its qform"
    ),
    "nifti forms apart, told": ScanInput(
        nifti(qform=1, qoffset=ORIGIN_MM + 40.0),
        options={"geometry": "sform"},
        remarks=("the sform was taken, by --geometry",),
    ),
    "nifti no form": ScanInput(nifti(sform=0), refusal="sets neither sform nor qform"),
    "nifti four axes": ScanInput(
        nifti(data=np.stack([HU, HU], axis=-1)), refusal="expected one volume of 3 axes"
    ),
    "nifti of colours": ScanInput(nifti(code=128), refusal="expected one plain number a voxel"),
    "nifti cut short": ScanInput(
        lambda folder: _changed(nifti()(folder), lambda content: content[:-999]), refusal="cut short"
    ),
    "nifti packed under a plain name": ScanInput(
        lambda folder: _changed(nifti()(folder), gzip.compress),
        refusal="is packed, which its name does not say",
    ),
    "nifti plain under a packed name": ScanInput(
        lambda folder: nifti()(folder).rename(folder / "x.nii.gz"),
        refusal="is not packed, though its name says so",
    ),
    "nifti packed by bzip2": ScanInput(
        lambda folder: _changed(nifti()(folder), bz2.compress).rename(folder / "x.nii.bz2"),
        refusal="is packed (bzip2)",
    ),
    "nifti in a zip": ScanInput(lambda folder: _zipped(nifti()(folder)), refusal="is packed (zip)"),
    "nifti slice": ScanInput(nifti(data=HU[..., :1]), refusal="a single slice is not a volume"),
}


def _zipped(path: Path) -> Path:
    archive = path.with_name("scans.zip")
    with zipfile.ZipFile(archive, "w") as stream:
        stream.write(path, path.name)
    return archive


def _changed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


# NRRD (https://teem.sourceforge.net/nrrd/format.html)


def nrrd(
    name: str = "x.nrrd",
    *,
    space: str | None = "left-posterior-superior",
    signs: NDArray = LPS,
    scale: float = 1.0,
    encoding: str = "raw",
    extra: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
    pack: Callable[[bytes], bytes] = bytes,
    order: str = "little",
    data: NDArray | None = None,
    files: str = "",
    **changes: str,
) -> Callable[[Path], Path]:
    """Return a writer of a NRRD file; `changes` are fields, their spaces written as underscores."""
    data = HU if data is None else data

    def write(folder: Path) -> Path:
        vectors = (matrix() * signs[:, np.newaxis] * scale).T
        told = [f"({','.join(f'{value:.17g}' for value in vector)})" for vector in vectors]
        fields = {
            "type": "short",
            "dimension": "3",
            "space": space,
            "sizes": " ".join(map(str, data.shape)),
            "space directions": " ".join(told[:3]),
            "endian": order,
            "encoding": encoding,
            "space origin": told[3],
        } | {key.replace("_", " "): value for key, value in changes.items()}
        lines = ["NRRD0005", "# made by hand"]
        lines += [f"{key}: {value}" for key, value in fields.items() if value and key not in left_out]
        lines += [*extra, *([f"data file: {files}"] if files else [])]
        plain = data.astype(">i2" if order == "big" else "<i2")
        path = folder / name
        if files:
            _write_parts(folder, files, plain, pack)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            path.write_bytes("\n".join(lines).encode() + b"\n\n" + pack(plain.tobytes(order="F")))
        return path

    return write


def _write_parts(folder: Path, files: str, plain: NDArray, pack: Callable[[bytes], bytes]) -> None:
    """Write the voxels into the files that a header names: one, or one a slice."""
    if "%" in files or files.startswith("LIST"):
        pattern = "slice%02d.raw"
        for number in range(plain.shape[2]):
            (folder / (pattern % number)).write_bytes(pack(plain[..., number].tobytes(order="F")))
    else:
        (folder / files).write_bytes(pack(plain.tobytes(order="F")))


def as_text(content: bytes) -> bytes:
    """Return 16-bit numbers as text."""
    return "\n".join(map(str, np.frombuffer(content, "<i2"))).encode()


SLICE_FILES = "\n".join(f"slice{number:02d}.raw" for number in range(HU.shape[2]))
RAS, LAS = np.array([1.0, 1.0, 1.0]), np.array([-1.0, 1.0, 1.0])

NRRD_INPUTS = {
    "nrrd": ScanInput(nrrd()),
    "nrrd RAS": ScanInput(nrrd(space="right-anterior-superior", signs=RAS)),
    "nrrd LAS": ScanInput(nrrd(space="LAS", signs=LAS)),
    "nrrd gzip": ScanInput(nrrd(encoding="gzip", pack=gzip.compress)),
    "nrrd bzip2": ScanInput(nrrd(encoding="bzip2", pack=bz2.compress)),
    "nrrd text": ScanInput(nrrd(encoding="ascii", pack=as_text, left_out=("endian",))),
    "nrrd text of twice the numbers": ScanInput(
        nrrd(encoding="text", pack=lambda content: as_text(2 * content)),
        refusal="holds 2 times the 42240 numbers of the voxels",
    ),
    "nrrd hex": ScanInput(nrrd(encoding="hex", pack=lambda content: content.hex().encode())),
    "nrrd big-endian": ScanInput(nrrd(order="big")),
    "nrrd detached": ScanInput(nrrd("x.nhdr", files="x.raw")),
    "nrrd detached and packed": ScanInput(
        nrrd("x.nhdr", files="x.raw.gz", encoding="gz", pack=gzip.compress)
    ),
    "nrrd detached, a file a slice": ScanInput(
        nrrd("x.nhdr", files=f"slice%02d.raw 0 {HU.shape[2] - 1} 1 2")
    ),
    "nrrd detached, slices listed": ScanInput(nrrd("x.nhdr", files=f"LIST 2\n{SLICE_FILES}")),
    "nrrd with bytes before": ScanInput(nrrd(pack=lambda content: b"skipme" + content, byte_skip="6")),
    "nrrd in a file of several": ScanInput(
        nrrd("x.nhdr", files="x.raw", pack=lambda content: 3 * content, byte_skip=str(2 * HU.size))
    ),
    "nrrd packed in a file of several": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(3 * content), byte_skip=str(2 * HU.size))
    ),
    "nrrd from the end": ScanInput(nrrd(pack=lambda content: b"skipme" + content, byte_skip="-1")),
    "nrrd in centimetres": ScanInput(nrrd(scale=0.1, space_units='"cm" "cm" "cm"'), remarks=("it is in cm",)),
    "nrrd with a list of one": ScanInput(
        nrrd(
            data=HU[np.newaxis],
            dimension="4",
            space_directions="none "
            + " ".join(
                f"({','.join(f'{value:.17g}' for value in step)})"
                for step in (matrix()[:, :3] * LPS[:, np.newaxis]).T
            ),
        )
    ),
    "nrrd with returns": ScanInput(
        lambda folder: _changed(nrrd()(folder), lambda content: content.replace(b"\n", b"\r\n", 11)),
    ),
    "nrrd without a space": ScanInput(
        nrrd(space=None, dimension="3\nspace dimension: 3"), remarks=("does not say its space, taken as LPS",)
    ),
    "nrrd scanner": ScanInput(nrrd(space="scanner-xyz"), refusal="lies in the space scanner-xyz"),
    "nrrd without directions": ScanInput(
        nrrd(left_out=("space directions", "space origin", "space"), spacings="2 1.5 3"),
        refusal="left and right are unknown",
    ),
    "nrrd four axes": ScanInput(
        nrrd(
            data=np.stack([HU, HU]),
            dimension="4",
            space_directions="none (2,0,0) (0,2,0) (0,0,2)",
        ),
        refusal="expected one volume of 3 axes",
    ),
    "nrrd cut short": ScanInput(nrrd(pack=lambda content: content[:-99]), refusal="is cut short"),
    "nrrd packed and cut short": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(content)[:-999]), refusal="is cut short"
    ),
    "nrrd whose checksum is another": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(content)[:-8] + b"12345678"),
        refusal="cannot be read as NRRD",
    ),
    "nrrd packed of twice the bytes": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(2 * content)),
        refusal="holds 2 times the 84480 bytes of the voxels",
    ),
    "nrrd packed after a head": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(b"head" + content), extra=("byte skip: 4",))
    ),
    "nrrd packed from the end": ScanInput(
        nrrd(encoding="gzip", pack=lambda content: gzip.compress(b"head" + content), extra=("byte skip: -1",))
    ),
    "nrrd unknown packing": ScanInput(nrrd(encoding="zrl"), refusal="is packed as zrl"),
    "nrrd without its voxels": ScanInput(
        lambda folder: _without(nrrd("x.nhdr", files="x.raw")(folder), "x.raw"),
        refusal="names the file x.raw for its voxels, which is not there",
    ),
    "nrrd flat": ScanInput(
        nrrd(space_directions="(2,0,0) (2,0,0) (0,0,3)"), refusal="singular set of directions"
    ),
    "nrrd with a field twice": ScanInput(nrrd(extra=("type: short",)), refusal="says its type twice"),
    "nrrd of blocks": ScanInput(nrrd(type="block"), refusal="has voxels of type block"),
}


def _without(path: Path, name: str) -> Path:
    (path.parent / name).unlink()
    return path


# MetaImage (https://itk.org/Wiki/MetaIO/Documentation)


def metaimage(
    name: str = "x.mha",
    *,
    pack: Callable[[bytes], bytes] = bytes,
    files: str = "LOCAL",
    order: str = "<",
    dtype: str = "i2",
    data: NDArray | None = None,
    left_out: tuple[str, ...] = (),
    **changes: str,
) -> Callable[[Path], Path]:
    """Return a writer of a MetaImage file; `changes` are fields."""
    data = HU if data is None else data

    def write(folder: Path) -> Path:
        directions = (DIRECTIONS * LPS[:, np.newaxis]).T
        fields = {
            "ObjectType": "Image",
            "NDims": "3",
            "BinaryData": "True",
            "BinaryDataByteOrderMSB": str(order == ">"),
            "CompressedData": "False",
            "TransformMatrix": " ".join(f"{value:.12g}" for value in directions.ravel()),
            "Offset": " ".join(f"{value:.12g}" for value in ORIGIN_MM * LPS),
            "CenterOfRotation": "7 7 7",
            "AnatomicalOrientation": "RAI",
            "ElementSpacing": " ".join(map(str, SPACING_MM)),
            "DimSize": " ".join(map(str, data.shape)),
            "ElementType": "MET_SHORT",
        } | changes
        lines = [f"{key} = {value}" for key, value in fields.items() if key not in left_out]
        plain = data.astype(f"{order}{dtype}")
        path = folder / name
        header = ("\n".join(lines) + f"\nElementDataFile = {files}\n").encode()
        if files == "LOCAL":
            path.write_bytes(header + pack(plain.tobytes(order="F")))
        else:
            _write_parts(folder, files, plain, pack)
            path.write_bytes(header)
        return path

    return write


METAIMAGE_INPUTS = {
    "mha": ScanInput(metaimage()),
    "mha packed": ScanInput(metaimage(pack=zlib.compress, CompressedData="True")),
    "mha big-endian": ScanInput(metaimage(order=">")),
    "mha text": ScanInput(metaimage(pack=as_text, BinaryData="False")),
    "mha of 32 bits": ScanInput(metaimage(dtype="i4", ElementType="MET_INT")),
    "mhd": ScanInput(metaimage("x.mhd", files="x.raw")),
    "mhd packed": ScanInput(metaimage("x.mhd", files="x.zraw", pack=zlib.compress, CompressedData="True")),
    "mhd with a head before the voxels": ScanInput(
        metaimage("x.mhd", files="x.raw", pack=lambda content: b"head" + 3 * content, HeaderSize="4")
    ),
    "mhd from the end": ScanInput(
        metaimage("x.mhd", files="x.raw", pack=lambda content: b"head" + content, HeaderSize="-1")
    ),
    "mhd a file a slice": ScanInput(metaimage("x.mhd", files=f"slice%02d.raw 0 {HU.shape[2] - 1} 1")),
    "mhd slices listed": ScanInput(metaimage("x.mhd", files=f"LIST 2\n{SLICE_FILES}")),
    "mha position": ScanInput(
        metaimage(left_out=("Offset",), Position=" ".join(f"{value:.12g}" for value in ORIGIN_MM * LPS))
    ),
    "mha element size": ScanInput(
        metaimage(left_out=("ElementSpacing",), ElementSize=" ".join(map(str, SPACING_MM)))
    ),
    "mha other word for its orientation": ScanInput(metaimage(AnatomicalOrientation="LPS")),
    "mha without directions": ScanInput(
        metaimage(left_out=("TransformMatrix",)),
        remarks=("its axes are taken as those of LPS",),
        marks_mm=ORIGIN_MM + MARKS_VOX * SPACING_MM * LPS,
    ),
    "mha without an origin": ScanInput(
        metaimage(left_out=("Offset",)),
        remarks=("it gives no origin",),
        marks_mm=MARKS_MM - ORIGIN_MM,
    ),
    "mha slope and offset": ScanInput(
        metaimage(
            data=HU + 1024,
            ElementToIntensityFunctionSlope="1",
            ElementToIntensityFunctionOffset="-1024",
        ),
        remarks=("ITK programs take them as stored",),
    ),
    "mha channels": ScanInput(metaimage(ElementNumberOfChannels="3"), refusal="has 3 channels"),
    "mha four axes": ScanInput(
        metaimage(
            NDims="4",
            data=np.stack([HU, HU], axis=-1),
            TransformMatrix=" ".join(
                "1" if row == column else "0" for row in range(4) for column in range(4)
            ),
            Offset="0 0 0 0",
            ElementSpacing="2 1.5 3 1",
        ),
        refusal="expected one volume of 3 axes",
    ),
    "mha sheared": ScanInput(
        metaimage(TransformMatrix="1 0 0 0.2 1 0 0 0 1"), refusal="expected three unit vectors"
    ),
    "mha without a spacing": ScanInput(
        metaimage(left_out=("ElementSpacing",)), refusal="does not say its spacing"
    ),
    "mha negative spacing": ScanInput(
        metaimage(ElementSpacing="-2 1.5 3"), refusal="expected positive numbers"
    ),
    "mha cut short": ScanInput(metaimage(pack=lambda content: content[:-99]), refusal="is cut short"),
    "mha of twice the bytes": ScanInput(
        metaimage(dtype="i8", ElementType="MET_LONG"), refusal="holds 2 times the 168960 bytes of the voxels"
    ),
    "mha packed and cut short": ScanInput(
        metaimage(pack=lambda content: zlib.compress(content)[:-999], CompressedData="True"),
        refusal="is cut short",
    ),
    "mha that is not packed as it says": ScanInput(
        metaimage(CompressedData="True"), refusal="cannot be read as MetaImage"
    ),
    "mhd without its voxels": ScanInput(
        lambda folder: _without(metaimage("x.mhd", files="x.raw")(folder), "x.raw"),
        refusal="names the file x.raw for its voxels",
    ),
}


# DICOM folders


def stack(**changes: Any) -> Stack:
    """Return the scan as a series of slices; stored numbers are HU plus 1024."""
    steps = DIRECTIONS * LPS[:, np.newaxis]
    defaults: dict[str, Any] = {
        "stored": (HU + 1024).transpose(2, 1, 0).astype(np.int64),
        "orientation": (*steps[:, 0], *steps[:, 1]),
        "origin_mm": tuple(ORIGIN_MM * LPS),
        "step_mm": tuple(steps[:, 2] * SPACING_MM[2]),
        "between_rows_mm": SPACING_MM[1],
        "between_columns_mm": SPACING_MM[0],
    }
    return Stack(**(defaults | changes))


def series(**changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a folder of slices."""
    return lambda folder: stack(**changes).write(folder / "series")


def beside(*extras: Callable[[Path], Any], **changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a folder of slices with other files beside them."""

    def write(folder: Path) -> Path:
        path = series(**changes)(folder)
        for extra in extras:
            extra(path)
        return path

    return write


def other_series(folder: Path) -> None:
    """Write another series of three slices of another body."""
    stack(
        stored=np.full((3, 44, 48), 900) + np.arange(48), series=OTHER_SERIES, name="b{:d}.dcm".format
    ).write(folder)


def localizer(folder: Path) -> None:
    """Write a localizer of the same series."""
    dataset = stack().dataset(3)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    save(dataset, folder / "scout.dcm")


def single(sop_class: Any, modality: str, name: str) -> Callable[[Path], Any]:
    """Return a writer of an object that is no slice."""
    return lambda folder: save(plain_object(sop_class, modality=modality), folder / name)


def padded() -> NDArray[np.int64]:
    """Return stored numbers with the padding -2000 around the field of view, without its sign."""
    stored = HU.T.astype(np.int64) + 1024
    stored[:, :8] = stored[:, -8:] = -2000 % 65536
    return stored


def blobs() -> NDArray[np.int64]:
    """Return stored numbers of a body that is the same everywhere, with the marks as soft balls."""
    x, y, z = np.meshgrid(*map(np.arange, HU.shape), indexing="ij")
    values = np.full(HU.shape, 50.0)
    values[:3], values[:, :3] = -1000.0, -1000.0
    for mark in MARKS_VOX:
        distance = (np.stack([x, y, z], axis=-1) - mark) * SPACING_MM
        values += 900 * np.exp(-(distance**2).sum(axis=-1) / (2 * 3.0**2))
    return np.rint(values + 1024).astype(np.int64).transpose(2, 1, 0)


def tilted(degrees: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the step of a tilted gantry in LPS mm, and the marks when every slice is shifted by it."""
    lean = np.tan(np.radians(degrees)) * SPACING_MM[2]
    step = DIRECTIONS[:, 2] * SPACING_MM[2] + DIRECTIONS[:, 1] * lean
    marks_mm = ORIGIN_MM + MARKS_VOX[:, :2] * SPACING_MM[:2] @ DIRECTIONS[:, :2].T + MARKS_VOX[:, 2:] * step
    return step * LPS, marks_mm


def missing(*numbers: int) -> Callable[[Path], Any]:
    """Return what takes slices out of a folder."""

    def remove(folder: Path) -> None:
        for number in numbers:
            (folder / f"IM{number:04d}.dcm").unlink()

    return remove


def edited(**tags: Any) -> Callable[[Dataset, int], None]:
    """Return an edit that sets tags of every slice; None takes one out."""

    def edit(dataset: Dataset, k: int) -> None:
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit


def another_acquisition(folder: Path) -> None:
    """Write an acquisition of the same series that begins within the scan, between its slices."""
    start_mm = ORIGIN_MM + DIRECTIONS[:, 2] * SPACING_MM[2] * 10.4
    stack(origin_mm=tuple(start_mm * LPS), name="B{:04d}.dcm".format, edit=edited(AcquisitionNumber=2)).write(
        folder
    )


def thin_slices(folder: Path) -> None:
    """Write a thinner reconstruction of the same series that begins within the scan, between its slices."""
    start_mm = ORIGIN_MM + DIRECTIONS[:, 2] * SPACING_MM[2] * 10.4
    stack(origin_mm=tuple(start_mm * LPS), name="B{:04d}.dcm".format, edit=edited(SliceThickness="1")).write(
        folder
    )


def in_turns(keyword: str, *values: Any) -> Callable[[Dataset, int], None]:
    """Return an edit that gives slices two values of a tag in turn, 1 and 2 unless others are given."""
    return lambda dataset, k: setattr(dataset, keyword, (values or (1, 2))[k % 2])


def every_second_enhanced() -> NDArray[np.int64]:
    """Return the stored numbers of a body of which every second slice shows contrast agent."""
    values = blobs()
    values[1::2][values[1::2] > 500] += 150
    return values


def of_two_patients(dataset: Dataset, k: int) -> None:
    """Say of the upper slices that they are another patient's."""
    dataset.PatientID = "A" if k < HU.shape[2] // 2 else "B"


TILT_STEP, TILTED_MARKS_MM = tilted(15.0)

DICOM_INPUTS = {
    "dicom": ScanInput(series()),
    "dicom names in another order": ScanInput(series(name=lambda k: f"IM{(7 * k) % 20:04d}")),
    "dicom implicit": ScanInput(series(layout=Layout(syntax=ImplicitVRLittleEndian))),
    "dicom big-endian": ScanInput(series(layout=Layout(syntax=ExplicitVRBigEndian))),
    "dicom RLE": ScanInput(series(layout=Layout(syntax=RLELossless))),
    "dicom 12 bits in the middle": ScanInput(series(layout=Layout(bits_stored=12, high_bit=13))),
    "dicom every slice its own rescale": ScanInput(
        series(
            stored=np.stack(
                [(plane + 1024) * (1 + k % 3) for k, plane in enumerate(HU.transpose(2, 1, 0))]
            ).astype(int),
            slope=lambda k: 1.0 / (1 + k % 3),
        )
    ),
    "dicom without rescale, in HU": ScanInput(
        series(
            stored=HU.transpose(2, 1, 0).astype(int),
            layout=Layout(is_signed=True),
            slope=lambda k: None,
            intercept=lambda k: None,
        ),
        remarks=("it gives no rescale; its values look like HU",),
    ),
    "dicom without rescale, stored numbers": ScanInput(
        series(slope=lambda k: None, intercept=lambda k: None), remarks=("1024",)
    ),
    "dicom downwards": ScanInput(
        series(
            stored=(HU[..., ::-1] + 1024).transpose(2, 1, 0).astype(int),
            origin_mm=tuple((ORIGIN_MM + DIRECTIONS[:, 2] * 3.0 * (HU.shape[2] - 1)) * LPS),
            step_mm=tuple(-DIRECTIONS[:, 2] * 3.0 * LPS),
        )
    ),
    "dicom with a localizer": ScanInput(beside(localizer), remarks=("Left out scout.dcm: a localizer",)),
    "dicom with a copy": ScanInput(
        beside(lambda folder: shutil.copy(folder / "IM0003.dcm", folder / "copy.dcm")),
        remarks=("the same as",),
    ),
    "dicom with a report, a dose and notes": ScanInput(
        beside(
            single(REPORT_CLASS, "SR", "report"),
            single(DOSE_CLASS, "RTDOSE", "dose"),
            lambda folder: (folder / "notes.txt").write_text("seen", encoding="utf-8"),
        ),
        remarks=("RT Dose Storage", "Basic Text SR Storage", "notes.txt: not a DICOM file"),
    ),
    "dicom two series": ScanInput(beside(other_series), refusal="holds 2 DICOM series, expected one"),
    "dicom two series, one told": ScanInput(
        beside(other_series), options={"series": "1"}, remarks=("images of series 2",)
    ),
    "dicom two series, told by UID": ScanInput(
        beside(other_series), options={"series": SERIES}, remarks=("images of series 2",)
    ),
    "dicom two series, another told": ScanInput(
        beside(other_series), options={"series": "9"}, refusal="holds no series 9, but series 1"
    ),
    "dicom gantry tilt": ScanInput(
        series(stored=blobs(), step_mm=tuple(TILT_STEP)),
        remarks=("gantry tilt of 15.0 degrees; resampled onto a straight grid",),
        is_resampled=True,
        marks_mm=TILTED_MARKS_MM,
    ),
    "dicom two slices missing": ScanInput(
        beside(missing(1, 18), stored=blobs()),
        remarks=("has unequal slice gaps: 6.000 mm",),
        is_resampled=True,
    ),
    "dicom many slices missing": ScanInput(
        beside(missing(5, 6, 7, 8)),
        refusal="has unequal slice gaps: 15.000 mm between IM0004.dcm and IM0009.dcm",
    ),
    "dicom positions of four digits": ScanInput(
        series(
            edit=lambda dataset, k: setattr(
                dataset, "ImagePositionPatient", [f"{float(x):.4f}" for x in dataset.ImagePositionPatient]
            )
        )
    ),
    "dicom slice distances that lie": ScanInput(
        series(edit=edited(SpacingBetweenSlices="1", SliceThickness="9", SliceLocation="7"))
    ),
    "dicom padding without a sign": ScanInput(
        series(stored=padded(), edit=edited(PixelPaddingValue=63536)),
        refusal="values below 0 were stored without their sign",
    ),
    "dicom numbers with exponents": ScanInput(
        series(edit=edited(RescaleSlope="1E0", RescaleIntercept="-1.024E+03"))
    ),
    "dicom another acquisition among its slices": ScanInput(
        beside(another_acquisition, edit=edited(AcquisitionNumber=1)),
        refusal="holds 2 acquisitions whose slices lie among each other at unequal distances",
    ),
    "dicom taken in turns": ScanInput(
        series(edit=in_turns("AcquisitionNumber")),
        remarks=("holds 2 acquisitions whose slices lie among each other", "they are taken as one volume"),
    ),
    "dicom of two acquisitions in turns": ScanInput(
        series(edit=in_turns("AcquisitionNumber"), stored=every_second_enhanced()),
        refusal="their images differ more than those of each alone; put the slices of one in a folder",
    ),
    "dicom of two echoes in turns": ScanInput(
        series(edit=in_turns("EchoTime"), stored=every_second_enhanced()),
        refusal="holds 2 stacks whose slices lie among each other, such as IM0000.dcm (EchoTime 1",
    ),
    "dicom of two kernels in turns": ScanInput(
        series(edit=in_turns("ConvolutionKernel", "B30f", "B70f"), stored=every_second_enhanced()),
        refusal="holds 2 stacks whose slices lie among each other, such as IM0000.dcm (ConvolutionKernel B30f",
    ),
    "dicom of thick and thin slices at unequal distances": ScanInput(
        beside(thin_slices, edit=edited(SliceThickness="3")),
        refusal="(SliceThickness 3) and B0000.dcm (1); put the slices of one in a folder of its own",
    ),
    "dicom projections": ScanInput(
        series(edit=edited(ImageType=["DERIVED", "SECONDARY", "MIN IP"])),
        remarks=("a projection through several slices",),
    ),
    "dicom of two patients": ScanInput(
        series(edit=of_two_patients), refusal="IM0010.dcm: is of another patient than IM0000.dcm"
    ),
    "dicom mosaics": ScanInput(
        series(
            modality="MR",
            sop_class=MR_CLASS,
            edit=edited(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]),
        ),
        refusal="is a mosaic of all slices of a volume, which does not state their positions, expected grey slices",
    ),
    "dicom in metres": ScanInput(
        series(
            step_mm=tuple(DIRECTIONS[:, 2] * 0.003 * LPS), between_rows_mm=0.0015, between_columns_mm=0.002
        ),
        refusal="is 0.096 mm long by its header",
    ),
    "dicom in micrometres": ScanInput(
        series(
            step_mm=tuple(DIRECTIONS[:, 2] * 3000.0 * LPS), between_rows_mm=1500.0, between_columns_mm=2000.0
        ),
        refusal="is 96000 mm long by its header",
    ),
    "dicom far away": ScanInput(
        series(origin_mm=(1e7, 0.0, 0.0)), refusal="by its header, which is not a valid position"
    ),
    "dicom cut short": ScanInput(
        beside(lambda folder: _changed(folder / "IM0007.dcm", lambda content: content[:-300])),
        refusal="IM0007.dcm: is cut short",
    ),
    "dicom PET": ScanInput(
        series(sop_class=PET_CLASS, modality="PT"), refusal="PT (Positron Emission Tomography Image Storage)"
    ),
    "dicom PET that does not say so": ScanInput(
        series(sop_class=PET_CLASS, edit=edited(Modality="")),
        refusal="PT (Positron Emission Tomography Image Storage)",
    ),
    "dicom ultrasound": ScanInput(
        series(
            sop_class="1.2.840.10008.5.1.4.1.1.6.1",
            modality="US",
            edit=edited(ImagePositionPatient=None, ImageOrientationPatient=None),
        ),
        refusal="Ultrasound Image Storage",
    ),
    "dicom captures": ScanInput(
        series(
            sop_class=SECONDARY_CAPTURE_CLASS,
            edit=edited(ImagePositionPatient=None, ImageOrientationPatient=None),
        ),
        refusal="Secondary Capture Image Storage that does not state its position",
    ),
    "dicom one slice": ScanInput(
        lambda folder: series()(folder) / "IM0003.dcm", refusal="is one slice of a series; name the folder"
    ),
    "dicom empty folder": ScanInput(lambda folder: folder, refusal="The folder is empty"),
}


# Multi-frame DICOM


def item(**tags: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced(
    name: str = "enhanced.dcm",
    *,
    order: tuple[int, ...] = tuple(range(HU.shape[2])),
    has_own_rescale: bool = False,
    orientation_of_frames: bool = False,
    num_frames: int | None = None,
    edit: Callable[[Dataset], None] = lambda dataset: None,
    **changes: Any,
) -> Callable[[Path], Path]:
    """Return a writer of one enhanced CT whose frames are slices of the scan in some order."""

    def write(folder: Path) -> Path:
        slices = stack(**changes)
        factor = [1 + k % 3 if has_own_rescale else 1 for k in range(len(slices.stored))]
        dataset = slices.dataset(0)
        dataset.SOPClassUID = ENHANCED_CT_CLASS
        orientation = item(ImageOrientationPatient=[decimal(value) for value in slices.orientation])
        measures = item(PixelSpacing=[decimal(slices.between_rows_mm), decimal(slices.between_columns_mm)])
        for keyword in (
            *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
            *("RescaleSlope", "RescaleIntercept"),
        ):
            delattr(dataset, keyword)
        shared = item(PixelMeasuresSequence=Sequence([measures]))
        if not orientation_of_frames:
            shared.PlaneOrientationSequence = Sequence([orientation])
        if not has_own_rescale:
            rescale = item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")
            shared.PixelValueTransformationSequence = Sequence([rescale])
        groups = []
        for k in order:
            position = np.array(slices.origin_mm) + k * np.array(slices.step_mm)
            place = item(ImagePositionPatient=[decimal(value) for value in position])
            group = item(PlanePositionSequence=Sequence([place]))
            if orientation_of_frames:
                group.PlaneOrientationSequence = Sequence([orientation])
            if has_own_rescale:
                rescale = item(
                    RescaleSlope=decimal(1 / factor[k]), RescaleIntercept="-1024", RescaleType="HU"
                )
                group.PixelValueTransformationSequence = Sequence([rescale])
            groups.append(group)
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
        pixels = np.stack([slices.stored[k] * factor[k] for k in order])
        slices.layout.set(dataset, pixels[0])
        big_endian = slices.layout.syntax == ExplicitVRBigEndian
        dataset.PixelData = pixels.astype(">u2" if big_endian else "<u2").tobytes()
        dataset.NumberOfFrames = len(order) if num_frames is None else num_frames
        edit(dataset)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return save(dataset, path, syntax=slices.layout.syntax)

    return write


def kernels_of_frames(dataset: Dataset) -> None:
    """Say of every second frame that it was made with another kernel."""
    for k, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kernel = item(ConvolutionKernel="B70f" if k % 2 else "B30f")
        group.CTReconstructionSequence = Sequence([kernel])


def in_two_parts(number: int) -> Callable[[Path], Path]:
    """Return a writer of one half of an enhanced CT that was divided into two files, a concatenation."""

    def edit(dataset: Dataset) -> None:
        dataset.ConcatenationUID, dataset.SOPInstanceUID = f"{SERIES}.9", f"{SERIES}.{90 + number}"
        dataset.InConcatenationNumber, dataset.InConcatenationTotalNumber = number, 2

    half = HU.shape[2] // 2
    frames = tuple(range(half * (number - 1), half * number))
    return enhanced(f"part{number}.dcm", order=frames, edit=edit)


def _shuffled() -> tuple[int, ...]:
    return tuple(int(k) for k in np.random.default_rng(3).permutation(HU.shape[2]))


def in_folder(*writers: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """Return a writer of a folder."""

    def write(folder: Path) -> Path:
        for writer in writers:
            writer(folder)
        return folder

    return write


MULTI_FRAME_INPUTS = {
    "multi-frame": ScanInput(enhanced()),
    "multi-frame without an ending": ScanInput(enhanced("1.2.3.4")),
    "multi-frame in any order": ScanInput(enhanced(order=_shuffled())),
    "multi-frame every frame its own rescale": ScanInput(enhanced(has_own_rescale=True, order=_shuffled())),
    "multi-frame every frame its own orientation": ScanInput(enhanced(orientation_of_frames=True)),
    "multi-frame big-endian": ScanInput(enhanced(layout=Layout(syntax=ExplicitVRBigEndian))),
    "multi-frame RLE": ScanInput(enhanced(order=_shuffled(), layout=Layout(syntax=RLELossless))),
    "multi-frame alone in its folder": ScanInput(in_folder(enhanced())),
    "multi-frame with a report in its folder": ScanInput(
        in_folder(enhanced(), single(REPORT_CLASS, "SR", "report.dcm")), remarks=("Basic Text SR Storage",)
    ),
    "multi-frame one frame a file": ScanInput(
        in_folder(*(enhanced(f"{k}.dcm", order=(k,)) for k in range(HU.shape[2])))
    ),
    "multi-frame with a file of one frame": ScanInput(
        in_folder(enhanced(), enhanced("scout.dcm", order=(0,), series=OTHER_SERIES)),
        remarks=("Left out scout.dcm: the one image of",),
    ),
    "multi-frame one frame in a file beside plain slices": ScanInput(
        in_folder(lambda folder: stack().write(folder), enhanced("AAA.dcm", order=(0,))),
        remarks=("Left out AAA.dcm: the one image of",),
    ),
    "multi-frame a frame is missing": ScanInput(
        enhanced(order=tuple(k for k in range(HU.shape[2]) if k != 1), stored=blobs()),
        remarks=("between enhanced.dcm frame 1 and enhanced.dcm frame 2",),
        is_resampled=True,
    ),
    "multi-frame tilted": ScanInput(
        enhanced(stored=blobs(), step_mm=tuple(TILT_STEP)),
        remarks=("gantry tilt of 15.0 degrees",),
        is_resampled=True,
        marks_mm=TILTED_MARKS_MM,
    ),
    "multi-frame two phases": ScanInput(
        enhanced(
            order=(*range(20), *range(20)),
            edit=lambda dataset: setattr(
                dataset,
                "PixelData",
                dataset.PixelData[: len(dataset.PixelData) // 2] + bytes(20 * 48 * 44 * 2),
            ),
        ),
        refusal="lies at the same place as",
    ),
    "multi-frame frames that are not there": ScanInput(
        enhanced(num_frames=25), refusal="holds 25 frames and says of 20 where they lie"
    ),
    "multi-frame cut short": ScanInput(
        lambda folder: _changed(enhanced()(folder), lambda content: content[:-5000]), refusal="cut short"
    ),
    "multi-frame without places": ScanInput(
        enhanced(edit=lambda dataset: delattr(dataset, "PerFrameFunctionalGroupsSequence")),
        refusal="is a multi-frame file (20 frames, Enhanced CT Image Storage) that does not state their positions",
    ),
    "two multi-frame files": ScanInput(
        in_folder(enhanced("a.dcm"), enhanced("b.dcm")), refusal="holds 2 DICOM series, expected one"
    ),
    "multi-frame in two files": ScanInput(in_folder(in_two_parts(2), in_two_parts(1))),
    "multi-frame in two files, one named": ScanInput(
        in_two_parts(1), refusal="is one part of an image in 2 files, of which number 2 is not here"
    ),
    "multi-frame in two files, one there": ScanInput(
        in_folder(in_two_parts(2)), refusal="is one part of an image in 2 files, of which number 1 is not"
    ),
    "multi-frame two kernels in turns": ScanInput(
        enhanced(stored=every_second_enhanced(), edit=kernels_of_frames),
        refusal="frame 2 (B70f), and their images differ more than those of each alone; write the frames of one as",
    ),
    "multi-frame beside a series": ScanInput(
        in_folder(lambda folder: stack().write(folder), enhanced("b.dcm", series=OTHER_SERIES)),
        options={"series": "1"},
        remarks=("Left out b.dcm: the one image of series 2",),
    ),
}


# What is no scan


def text_as(name: str) -> Callable[[Path], Path]:
    """Return a writer of a file that is no volume."""

    def write(folder: Path) -> Path:
        (folder / name).write_text("nothing of the kind\n", encoding="utf-8")
        return folder / name

    return write


OTHER_INPUTS = {
    f"text called {name}": ScanInput(text_as(name), refusal=refusal)
    for name, refusal in (
        ("x.nii", "cannot be read as NIfTI"),
        ("x.nii.gz", "cannot be read as NIfTI"),
        ("x.nrrd", "is not a NRRD file"),
        ("x.mha", "is not a MetaImage file"),
        ("x.mgz", "is of a format that is not read"),
        ("x.png", "is of a format that is not read"),
        ("x.dcm", "cannot be read as NIfTI"),
    )
}

INPUTS: dict[str, ScanInput] = {
    **NIFTI_INPUTS,
    **NRRD_INPUTS,
    **METAIMAGE_INPUTS,
    **DICOM_INPUTS,
    **MULTI_FRAME_INPUTS,
    **OTHER_INPUTS,
}
