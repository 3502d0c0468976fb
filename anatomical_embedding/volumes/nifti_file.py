"""A NIfTI file whose header is sound, before its voxels are read: how it is packed, their number, type and beginning.

Where the volume lies is judged in `nifti_geometry`.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes import voxels
from anatomical_embedding.volumes.file_names import VOLUME_SUFFIXES
from anatomical_embedding.volumes.nifti_geometry import place_of

PLAIN_NUMBERS = "iuf"  # numpy's kinds of integers and floats; colours and complex numbers are others
MOST_COMPRESSED = 1032
"""Bytes that deflate packs into one at most: a header that claims more is not followed by its voxels."""
PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"Rar!": "RAR",
}
"""First bytes of packed files."""
GZIP_BITS = zlib.MAX_WBITS | 16  # of zlib, for a gzip header
COPY_BYTES = 2**20
FLAG_BYTES, EXTENSION_SIZE_BYTES = 4, 4  # that say whether extensions follow a header, and how long one is
MOST_AXES = 7

READ_ERRORS = (OSError, EOFError, ValueError, OverflowError, zlib.error, ImageFileError, HeaderDataError)


@dataclass(frozen=True)
class OpenFile:
    """A file with a sound header, its voxels not read yet.

    Attributes
    ----------
    path : the file.
    shape : number of voxels along X, Y and Z.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    data_type, first_byte : how the voxels are stored, and where they begin in the unpacked file.
    slope, intercept : what scales them; 1 and 0 where nothing does.
    remarks : what had to be corrected or chosen, a sentence each.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    data_type: np.dtype
    first_byte: int
    slope: float
    intercept: float
    remarks: tuple[str, ...]


def open_file(path: Path, *, geometry: Geometry | None) -> OpenFile:
    """Return a file whose header is sound: one volume of plain numbers, a place, and voxels that are there.

    Parameters
    ----------
    path : a `.nii` or `.nii.gz` file.
    geometry : form that places a volume whose header states two places; None refuses such a file.

    Raises
    ------
    InputFileError
        naming what is not sound.
    """
    if path.is_dir():
        raise InputFileError(path, "is a folder, expected a NIfTI file; put the file there")
    if not path.is_file():
        raise InputFileError(path, "no such file; check the path")
    _require_named_packing(path)
    try:
        with ImageOpener(str(path)) as stream:
            header = _stored_header(stream.read(Nifti2Header.sizeof_hdr), path=path)
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    slope, intercept = _scaling_of(header, path=path)
    shape = _checked_shape(header, path=path)
    data_type = _checked_type(header, path=path)
    place = place_of(header, shape=shape, geometry=geometry, path=path)
    num_bytes = int(np.prod(shape, dtype=np.int64)) * data_type.itemsize
    first_byte, offset_remarks = _first_byte(header, num_bytes=num_bytes, path=path)
    _require_enough_bytes(path, first_byte + num_bytes)
    remarks = (*offset_remarks, *place.remarks, *_scaling_remark(header, is_scaled=slope is not None))
    slope = 1.0 if slope is None else slope
    return OpenFile(path, shape, place.affine, data_type, first_byte, slope, intercept, remarks)


def _require_named_packing(path: Path) -> None:
    """Refuse a file that is packed in another way than its name says: what unpacks it goes by the name."""
    try:
        with path.open("rb") as stream:
            start = stream.read(Nifti2Header.sizeof_hdr)
        packing = next((name for mark, name in PACKINGS.items() if start.startswith(mark)), "")
        is_gzip = packing == "gzip"
        unpacked = zlib.decompressobj(GZIP_BITS).decompress(start, len(start)) if is_gzip else start
    except (OSError, zlib.error) as error:
        raise unreadable(path, error) from error
    is_nifti = any(kind.may_contain_header(unpacked) for kind in (Nifti1Header, Nifti2Header))
    is_named_gzip = path.suffix.lower() == ".gz"
    if is_nifti and is_gzip != is_named_gzip:
        packed = "packed, which its name does not say; let it end in .nii.gz"
        unpacked_only = "not packed, though its name says so; let it end in .nii"
        raise InputFileError(path, f"is {packed if is_gzip else unpacked_only}")
    if packing and not is_gzip:
        raise InputFileError(path, f"is packed ({packing}); unpack it and name what it holds")


def _stored_header(content: bytes, *, path: Path) -> Nifti1Header:
    """Return the header as it is stored: nibabel would repair it in silence."""
    for kind in (Nifti1Header, Nifti2Header):
        if kind.may_contain_header(content):
            # nibabel would tell the byte order by the number of axes, which may be the fault.
            is_little = int.from_bytes(content[:4], "little") == kind.sizeof_hdr
            header = kind(content[: kind.sizeof_hdr], "<" if is_little else ">", check=False)
            if not bytes(header["magic"]).startswith(b"n+"):
                raise InputFileError(
                    path, "is one half of a .hdr/.img pair, expected a single .nii; convert it"
                )
            return header
    raise InputFileError(
        path,
        f"cannot be read as NIfTI: it is cut short, or no image; expected {', '.join(VOLUME_SUFFIXES)}, a DICOM file "
        "or a folder of one series",
    )


def _first_byte(header: Nifti1Header, *, num_bytes: int, path: Path) -> tuple[int, list[str]]:
    """Return where the voxels begin: an offset that lies within the header means its end."""
    stated = float(header["vox_offset"])
    header_end = header.single_vox_offset
    if np.isfinite(stated) and stated >= header_end and stated.is_integer():
        return int(stated), []
    if not np.isfinite(stated) or stated < 0 or stated > header_end:
        raise InputFileError(
            path,
            f"says that its voxels begin at byte {stated:g}, which is not a valid position; export it again",
        )
    with ImageOpener(str(path)) as stream:
        content_start, length = _start_and_length(stream, header_end=header_end)
    # Some writers leave out the four bytes that say whether extensions follow.
    is_bare = length == header.sizeof_hdr + num_bytes
    if not is_bare and content_start[header.sizeof_hdr : header.sizeof_hdr + 1] not in {b"", b"\0"}:
        raise InputFileError(
            path,
            f"says that its voxels begin at byte {stated:g}, within its header, and has extensions behind it, so "
            "their beginning is unknown; export it again",
        )
    found = header.sizeof_hdr if is_bare else header_end
    return found, [f"its voxels begin at byte {found}, behind its header, which says {stated:g}"]


def require_no_extension_in(found: OpenFile, *, num_behind: int) -> None:
    """Refuse a file to which an extension was added, but not to the offset: every voxel would be shifted by it.

    Parameters
    ----------
    num_behind : bytes of the unpacked file behind those that the voxels take.

    Raises
    ------
    InputFileError
        if so many bytes are an extension where the voxels begin by the header.
    """
    header_ends = (Nifti1Header.single_vox_offset, Nifti2Header.single_vox_offset)
    if not num_behind or found.first_byte not in header_ends:
        return
    with ImageOpener(str(found.path)) as stream:
        start = stream.read(found.first_byte + EXTENSION_SIZE_BYTES)
    size = start[found.first_byte :]
    has_extension = start[found.first_byte - FLAG_BYTES] != 0
    if has_extension and num_behind in (int.from_bytes(size, "little"), int.from_bytes(size, "big")):
        raise InputFileError(
            found.path,
            f"has an extension of {num_behind} bytes where its voxels begin by its header (byte {found.first_byte}), "
            "and as many bytes more than they take; correct vox_offset, or export it again",
        )


def _start_and_length(stream: ImageOpener, *, header_end: int) -> tuple[bytes, int]:
    """Return the first bytes of a file and the number of all, unpacked."""
    start = stream.read(header_end)
    length = len(start)
    while block := stream.read(COPY_BYTES):
        length += len(block)
    return start, length


def _require_enough_bytes(path: Path, num_bytes: int) -> None:
    """Refuse a file that cannot hold its voxels, before memory for them is asked for."""
    size = path.stat().st_size
    held = size * MOST_COMPRESSED if path.suffix.lower() == ".gz" else size
    if held < num_bytes:
        raise InputFileError(
            path,
            f"cannot be read as NIfTI, it is cut short: its header asks for {num_bytes} bytes, the file has {size}",
        )


def _scaling_of(header: Nifti1Header, *, path: Path) -> tuple[float | None, float]:
    """Return slope and intercept of the values; no slope, and 0, where the header says that they are not scaled."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0 or not np.isfinite(slope):
        return None, 0.0
    if not np.isfinite(intercept):
        raise InputFileError(
            path,
            f"has the slope {slope:g} and the intercept {intercept:g} (scl_inter) for its values, expected two "
            "numbers; export it again",
        )
    return slope, intercept


def _scaling_remark(header: Nifti1Header, *, is_scaled: bool) -> list[str]:
    intercept = float(header["scl_inter"])
    if is_scaled or intercept == 0.0 or not np.isfinite(intercept):
        return []
    return [
        f"its intercept {intercept:g} stands beside a slope of {float(header['scl_slope']):g}, "
        "which means no scaling; the values were taken as stored"
    ]


def unreadable(path: Path, error: BaseException) -> InputFileError:
    """Return what to say of a file that cannot be read, as the reader says it."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputFileError(path, f"cannot be read as NIfTI: it is cut short, or no NIfTI file ({reason})")


def _checked_type(header: Nifti1Header, *, path: Path) -> np.dtype:
    code = int(header["datatype"])
    try:
        data_type = header.get_data_dtype()
    except (KeyError, HeaderDataError) as error:
        raise InputFileError(
            path, f"has voxels of an unknown type (code {code}), expected one plain number a voxel"
        ) from error
    if data_type.kind not in PLAIN_NUMBERS:
        raise InputFileError(path, f"has voxels of type {data_type}, expected one plain number a voxel")
    return data_type


def _checked_shape(header: Nifti1Header, *, path: Path) -> tuple[int, int, int]:
    num_axes = int(header["dim"][0])
    if not 1 <= num_axes <= MOST_AXES:
        raise InputFileError(path, f"has {num_axes} axes by its header, expected 3; export it again")
    return voxels.require_one_volume([int(length) for length in header["dim"][1 : num_axes + 1]], path=path)
