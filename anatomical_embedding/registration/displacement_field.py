"""The whole map of a registration as displacements, and what it does to points and volumes.

A field lives on the fixed grid: the moving place of a fixed point x is x + u(x), world mm RAS+. Files hold LPS
components, as ITK programs read them. Beyond its grid a field goes on with its outermost displacements.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.errors import InputFileError, OutputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.volumes.affine import (
    Points,
    invert_affine,
    lps_from_ras,
    spacing_from_affine,
    transform_points,
)
from anatomical_embedding.volumes.nifti import VolumeHeader
from anatomical_embedding.volumes.volume import Volume

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
INSIDE_TOLERANCE_VOX = 1e-6


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

    def before(self, matrix: NDArray[np.float64]) -> "DisplacementField":
        """Return the field of the map that moves by this field and then by a (4, 4) matrix between worlds."""
        grid_mm = _grid_points_mm(self.displacements_mm.shape[:3], self.affine)
        moved = transform_points(matrix, grid_mm + self.displacements_mm)
        return DisplacementField((moved - grid_mm).astype(np.float32), self.affine)


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
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    vectors = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0, 3)
    return DisplacementField(lps_from_ras(vectors).astype(np.float32), LPS_FROM_RAS @ affine)


def write_field(field: DisplacementField, path: Path) -> None:
    """Write a field as NIfTI vectors in LPS mm, atomically.

    Raises
    ------
    OutputFileError
        if the file does not hold the field afterwards: ITK says nothing when the disk is full.
    """
    image = SimpleITK.Cast(field_image(field), SimpleITK.sitkVectorFloat32)
    with written_atomically(path) as temporary:
        try:
            SimpleITK.WriteImage(image, str(temporary))
            written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(temporary)))
            is_whole = np.array_equal(written, SimpleITK.GetArrayViewFromImage(image), equal_nan=True)
        except RuntimeError:
            is_whole = False
        if not is_whole:
            raise OutputFileError(
                path, "could not be written whole; free space, or write elsewhere, and run again"
            )


def field_image(field: DisplacementField) -> SimpleITK.Image:
    """Return a field as an ITK image of LPS vectors in double precision."""
    vectors = lps_from_ras(field.displacements_mm).astype(np.float64).transpose(2, 1, 0, 3)
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
    shape, affine = grid.shape, grid.affine
    result = np.full(shape, fill_value, dtype=moving.array.dtype if is_label else np.float32)
    limit = np.array(moving.shape) - 0.5 + INSIDE_TOLERANCE_VOX
    for plane in range(shape[2]):  # a plane at a time bounds the memory
        voxels = moving.voxel_from_world(field.moving_points(_plane_points_mm(shape, affine, plane)))
        inside = np.all((voxels >= -0.5 - INSIDE_TOLERANCE_VOX) & (voxels <= limit), axis=1)
        values = map_coordinates(
            moving.array,
            voxels[inside].T,
            order=0 if is_label else 1,
            mode="nearest",
            output=result.dtype,
        )
        flat = result[:, :, plane].ravel()
        flat[inside] = values
        result[:, :, plane] = flat.reshape(shape[:2])
    return Volume(result, np.asarray(affine, dtype=np.float64))


def _plane_points_mm(shape: tuple[int, ...], affine: NDArray[np.float64], plane: int) -> Points:
    """Return (X * Y, 3) world points of one plane, x slowest."""
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    return transform_points(affine, np.stack([x.ravel(), y.ravel(), np.full(x.size, plane)], axis=-1))


def _grid_points_mm(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (X, Y, Z, 3) world points of a grid."""
    indices = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1)
    return transform_points(affine, indices)
