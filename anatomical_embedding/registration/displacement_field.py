"""The whole map of a registration as displacements, and what it does to points and volumes.

A field lives on the fixed grid: the moving place of a fixed point x is x + u(x), world mm RAS+. Files hold LPS
components, as ITK programs read them. Beyond its grid a field goes on with its outermost displacements.
"""

import gzip
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.errors import InputFileError, OutputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.volumes.affine import (
    Points,
    grid_planes,
    invert_affine,
    spacing_from_affine,
    transform_points,
)
from anatomical_embedding.volumes.nifti_file import COPY_BYTES
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

HEADER_BYTES, VOXEL_OFFSET_AT, COMMENT_CODE = 352, 108, 6
"""Of NIfTI-1: header with the four bytes that tell of extensions, its field `vox_offset`, a comment among them."""
VOXELS_MARK = b"\nof voxels with CRC-32 "
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
LPS_SIGNS = np.array([-1, -1, 1], dtype=np.int8)
"""Of the components of a vector; small integers leave its number format as it is."""


@dataclass(frozen=True)
class DisplacementField:
    """Displacements of the voxels of a grid.

    Attributes
    ----------
    displacements_mm : (X, Y, Z, 3) world RAS+.
    affine : (4, 4) voxel index to world mm RAS+; without shear.
    """

    displacements_mm: NDArray[np.floating]
    affine: NDArray[np.float64]

    def moving_points(self, fixed_mm: Points) -> Points:
        """Return the (N, 3) moving places of (N, 3) fixed points, trilinear between voxels."""
        voxels = transform_points(invert_affine(self.affine), fixed_mm).T
        moved = [
            map_coordinates(
                self.displacements_mm[..., axis], voxels, order=1, mode="nearest", output=np.float64
            )
            for axis in range(3)
        ]
        return np.asarray(fixed_mm, dtype=np.float64) + np.stack(moved, axis=-1)

    def places_mm(self) -> NDArray[np.float64]:
        """Return the (X, Y, Z, 3) places, RAS+, that the voxels go to."""
        return _grid_points_mm(self.displacements_mm.shape[:3], self.affine) + self.displacements_mm

    def before(self, matrix: NDArray[np.float64]) -> "DisplacementField":
        """Return the field of the map that moves by this field and then by a (4, 4) matrix between worlds."""
        displacements_mm = np.empty(self.displacements_mm.shape, dtype=np.float32)
        planes = grid_planes(self.displacements_mm.shape[:3], self.affine)
        # A plane at a time, which stays in the processor's cache: a tenth of the time.
        for number, (plane_mm, moves_mm) in enumerate(zip(planes, self.displacements_mm, strict=True)):
            displacements_mm[number] = _transformed(matrix, plane_mm + moves_mm) - plane_mm
        return DisplacementField(displacements_mm, self.affine)

    def after_inverse_of(self, matrix: NDArray[np.float64]) -> "DisplacementField":
        """Return the field of the map that goes back by a (4, 4) matrix between worlds and then moves by this field.

        It lies where the matrix leads the grid of this field, which may skew its axes.
        """
        grid_mm = _grid_points_mm(self.displacements_mm.shape[:3], self.affine)
        displacements_mm = self.places_mm() - _transformed(matrix, grid_mm)
        return DisplacementField(displacements_mm.astype(np.float32), matrix @ self.affine)


def read_field(path: Path) -> DisplacementField:
    """Return the field in a NIfTI file of LPS vectors.

    Raises
    ------
    InputFileError
        if it is no volume of three components.
    """
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputFileError(path, f"cannot be read as a displacement field ({error})") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:  # noqa: PLR2004, x, y and z
        raise InputFileError(path, "holds no vectors of three components; expected a displacement field")
    vectors = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0, 3)
    return DisplacementField((vectors * LPS_SIGNS).astype(np.float32, copy=False), affine_of_image(image))


def affine_of_image(image: SimpleITK.Image) -> NDArray[np.float64]:
    """Return the (4, 4) map of the voxels of an ITK image to world mm RAS+."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return LPS_FROM_RAS @ affine


def write_field(field: DisplacementField, path: Path, *, note: bytes = b"") -> None:
    """Write a field as NIfTI vectors in LPS mm, atomically.

    Parameters
    ----------
    note : text that the header gets as a comment, an extension of NIfTI, with the checksum of the voxels behind it:
        headers are copied to other fields, such as the inverse of this one.

    Raises
    ------
    OutputFileError
        if the file does not hold the field afterwards: ITK says nothing when the disk is full.
    """
    image = field_image(field, number_format=np.float32)
    with (
        written_atomically(path) as temporary,
        TemporaryDirectory(
            dir=temporary.parent, prefix=f"{temporary.name}."
        ) as folder,  # left by a killed job
    ):
        plain = Path(folder) / "field.nii"
        try:
            SimpleITK.WriteImage(image, str(plain))
            written = SimpleITK.ReadImage(str(plain))
            is_whole = np.array_equal(
                SimpleITK.GetArrayViewFromImage(written),
                SimpleITK.GetArrayViewFromImage(image),
                equal_nan=True,
            )
        except RuntimeError:
            is_whole = False
        if not is_whole:
            raise OutputFileError(
                path, "could not be written whole; free space, or write elsewhere, and run again"
            )
        if note:
            _add_comment(plain, note)
        if path.suffix == ".gz":
            _wrap(plain, temporary)
        else:
            plain.replace(temporary)


def _add_comment(path: Path, note: bytes) -> None:
    """Put a comment between header and voxels of a NIfTI-1 file (nifti1.h: its size is a multiple of 16 bytes)."""
    content = path.read_bytes()
    note += VOXELS_MARK + b"%08x" % zlib.crc32(memoryview(content)[HEADER_BYTES:])
    size = -(-(len(note) + 8) // 16) * 16
    extension = struct.pack("<2i", size, COMMENT_CODE) + note.ljust(size - 8, b"\0")
    start = struct.pack("<f", HEADER_BYTES + size)
    with path.open("wb") as stream:
        stream.write(content[:VOXEL_OFFSET_AT] + start + content[VOXEL_OFFSET_AT + 4 : HEADER_BYTES - 4])
        stream.write(b"\1\0\0\0" + extension)
        stream.write(memoryview(content)[HEADER_BYTES:])


def note_of_field(path: Path) -> bytes:
    """Return the comment that `write_field` gave a field; empty where there is none, or the voxels are others."""
    try:
        image = nibabel.load(path)
        comments = [bytes(each.get_content()).rstrip(b"\0") for each in image.header.extensions]  # type: ignore[attr-defined]
        note, mark, checksum = next((each for each in comments if VOXELS_MARK in each), b"").rpartition(
            VOXELS_MARK
        )
        if not mark:
            return b""
        voxels = image.dataobj.get_unscaled()  # type: ignore[attr-defined]
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zlib.error, ImageFileError):
        return b""
    return note if b"%08x" % zlib.crc32(voxels.tobytes(order="F")) == checksum else b""


def _wrap(source: Path, target: Path) -> None:
    """Write a file as gzip that packs nothing: displacements would shrink by an eighth, for ten times the time."""
    with (
        source.open("rb") as content,
        target.open("wb") as stream,
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=0, mtime=0) as wrapped,
    ):
        shutil.copyfileobj(content, wrapped, COPY_BYTES)


def field_image(
    field: DisplacementField, *, number_format: type[np.floating] = np.float64
) -> SimpleITK.Image:
    """Return a field as an ITK image of LPS vectors, in double precision as the transforms of ITK want it."""
    vectors = (field.displacements_mm * LPS_SIGNS).astype(number_format).transpose(2, 1, 0, 3)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    affine = LPS_FROM_RAS @ field.affine
    spacing = spacing_from_affine(affine)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def resample_through(
    field: DisplacementField,
    moving: Volume,
    *,
    grid: VolumeHeader,
    is_label: bool,
    fill_value: float,
) -> Volume:
    """Return the moving volume on a grid in the fixed world, interpolated once.

    Parameters
    ----------
    field : the whole map.
    moving : as it was stored, in its own world.
    grid : in the fixed world.
    is_label : nearest voxel with its type, instead of linear interpolation as float32.
    fill_value : value where the moving volume does not reach.
    """
    (found,) = resample_all_through(field, [Sampling(moving, is_label, fill_value)], grid=grid)
    return found.volume


class Sampling(NamedTuple):
    """A moving volume that is to be brought to a grid.

    Attributes
    ----------
    moving, is_label, fill_value : as in `resample_through`.
    """

    moving: Volume
    is_label: bool
    fill_value: float


class Sampled(NamedTuple):
    """A volume on the grid.

    Attributes
    ----------
    volume : on the grid.
    is_reached : (X, Y, Z), where the moving volume reaches.
    """

    volume: Volume
    is_reached: NDArray[np.bool_]


def resample_all_through(
    field: DisplacementField, samplings: Sequence[Sampling], *, grid: VolumeHeader
) -> list[Sampled]:
    """Return several moving volumes of one world on a grid in the fixed world; the field is looked up once for all.

    Parameters
    ----------
    field : the whole map.
    samplings : volumes on grids of their own.
    grid : in the fixed world.
    """
    shape, affine = grid.shape, np.asarray(grid.affine, dtype=np.float64)
    found = [
        Sampled(Volume(_filled(sampling, shape), affine), np.zeros(shape, dtype=bool))
        for sampling in samplings
    ]
    for plane in range(shape[2]):  # a plane at a time bounds the memory
        moving_mm = field.moving_points(_plane_points_mm(shape, affine, plane))
        for sampling, sampled in zip(samplings, found, strict=True):
            _sample_plane(sampling, sampled, moving_mm, plane)
    return found


def _filled(sampling: Sampling, shape: tuple[int, ...]) -> NDArray:
    dtype = sampling.moving.array.dtype if sampling.is_label else np.dtype(np.float32)
    return np.full(shape, sampling.fill_value, dtype=dtype)


def _sample_plane(sampling: Sampling, sampled: Sampled, moving_mm: Points, plane: int) -> None:
    """Sample a moving volume at the (X * Y, 3) places of one plane of the grid."""
    moving, result = sampling.moving, sampled.volume.array
    voxels = moving.voxel_from_world(moving_mm)
    inside = moving.holds(voxels)
    values = map_coordinates(
        moving.array,
        voxels[inside].T,
        order=0 if sampling.is_label else 1,
        mode="nearest",
        output=result.dtype,
    )
    is_reached = inside.reshape(result.shape[:2])
    result[:, :, plane][is_reached] = values
    sampled.is_reached[:, :, plane] = is_reached


def _plane_points_mm(shape: tuple[int, ...], affine: NDArray[np.float64], plane: int) -> Points:
    """Return (X * Y, 3) world points of one plane, x slowest."""
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    return transform_points(affine, np.stack([x.ravel(), y.ravel(), np.full(x.size, plane)], axis=-1))


def _grid_points_mm(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (X, Y, Z, 3) world points of a grid."""
    return np.stack(list(grid_planes(shape, affine)))


def _transformed(matrix: NDArray[np.float64], points_mm: NDArray) -> NDArray[np.float64]:
    """Return (..., 3) points under a matrix, as one long list: numpy multiplies row by row otherwise."""
    return transform_points(matrix, points_mm.reshape(-1, 3)).reshape(points_mm.shape)
