"""NIfTI files in and out: the only place that reads or writes voxels on disk.

The place of a volume in the world follows the NIfTI standard: the sform where its code is set, else the qform
where its code is set; a file with neither has no known orientation and is refused. A file that cannot be used
is refused with an error that names it; see `read_volume`.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.grid import largest_distance_mm
from anatomical_embedding.volumes.volume import Volume

NIFTI_SUFFIXES = (".nii.gz", ".nii")
WRITABLE_TYPES = (np.uint8, np.int16, np.uint16, np.float32)

PLAIN_NUMBERS = "iuf"  # numpy's kinds of integers and floats; colours and complex numbers are others
SCANNER_CODE = 1  # "scanner anatomical" of the NIfTI standard
LARGEST_INT16_SOURCE_BYTES = 2  # int16 and uint16 hold stored HU; wider integers keep their type
SMALLEST_DETERMINANT_RATIO = 1e-3  # |det| / product of column lengths: 1 when orthogonal, 0 when singular
LARGEST_QFORM_ERROR_MM = 0.05  # at the volume's corners

READ_ERRORS = (OSError, EOFError, ValueError, OverflowError, zlib.error, ImageFileError, HeaderDataError)


@dataclass(frozen=True)
class VolumeHeader:
    """What a volume's file says before its voxels are read.

    Attributes
    ----------
    shape : number of voxels along X, Y and Z.
    affine : (4, 4) float64, voxel index to world mm RAS+.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


def read_header(path: Path | str) -> VolumeHeader:
    """Return shape and affine of a NIfTI file, without its voxels.

    Raises
    ------
    InputFileError
        for everything that `read_volume` refuses and that shows in the header.
    """
    image = _open_image(Path(path))
    size_x, size_y, size_z = image.shape[:3]
    return VolumeHeader(shape=(size_x, size_y, size_z), affine=image.affine)


def read_volume(path: Path | str, *, require_finite: bool = True, require_contrast: bool = True) -> Volume:
    """Return the volume in a NIfTI file, with its stored scaling applied.

    Integers stay integers where slope and intercept are whole (a CT stored as uint16 with intercept -1024
    becomes int16); everything else becomes float32.

    Parameters
    ----------
    path : a `.nii` or `.nii.gz` file.
    require_finite : refuse voxels that are NaN or infinite.
    require_contrast : refuse a volume of one constant value; label masks may be constant.

    Raises
    ------
    InputFileError
        if the file is missing, cut short or not a NIfTI; if it has not three axes of two or more voxels (a
        fourth axis of length one is dropped); if its spacing is not positive and finite, its affine is
        singular, not finite or not set; or if its voxels are not finite, constant or not plain numbers.
    """
    path = Path(path)
    image = _open_image(path)
    try:
        stored = np.asanyarray(_stored_array(image).get_unscaled())
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error
    if stored.dtype.kind not in PLAIN_NUMBERS:
        raise InputFileError(path, f"has voxels of type {stored.dtype}, expected one plain number a voxel")
    slope, intercept = _scaling(image)
    array = _apply_scaling(stored.reshape(stored.shape[:3], order="F"), slope=slope, intercept=intercept)
    if require_finite:
        _require_finite(array, path=path)
    if require_contrast and array.min() == array.max():
        raise InputFileError(
            path, f"every voxel has the value {array.flat[0]}, expected an image; check how it was exported"
        )
    return Volume(array, image.affine)


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
    image = _open_image(path)
    data_type = image.header.get_data_dtype()
    if _scaling(image) != (1.0, 0.0) or not data_type.isnative:
        raise InputFileError(path, "is scaled or in foreign byte order, so it cannot be mapped; rewrite it")
    try:
        array: NDArray = np.memmap(
            path,
            dtype=data_type,
            mode="r",
            offset=_stored_array(image).offset,
            shape=image.shape[:3],
            order="F",
        )
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error
    return Volume(array, image.affine)


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write a volume atomically as `.nii` or `.nii.gz`, by name; equal volumes give equal bytes.

    sform and qform both hold the affine, with code 1 (scanner). Where the qform cannot hold it, its code is
    0, so that no program trusts it: it has no shear, and its float32 quaternion is coarse for directions that
    are a fraction of a degree away from a half turn.

    Raises
    ------
    ValueError
        if the name ends differently, or the array is not uint8, int16, uint16 or float32 with three axes.
    """
    path = Path(path)
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise ValueError(f"{path}: expected a name that ends in .nii or .nii.gz")
    if volume.array.dtype not in WRITABLE_TYPES or volume.array.ndim != len("XYZ"):
        raise ValueError(f"{path}: cannot write {volume.array.ndim} axes of {volume.array.dtype}")
    image = nibabel.Nifti1Image(volume.array, volume.affine, dtype=volume.array.dtype)
    image.header.set_xyzt_units("mm")
    image.header.set_sform(volume.affine, code=SCANNER_CODE)
    image.header.set_qform(volume.affine, code=SCANNER_CODE)
    qform_error_mm = largest_distance_mm(image.header.get_qform(), volume.affine, shape=volume.shape)
    if qform_error_mm > LARGEST_QFORM_ERROR_MM:
        image.header["qform_code"] = 0
    with written_atomically(path) as temporary:
        nibabel.save(image, temporary)


def _open_image(path: Path) -> nibabel.Nifti1Image:
    """Return a NIfTI image with a sound header, its voxels not read yet."""
    if path.is_dir():
        raise InputFileError(path, "is a folder, expected a NIfTI file; put the file there")
    if not path.is_file():
        raise InputFileError(path, "no such file; check the path")
    try:
        image = nibabel.load(path, mmap=False)
        if not isinstance(image, nibabel.Nifti1Image):
            raise InputFileError(
                path, f"is a {type(image).__name__}, expected a NIfTI file; convert it first"
            )
        # nibabel repairs broken headers silently, so the spacing is checked as it stands in the file.
        with ImageOpener(str(path)) as stream:
            stored_header = type(image.header).from_fileobj(stream, check=False)
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error
    _check_shape(image.shape, path=path)
    _check_stored_spacing(stored_header["pixdim"][1:4], path=path)
    _check_place(image, path=path)
    return image


def _unreadable(path: Path, error: Exception) -> InputFileError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputFileError(path, f"cannot be read as NIfTI, it is cut short or of another kind ({reason})")


def _check_shape(shape: tuple[int, ...], *, path: Path) -> None:
    spatial, others = shape[:3], shape[3:]
    if any(length != 1 for length in others):
        raise InputFileError(
            path, f"has shape {shape}, expected one volume of 3 axes; split the series into volumes first"
        )
    if len(spatial) != len("XYZ") or min(spatial) <= 1:
        raise InputFileError(
            path, f"has shape {shape}, expected 3 axes of 2 or more voxels; a single slice is no volume"
        )


def _check_stored_spacing(spacing_mm: NDArray, *, path: Path) -> None:
    if not np.all(np.isfinite(spacing_mm) & (spacing_mm > 0)):
        raise InputFileError(
            path, f"has spacing {spacing_mm.tolist()} mm, expected positive numbers; export it again"
        )


def _check_place(image: nibabel.Nifti1Image, *, path: Path) -> None:
    if image.header["sform_code"] <= 0 and image.header["qform_code"] <= 0:
        raise InputFileError(
            path,
            "sets neither sform nor qform, so left and right are unknown; export it with its orientation",
        )
    affine = image.affine
    if not np.isfinite(affine).all():
        raise InputFileError(path, "has an affine that is not finite; export it again")
    spacing_mm = spacing_from_affine(affine)
    if abs(np.linalg.det(affine[:3, :3])) <= SMALLEST_DETERMINANT_RATIO * spacing_mm.prod():
        raise InputFileError(
            path,
            f"has a singular affine {affine[:3, :3].tolist()}, so its axes span no volume; export it again",
        )


def _stored_array(image: nibabel.Nifti1Image) -> ArrayProxy:
    return cast(ArrayProxy, image.dataobj)


def _scaling(image: nibabel.Nifti1Image) -> tuple[float, float]:
    """Return slope and intercept of the stored values; (1, 0) where the header leaves them out."""
    stored = _stored_array(image)
    return float(stored.slope), float(stored.inter)


def _apply_scaling(stored: NDArray, *, slope: float, intercept: float) -> NDArray:
    """Return `slope * stored + intercept`, as integers where that loses nothing, else as float32."""
    if stored.dtype.kind in "iu" and slope == 1.0 and intercept.is_integer():
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return native if intercept == 0.0 else _shift_integers(native, int(intercept))
    scaled = stored.astype(np.float32)
    if (slope, intercept) != (1.0, 0.0):
        scaled *= np.float32(slope)
        scaled += np.float32(intercept)
    return scaled


def _shift_integers(stored: NDArray, intercept: int) -> NDArray:
    """Return the sum in int16 where every value fits, else in int64."""
    lowest, highest = int(stored.min()) + intercept, int(stored.max()) + intercept
    limits = np.iinfo(np.int16)
    fits = limits.min <= lowest and highest <= limits.max
    if fits and stored.dtype.itemsize <= LARGEST_INT16_SOURCE_BYTES:
        # Wraps in uint16, which is the right sum modulo 2**16 and so the right int16.
        return (stored.astype(np.uint16) + np.uint16(intercept % 2**16)).astype(np.int16)
    return stored.astype(np.int64) + intercept


def _require_finite(array: NDArray, *, path: Path) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    count = int(array.size - np.isfinite(array).sum())
    raise InputFileError(
        path,
        f"has {count} of {array.size} voxels that are NaN or infinite; replace them by air or background",
    )
