"""NIfTI files in and out: the only place that reads or writes voxels on disk.

Where a volume lies is judged in `nifti_geometry`. A file that cannot be used is refused with an error that names it;
what a reader has to correct or to choose comes back as remarks (`read_nifti`), so that nothing is corrected in silence.
"""

import gzip
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes import voxels
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES, VOLUME_SUFFIXES
from anatomical_embedding.volumes.grid import Grid, largest_distance_mm
from anatomical_embedding.volumes.nifti_geometry import SAME_PLACE_MM, place_of
from anatomical_embedding.volumes.volume import FoundVolume, Volume

WRITABLE_INTEGERS = (np.uint8, np.int16, np.uint16)

PLAIN_NUMBERS = "iuf"  # numpy's kinds of integers and floats; colours and complex numbers are others
SCANNER_CODE = 1  # "scanner anatomical" of the NIfTI standard
EXACT_IN_FLOAT32 = 2**24
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
NOT_PACKED = "Not a gzipped file"
"""How gzip begins what it says where another part should begin, after the checksum of the one before was compared."""
COPY_BYTES = 2**20
FLAG_BYTES, EXTENSION_SIZE_BYTES = 4, 4  # that say whether extensions follow a header, and how long one is
MOST_AXES = 7

READ_ERRORS = (OSError, EOFError, ValueError, OverflowError, zlib.error, ImageFileError, HeaderDataError)


@dataclass(frozen=True)
class VolumeHeader(Grid):
    """What a volume's file says before its voxels are read.

    Attributes
    ----------
    shape : number of voxels along X, Y and Z.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class _OpenFile:
    """A file with a sound header, its voxels not read yet."""

    path: Path
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    data_type: np.dtype
    first_byte: int
    slope: float
    intercept: float
    remarks: tuple[str, ...]


def read_header(path: Path | str, *, geometry: Geometry | None = None) -> VolumeHeader:
    """Return shape and affine of a NIfTI file, without its voxels.

    Raises
    ------
    InputFileError
        for everything that `read_nifti` refuses and that shows in the header.
    """
    found = _open_file(Path(path), geometry=geometry)
    return VolumeHeader(found.shape, found.affine)


def read_volume(path: Path | str, *, require_finite: bool = True, require_contrast: bool = True) -> Volume:
    """Return the volume in a NIfTI file that this project wrote; files from outside need `read_nifti` with its remarks.

    Raises
    ------
    InputFileError
        as `read_nifti`.
    """
    return read_nifti(
        path, geometry=None, require_finite=require_finite, require_contrast=require_contrast
    ).volume


def read_nifti(
    path: Path | str,
    *,
    geometry: Geometry | None,
    require_finite: bool = True,
    require_contrast: bool = True,
) -> FoundVolume:
    """Return the volume in a NIfTI file, with its stored scaling applied, in millimetres.

    Integers stay integers where slope and intercept are whole (a CT stored as uint16 with intercept -1024
    becomes int16); everything else becomes float32.

    Parameters
    ----------
    path : a `.nii` or `.nii.gz` file.
    geometry : form that places a volume whose header states two places; None refuses such a file.
    require_finite : refuse voxels that are NaN or infinite.
    require_contrast : refuse a volume of one constant value; label masks may be constant.

    Raises
    ------
    InputFileError
        if the file is missing, cut short or not a NIfTI; if it has not three axes of two or more voxels (further axes
        of length one are dropped); if its place is not sound (`nifti_geometry.place_of`); or if its voxels are not
        finite, constant or not plain numbers.
    """
    path = Path(path)
    found = _open_file(path, geometry=geometry)
    try:
        stored, behind = _stored_array(found)
    except (*READ_ERRORS, MemoryError) as error:
        raise _unreadable(path, error) from error
    array = voxels.scaled_values(stored, slope=found.slope, intercept=found.intercept)
    if require_finite:
        voxels.require_finite(array, path=path)
    if require_contrast:
        voxels.require_contrast(array, path=path)
    return FoundVolume(Volume(array, found.affine), (*found.remarks, *behind))


def map_volume(path: Path | str) -> Volume:
    """Return a volume whose array is the file itself, memory-mapped and read-only, in file order.

    Nothing is read before it is used, and several processes share one copy in memory.

    Raises
    ------
    InputFileError
        for a header that `read_volume` refuses, and for a file that cannot be mapped: compressed, scaled, or
        in foreign byte order.
    """
    path = Path(path)
    if path.suffix == ".gz":
        raise InputFileError(path, "is compressed, expected an uncompressed .nii; only those can be mapped")
    found = _open_file(path, geometry=None)
    if (found.slope, found.intercept) != (1.0, 0.0) or not found.data_type.isnative:
        raise InputFileError(path, "is scaled or in foreign byte order, so it cannot be mapped; rewrite it")
    try:
        array: NDArray = np.memmap(
            path, dtype=found.data_type, mode="r", offset=found.first_byte, shape=found.shape, order="F"
        )
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error
    return Volume(array, found.affine)


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write a volume atomically as `.nii` or `.nii.gz`, by name; equal volumes give equal bytes.

    Voxels are written in a type that holds them and that other programs read (`storable_type`).

    sform and qform both hold the affine, with code 1 (scanner). Where the qform cannot hold it, its code is
    0, so that no program trusts it: it has no shear, and its float32 quaternion is coarse for directions that
    are a fraction of a degree away from a half turn.

    Raises
    ------
    ValueError
        if the name ends differently, or the array has not three axes of plain numbers.
    """
    path = Path(path)
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise ValueError(f"{path}: expected a name that ends in .nii or .nii.gz")
    if volume.array.dtype.kind not in f"b{PLAIN_NUMBERS}" or volume.array.ndim != len("XYZ"):
        raise ValueError(f"{path}: cannot write {volume.array.ndim} axes of {volume.array.dtype}")
    array = volume.array.astype(storable_type(volume.array), copy=False)
    image = nibabel.Nifti1Image(array, volume.affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.header.set_sform(volume.affine, code=SCANNER_CODE)
    image.header.set_qform(volume.affine, code=SCANNER_CODE)
    qform_error_mm = largest_distance_mm(image.header.get_qform(), volume.affine, shape=volume.shape)
    if qform_error_mm > SAME_PLACE_MM:
        image.header["qform_code"] = 0
    with written_atomically(path) as temporary:
        nibabel.save(image, temporary)


def nifti_bytes(volume: Volume, *, compress: bool) -> bytes:
    """Return the content of the file that `write_volume` writes, quickly packed where asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii"
        write_volume(volume, path)
        content = path.read_bytes()
    return gzip.compress(content, compresslevel=1) if compress else content


def storable_type(array: NDArray) -> np.dtype:
    """Return the type that an array is written in: its own where all programs read it, else one that holds its values.

    int32 and wider integers and int8 are left out by some viewers and readers; their values are written as int16 or
    uint16 where they fit, else as floats that hold them exactly, up to 2**53.

    Examples
    --------
    >>> storable_type(np.array([-5, 3000])), storable_type(np.array([0, 70000]))
    (dtype('int16'), dtype('float32'))
    """
    own = array.dtype
    if own.kind == "b":
        return np.dtype(np.uint8)
    if own.kind == "f":
        return np.dtype(np.float64 if own.itemsize > np.dtype(np.float32).itemsize else np.float32)
    if own in WRITABLE_INTEGERS or not array.size:
        return own.newbyteorder("=")
    lowest, highest = int(array.min()), int(array.max())
    for small in (np.int16, np.uint16):
        if np.iinfo(small).min <= lowest and highest <= np.iinfo(small).max:
            return np.dtype(small)
    return np.dtype(np.float32 if max(-lowest, highest) <= EXACT_IN_FLOAT32 else np.float64)


def _open_file(path: Path, *, geometry: Geometry | None) -> _OpenFile:
    """Return a file whose header is sound: one volume of plain numbers, a place, and voxels that are there."""
    if path.is_dir():
        raise InputFileError(path, "is a folder, expected a NIfTI file; put the file there")
    if not path.is_file():
        raise InputFileError(path, "no such file; check the path")
    _require_named_packing(path)
    try:
        with ImageOpener(str(path)) as stream:
            header = _stored_header(stream.read(Nifti2Header.sizeof_hdr), path=path)
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error
    slope, intercept = _scaling_of(header, path=path)
    shape = _checked_shape(header, path=path)
    data_type = _checked_type(header, path=path)
    place = place_of(header, shape=shape, geometry=geometry, path=path)
    num_bytes = int(np.prod(shape, dtype=np.int64)) * data_type.itemsize
    first_byte, offset_remarks = _first_byte(header, num_bytes=num_bytes, path=path)
    _require_enough_bytes(path, first_byte + num_bytes)
    remarks = (*offset_remarks, *place.remarks, *_scaling_remark(header, is_scaled=slope is not None))
    slope = 1.0 if slope is None else slope
    return _OpenFile(path, shape, place.affine, data_type, first_byte, slope, intercept, remarks)


def _require_named_packing(path: Path) -> None:
    """Refuse a file that is packed in another way than its name says: what unpacks it goes by the name."""
    try:
        with path.open("rb") as stream:
            start = stream.read(Nifti2Header.sizeof_hdr)
        packing = next((name for mark, name in PACKINGS.items() if start.startswith(mark)), "")
        is_gzip = packing == "gzip"
        unpacked = zlib.decompressobj(GZIP_BITS).decompress(start, len(start)) if is_gzip else start
    except (OSError, zlib.error) as error:
        raise _unreadable(path, error) from error
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


def _unreadable(path: Path, error: BaseException) -> InputFileError:
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


def _stored_array(found: _OpenFile) -> tuple[NDArray, list[str]]:
    """Return the voxels as they are stored, and what is to be said of what lies behind them.

    A packed file is read to its end, behind which gzip compares the checksum: else voxels that changed on a disk or on
    the way would be taken as they are.
    """
    with ImageOpener(str(found.path)) as stream:
        place = (found.shape, found.data_type, found.first_byte)
        stored: NDArray = np.asanyarray(ArrayProxy(stream, place, mmap=False, order="F"))
        num_behind, remarks = 0, []
        if found.path.suffix.lower() == ".gz":
            try:
                while num_behind < stored.nbytes and (block := stream.read(COPY_BYTES)):
                    num_behind += len(block)
            except gzip.BadGzipFile as error:
                if NOT_PACKED not in str(error):  # such as a checksum that does not fit
                    raise
                remarks.append(
                    "behind its packed voxels, whose checksum fits, lie other bytes, which were left out"
                )
        else:
            num_behind = found.path.stat().st_size - found.first_byte - stored.nbytes
    voxels.require_no_more(num_behind, num_stated=stored.nbytes, path=found.path)
    _require_no_extension_in(found, num_behind=num_behind)
    return stored, remarks


def _require_no_extension_in(found: _OpenFile, *, num_behind: int) -> None:
    """Refuse a file to which an extension was added, but not to the offset: every voxel would be shifted by it."""
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
