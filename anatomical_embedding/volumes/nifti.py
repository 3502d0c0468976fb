"""NIfTI files in and out.

Whether a file is sound is judged in `nifti_file`, where it lies in `nifti_geometry`. A file that cannot be used is
refused with an error that names it; what a reader has to correct or to choose comes back as remarks (`read_nifti`), so
that nothing is corrected in silence.
"""

import gzip
import tempfile
from pathlib import Path

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.openers import ImageOpener
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.settings.volumes import Geometry
from anatomical_embedding.volumes import voxels
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES
from anatomical_embedding.volumes.grid import largest_distance_mm
from anatomical_embedding.volumes.nifti_file import (
    COPY_BYTES,
    PLAIN_NUMBERS,
    READ_ERRORS,
    OpenFile,
    open_file,
    require_no_extension_in,
    unreadable,
)
from anatomical_embedding.volumes.nifti_geometry import SAME_PLACE_MM
from anatomical_embedding.volumes.volume import FoundVolume, Volume, VolumeHeader

WRITABLE_INTEGERS = (np.uint8, np.int16, np.uint16)
SCANNER_CODE = 1  # "scanner anatomical" of the NIfTI standard
EXACT_IN_FLOAT32 = 2**24
NOT_PACKED = "Not a gzipped file"
"""How gzip begins what it says where another part should begin, after the checksum of the one before was compared."""


def read_header(path: Path | str, *, geometry: Geometry | None = None) -> VolumeHeader:
    """Return shape and affine of a NIfTI file, without its voxels.

    Raises
    ------
    InputFileError
        for everything that `read_nifti` refuses and that shows in the header.
    """
    found = open_file(Path(path), geometry=geometry)
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
    found = open_file(path, geometry=geometry)
    try:
        stored, behind = _stored_array(found)
    except (*READ_ERRORS, MemoryError) as error:
        raise unreadable(path, error) from error
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
    found = open_file(path, geometry=None)
    if (found.slope, found.intercept) != (1.0, 0.0) or not found.data_type.isnative:
        raise InputFileError(path, "is scaled or in foreign byte order, so it cannot be mapped; rewrite it")
    try:
        array: NDArray = np.memmap(
            path, dtype=found.data_type, mode="r", offset=found.first_byte, shape=found.shape, order="F"
        )
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
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


def _stored_array(found: OpenFile) -> tuple[NDArray, list[str]]:
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
    require_no_extension_in(found, num_behind=num_behind)
    return stored, remarks
