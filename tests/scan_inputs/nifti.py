"""The marked scan as NIfTI, byte by byte (nifti1.h)."""

import bz2
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.scan_inputs.marked_scan import DIRECTIONS, HU, MARKS_VOX, ORIGIN_MM, SPACING_MM, ScanInput, matrix
from tests.scan_inputs.written_files import changed, zipped


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
        lambda folder: changed(
            nifti("x.nii.gz")(folder), lambda content: content[:-8] + b"1234" + content[-4:]
        ),
        refusal="CRC check failed",
    ),
    "nifti packed with other bytes behind": ScanInput(
        lambda folder: changed(nifti("x.nii.gz")(folder), lambda content: content + b"other"),
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
        lambda folder: changed(nifti()(folder), lambda content: content[:-999]), refusal="cut short"
    ),
    "nifti packed under a plain name": ScanInput(
        lambda folder: changed(nifti()(folder), gzip.compress),
        refusal="is packed, which its name does not say",
    ),
    "nifti plain under a packed name": ScanInput(
        lambda folder: nifti()(folder).rename(folder / "x.nii.gz"),
        refusal="is not packed, though its name says so",
    ),
    "nifti packed by bzip2": ScanInput(
        lambda folder: changed(nifti()(folder), bz2.compress).rename(folder / "x.nii.bz2"),
        refusal="is packed (bzip2)",
    ),
    "nifti in a zip": ScanInput(lambda folder: zipped(nifti()(folder)), refusal="is packed (zip)"),
    "nifti slice": ScanInput(nifti(data=HU[..., :1]), refusal="a single slice is not a volume"),
}
