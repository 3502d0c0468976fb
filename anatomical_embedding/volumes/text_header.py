"""Volumes whose header is text, NRRD and MetaImage: what their headers say in common, and their voxels.

ITK reads both, but not to be relied on: it knows no bzip2, it takes some voxels that cannot be unpacked as they lie in
memory (MetaImage, SimpleITK 2.5.7), and it does not say what it assumes where a header is silent about the place. So
headers are read here, and voxels by their layout.
"""

import bz2
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.volumes import voxels
from anatomical_embedding.volumes.nifti_file import COPY_BYTES, MOST_COMPRESSED
from anatomical_embedding.volumes.nifti_geometry import fault_of, require_extent
from anatomical_embedding.volumes.volume import FoundVolume, Volume

Encoding = Literal["raw", "deflate", "bzip2", "text", "hex"]
GZIP_OR_ZLIB = 47
"""Of `zlib.decompressobj`: it recognises either head."""
FROM_THE_END = -1
MOST_HEADER_BYTES = 2**22
MOST_VOXELS = 2**40
"""Beyond this a size is no size; arithmetic with it would overflow."""
MM_PER_UNIT = {"mm": 1.0, "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "cm": 10.0, "m": 1000.0}


@dataclass(frozen=True)
class TextHeader:
    """What a text header says of its volume.

    Attributes
    ----------
    path : of the header.
    kind : name of the format.
    shape : length of every axis of the voxels, the fastest first.
    affine : (4, 4) voxel to world mm RAS+ along the axes in `spatial_axes`.
    spatial_axes : numbers of the three axes that lie in space.
    data_type : of one voxel, in its byte order.
    encoding : how the voxels are packed.
    files : that hold them, one after the other.
    first_byte : of the voxels in each file; -1 takes the last bytes that are enough.
    skipped_lines : before the packed voxels of each file.
    skipped_bytes : after unpacking; -1 takes the last bytes that are enough.
    slope, intercept : of the values.
    remarks : what was corrected or assumed.
    keys : free pairs of key and value.
    """

    path: Path
    kind: str
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    spatial_axes: tuple[int, ...]
    data_type: np.dtype
    encoding: Encoding
    files: tuple[Path, ...]
    first_byte: int = 0
    skipped_lines: int = 0
    skipped_bytes: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    remarks: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Number of voxels along the three axes in space.

        Raises
        ------
        InputFileError
            if it is no volume, or there are further axes.
        """
        others = [length for axis, length in enumerate(self.shape) if axis not in self.spatial_axes]
        return voxels.require_one_volume(
            [*(self.shape[axis] for axis in self.spatial_axes), *others], path=self.path
        )


def read_text(path: Path, kind: str) -> bytes:
    """Return the beginning of a file, which holds its header.

    Raises
    ------
    InputFileError
        if the file is not there or may not be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_HEADER_BYTES)
    except OSError as error:
        raise InputFileError(path, f"cannot be read as {kind}: {error.strerror}; check the path") from error


def numbers_of(text: str, count: int, *, name: str, path: Path) -> list[float]:
    """Return the numbers in the value of a field.

    Raises
    ------
    InputFileError
        naming the field, if there are not as many finite ones.
    """
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputFileError(path, f"has {text!r} for {name}, expected {count} numbers; export it again")
    return values


def sizes_of(text: str, *, name: str, path: Path) -> tuple[int, ...]:
    """Return the lengths of the axes.

    Raises
    ------
    InputFileError
        if one is no whole number above 0, or they make more voxels than any file holds.
    """
    parts = text.split()
    if not parts or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise InputFileError(
            path, f"has {text!r} for {name}, expected the length of every axis; export it again"
        )
    sizes = tuple(int(part) for part in parts)
    if math.prod(sizes) > MOST_VOXELS:
        raise InputFileError(path, f"has {text!r} for {name}, more voxels than a scan has; export it again")
    return sizes


def unit_of(unit: str) -> tuple[float, list[str]]:
    """Return the length of a unit in mm, and what is to be said of it."""
    if unit in MM_PER_UNIT:
        remarks = [] if unit == "mm" else [f"it is in {unit}, by its header; turned into millimetres"]
        return MM_PER_UNIT[unit], remarks
    return 1.0, [f"its unit of length is unknown ({unit!r}), taken as millimetres"]


def world_affine(
    directions: NDArray[np.float64], origin: Sequence[float], *, to_ras: Sequence[float], path: Path
) -> NDArray[np.float64]:
    """Return the (4, 4) affine of steps and an origin in mm.

    Parameters
    ----------
    directions : (3, 3), the step of one voxel along each axis, a row an axis.
    origin : (3,) centre of the first voxel.
    to_ras : signs of its coordinates in RAS+.

    Raises
    ------
    InputFileError
        if the axes span no volume.
    """
    affine = np.eye(4)
    affine[:3, :3] = directions.T
    affine[:3, 3] = origin
    affine[:3] *= np.reshape(to_ras, (3, 1))
    fault = fault_of(affine, name="set of directions")
    if fault:
        raise InputFileError(path, f"has {fault}; export it again")
    return affine


def sibling_files(names: Sequence[str], *, path: Path) -> tuple[Path, ...]:
    """Return the files that a header names, relative to it.

    Raises
    ------
    InputFileError
        naming the header and the first file that is not there.
    """
    files = tuple(path.parent / name for name in names)
    for file in files:
        if not file.is_file():
            raise InputFileError(
                path, f"names the file {file.name} for its voxels, which is not there; copy it too"
            )
    return files


def numbered_names(pattern: str, bounds: Sequence[str], *, path: Path) -> list[str]:
    """Return the names of a pattern such as `slice%03d.raw` for numbers from, to and by.

    Raises
    ------
    InputFileError
        if the pattern or the numbers are none.
    """
    try:
        first, last, step = (int(bound) for bound in bounds[:3])
        names = [pattern % number for number in range(first, last + (1 if step > 0 else -1), step)]
    except (ValueError, TypeError) as error:
        raise InputFileError(
            path, f"names its files by {' '.join([pattern, *bounds])!r}, expected a pattern and three numbers"
        ) from error
    return names


def read_stored(header: TextHeader) -> NDArray:
    """Return the voxels as they are stored, all axes, the fastest first.

    Raises
    ------
    InputFileError
        naming the file, if voxels are missing, or cannot be unpacked.
    """
    num_voxels = math.prod(header.shape)
    if num_voxels % len(header.files):
        raise InputFileError(header.path, f"spreads its voxels unevenly over {len(header.files)} files")
    parts = [_numbers_in(file, header, count=num_voxels // len(header.files)) for file in header.files]
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return joined.reshape(header.shape, order="F")


def _numbers_in(file: Path, header: TextHeader, *, count: int) -> NDArray:
    """Return (count,) numbers of one file."""
    num_bytes = count * header.data_type.itemsize
    try:
        packed = memoryview(file.read_bytes())
        _require_enough(len(packed), header, file=file, num_bytes=num_bytes, count=count)
        packed = packed[header.first_byte :] if header.first_byte >= 0 else packed[-num_bytes:]
        for _ in range(header.skipped_lines):
            packed = packed[bytes(packed).index(b"\n") + 1 :]
        if header.encoding == "text":
            numbers = bytes(packed).split()
            _require_no_more(len(numbers) - count, header, num_stated=count, file=file, counted="numbers")
            found = np.array(numbers[:count]).astype(header.data_type)
        else:
            content = _unpacked(packed, header, num_bytes=num_bytes, file=file)
            whole = min(count, len(content) // header.data_type.itemsize)
            found = np.frombuffer(content, header.data_type, count=whole)
    except (OSError, EOFError, ValueError, OverflowError, zlib.error, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputFileError(
            file, f"cannot be read as {header.kind}, it is cut short or broken ({reason})"
        ) from error
    if len(found) < count:
        raise InputFileError(file, f"is cut short: {len(found)} of {count} voxels are there; copy it again")
    return found


def _require_enough(size: int, header: TextHeader, *, file: Path, num_bytes: int, count: int) -> None:
    """Refuse a file that cannot hold its voxels, before memory for them is asked for."""
    least = {
        "raw": num_bytes,
        "deflate": num_bytes // MOST_COMPRESSED,
        "text": 2 * count - 1,
        "hex": 2 * num_bytes,
    }.get(header.encoding, 0)
    if size < least:
        raise InputFileError(
            file, f"is cut short: its header asks for {num_bytes} bytes of voxels, the file has {size}"
        )


def _require_no_more(
    num_behind: int, header: TextHeader, *, num_stated: int, file: Path, counted: str = "bytes"
) -> None:
    """Refuse a file of far more than its voxels, unless the header says where in it these lie: it may hold others."""
    states_first_byte = header.first_byte > 0 and file != header.path
    if not states_first_byte and header.skipped_bytes == 0 and header.skipped_lines == 0:
        voxels.require_no_more(num_behind, num_stated=num_stated, path=file, counted=counted)


def _unpacked(packed: memoryview, header: TextHeader, *, num_bytes: int, file: Path) -> memoryview:
    """Return the bytes of the voxels of one file, fewer where it is cut short; what is packed fits its checksum."""
    skipped = max(header.skipped_bytes, 0)
    from_the_end = header.skipped_bytes == FROM_THE_END
    limit = -1 if from_the_end else num_bytes + skipped
    if header.encoding == "deflate":
        unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
        content = unpacker.decompress(packed, max(limit, 0))
        num_behind = 0
        while not unpacker.eof and len(content) >= limit and num_behind < num_bytes:
            rest = unpacker.decompress(unpacker.unconsumed_tail, COPY_BYTES)
            num_behind += len(rest)
            if not rest and not unpacker.unconsumed_tail and not unpacker.eof:
                raise EOFError("it ends before the checksum of what is packed in it")
        _require_no_more(num_behind, header, num_stated=num_bytes, file=file)
    elif header.encoding == "bzip2":
        content = bz2.BZ2Decompressor().decompress(packed, limit)
    elif header.encoding == "hex":
        content = bytes.fromhex(bytes(packed).decode("ascii"))
        _require_no_more(len(content) - num_bytes, header, num_stated=num_bytes, file=file)
    else:
        _require_no_more(len(packed) - num_bytes, header, num_stated=num_bytes, file=file)
        return packed[-num_bytes:] if from_the_end else packed[skipped : skipped + num_bytes]
    return memoryview(content)[-num_bytes:] if from_the_end else memoryview(content)[skipped:]


def volume_of(header: TextHeader, *, require_contrast: bool) -> FoundVolume:
    """Return the one volume that a text header describes.

    Raises
    ------
    InputFileError
        if it is no volume, has no sound place, or its voxels are missing, not finite or constant.
    """
    shape = header.volume_shape
    require_extent(header.affine, shape=shape, unit="mm", path=header.path)
    stored = np.moveaxis(read_stored(header), header.spatial_axes, range(len(shape))).reshape(
        shape, order="F"
    )
    array = voxels.scaled_values(stored, slope=header.slope, intercept=header.intercept)
    voxels.require_finite(array, path=header.path)
    if require_contrast:
        voxels.require_contrast(array, path=header.path)
    if not array.flags.writeable:  # the bytes of the file themselves
        array = array.copy(order="K")
    return FoundVolume(Volume(array, header.affine), header.remarks)
