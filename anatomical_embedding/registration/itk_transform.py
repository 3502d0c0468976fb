"""A whole registration as one ITK transform: a start, and a deformation that fades out beyond what was registered."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.errors import OutputFileError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.registration.displacement_field import LPS_SIGNS, DisplacementField, field_image
from anatomical_embedding.volumes.affine import Points, invert_affine, lps_from_ras, spacing_from_affine
from anatomical_embedding.volumes.volume import Volume, VolumeHeader
from anatomical_embedding.volumes.voxels import SMALL_TYPE_BYTES

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
FADE_MM = 32.0
"""Distance over which the deformation fades to nothing beyond its grid; farther out the start alone holds. Where it is
long there it fades over twice its length, since what fades over less than its length folds."""
ROUNDING = 1e-6


def forward_transform(
    matrix: NDArray[np.float64], deformation: DisplacementField
) -> SimpleITK.CompositeTransform:
    """Return the transform of a point of the fixed world (LPS mm) to its place in the moving one.

    Parameters
    ----------
    matrix : (4, 4) start, fixed to moving world RAS+.
    deformation : in the fixed world, before the start, `faded`.
    """
    # ITK applies the last transform of a composite first.
    return SimpleITK.CompositeTransform(
        [affine_transform(matrix), SimpleITK.DisplacementFieldTransform(field_image(deformation))]
    )


def inverse_transform(
    matrix: NDArray[np.float64], inverse: DisplacementField
) -> SimpleITK.CompositeTransform:
    """Return the transform of a point of the moving world (LPS mm) to its place in the fixed one.

    Parameters
    ----------
    matrix : (4, 4) start, fixed to moving world RAS+.
    inverse : of the deformation.
    """
    return SimpleITK.CompositeTransform(
        [
            SimpleITK.DisplacementFieldTransform(field_image(inverse)),
            affine_transform(invert_affine(matrix)),
        ]
    )


def write_transform(transform: SimpleITK.Transform, path: Path, *, note: bytes = b"") -> None:
    """Write a transform for ITK programs, atomically.

    Parameters
    ----------
    note : bytes behind an HDF5 file, whose header says where it ends, so that readers of HDF5 do not see them.

    Raises
    ------
    OutputFileError
        if the file does not hold the transform afterwards: ITK says nothing when the disk is full.
    """
    with written_atomically(path) as temporary:
        if not _is_written(transform, temporary):
            raise OutputFileError(
                path,
                "could not be written whole; free space, or write elsewhere, and run again (a file system that refuses "
                "locks wants HDF5_USE_FILE_LOCKING=FALSE in the environment before SimpleITK is loaded)",
            )
        if note:
            with temporary.open("ab") as stream:
                stream.write(note)


def _is_written(transform: SimpleITK.Transform, path: Path) -> bool:
    """Write a transform and say whether the file gives its numbers back."""
    try:
        SimpleITK.WriteTransform(transform, str(path))
        written = SimpleITK.ReadTransform(str(path))
    except RuntimeError:
        return False
    wanted, found = (list(_numbers(part)) for part in (transform, written))
    return len(found) == len(wanted) and all(
        np.array_equal(one, other) or (one.shape == other.shape and np.allclose(one, other))
        for one, other in zip(found, wanted, strict=True)
    )


def _numbers(transform: SimpleITK.Transform) -> Iterator[NDArray[np.float64]]:
    """Give all numbers of a transform; those of a field as they lie in memory, not one by one."""
    if transform.GetName() == "CompositeTransform":
        composite = SimpleITK.CompositeTransform(transform)
        for place in range(composite.GetNumberOfTransforms()):
            yield from _numbers(composite.GetNthTransform(place))
    elif transform.GetName() == "DisplacementFieldTransform":
        yield np.array(transform.GetFixedParameters())
        yield SimpleITK.GetArrayFromImage(
            SimpleITK.DisplacementFieldTransform(transform).GetDisplacementField()
        )
    else:
        yield np.array(transform.GetFixedParameters())
        yield np.array(transform.GetParameters())


def transform_by_itk(transform: SimpleITK.Transform, points_mm: Points) -> Points:
    """Return the (N, 3) places, RAS+, of (N, 3) points RAS+."""
    lps = [
        transform.TransformPoint(point.tolist()) for point in lps_from_ras(np.asarray(points_mm, dtype=float))
    ]
    return lps_from_ras(np.array(lps).reshape(-1, 3))


def resample_by_itk(transform: SimpleITK.Transform, moving: Volume, fixed: VolumeHeader) -> Volume:
    """Return the moving volume on the grid of the fixed one, linear; its lowest value where it does not reach.

    Integers stay integers of their type; those of more than two bytes are interpolated in double precision.
    """
    is_whole = np.issubdtype(moving.array.dtype, np.integer)
    wide = np.float64 if is_whole and moving.array.dtype.itemsize > SMALL_TYPE_BYTES else np.float32
    resampled = SimpleITK.Resample(
        itk_image(Volume(moving.array.astype(wide), moving.affine)),
        itk_image(Volume(np.zeros(fixed.shape, np.uint8), fixed.affine)),
        transform,
        SimpleITK.sitkLinear,
        float(moving.array.min()),
    )
    array = SimpleITK.GetArrayFromImage(resampled).transpose(2, 1, 0)
    return Volume(np.rint(array).astype(moving.array.dtype) if is_whole else array, fixed.affine)


def itk_image(volume: Volume) -> SimpleITK.Image:
    """Return a volume as an ITK image, in LPS mm."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    affine = RAS_TO_LPS @ volume.affine
    spacing = spacing_from_affine(affine)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def faded(field: DisplacementField) -> DisplacementField:
    """Return the field on a larger grid, where it fades to nothing beyond its own."""
    margin = _margins_vox(field)
    weight = np.pad(np.ones(field.displacements_mm.shape[:3]), margin, mode="linear_ramp", end_values=0.0)
    grown = np.pad(field.displacements_mm, [*margin, (0, 0)], mode="edge")
    affine = field.affine.copy()
    affine[:3, 3] -= field.affine[:3, :3] @ [before for before, _ in margin]
    return DisplacementField((grown * weight[..., None]).astype(np.float32), affine)


def _margins_vox(field: DisplacementField) -> list[tuple[int, int]]:
    """Return over how many voxels a field fades before and behind it along each axis: as its vectors there are long."""
    margins = []
    for axis, spacing_mm in enumerate(spacing_from_affine(field.affine)):
        ends = (np.take(field.displacements_mm, end, axis=axis) for end in (0, -1))
        longest_mm = [float(np.linalg.norm(end, axis=-1).max()) for end in ends]
        before, behind = (round(max(FADE_MM, 2.0 * length) / spacing_mm) for length in longest_mm)
        margins.append((before, behind))
    return margins


def refined(deformation: DisplacementField, *, spacing_mm: float) -> DisplacementField:
    """Return a deformation on a grid that holds the voxels of its own, with steps of `spacing_mm` at most."""
    spacings_mm = spacing_from_affine(deformation.affine)
    parts = np.maximum(np.ceil(spacings_mm / spacing_mm - ROUNDING), 1).astype(int)
    shape = (np.array(deformation.displacements_mm.shape[:3]) - 1) * parts + 1
    affine = deformation.affine @ np.diag([*(1 / parts), 1.0])
    transform = SimpleITK.DisplacementFieldTransform(field_image(deformation))
    return sampled_displacements(transform, VolumeHeader(tuple(shape.tolist()), affine))


def sampled_displacements(transform: SimpleITK.Transform, grid: VolumeHeader) -> DisplacementField:
    """Return what a transform (LPS mm) does to the voxels of a grid, whose axes are at right angles.

    Notes
    -----
    12 bytes a voxel, and as many again while it is made.
    """
    affine = RAS_TO_LPS @ grid.affine
    spacing_mm = spacing_from_affine(affine)
    image = SimpleITK.TransformToDisplacementField(
        transform,
        SimpleITK.sitkVectorFloat32,
        [int(size) for size in grid.shape],
        affine[:3, 3].tolist(),
        spacing_mm.tolist(),
        (affine[:3, :3] / spacing_mm).ravel().tolist(),
    )
    vectors = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0, 3)
    vectors *= LPS_SIGNS
    return DisplacementField(vectors, grid.affine)


def affine_transform(matrix: NDArray[np.float64]) -> SimpleITK.AffineTransform:
    """Return a (4, 4) map between world points (RAS+ mm) as an ITK transform (LPS mm)."""
    lps = RAS_TO_LPS @ matrix @ RAS_TO_LPS
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def ras_matrix(transform: SimpleITK.Transform) -> NDArray[np.float64]:
    """Return the (4, 4) matrix, RAS+ mm, of an affine ITK transform: from where the origin and the axes go."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    for axis, unit in enumerate(np.eye(3)):
        matrix[:3, axis] = np.array(transform.TransformPoint(unit.tolist())) - origin
    return RAS_TO_LPS @ matrix @ RAS_TO_LPS
