"""Transforms that a registration wrote, read again to carry images and points."""

from itertools import product
from pathlib import Path
from typing import cast

import anatomical_embedding.volumes.nibabel_alone  # noqa: F401, loads nibabel in its own way  # isort: skip
import nibabel
import numpy as np
import SimpleITK
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from anatomical_embedding.errors import InputFileError
from anatomical_embedding.registration.displacement_field import (
    DisplacementField,
    affine_of_image,
    field_image,
    read_field,
)
from anatomical_embedding.registration.itk_transform import itk_image, ras_matrix
from anatomical_embedding.volumes.affine import Points, lps_from_ras
from anatomical_embedding.volumes.file_names import NIFTI_SUFFIXES, NRRD_SUFFIXES, VOLUME_SUFFIXES
from anatomical_embedding.volumes.grid import Grid
from anatomical_embedding.volumes.nrrd import require_lps_vectors
from anatomical_embedding.volumes.volume import Volume, VolumeHeader, zeros_on

ITK_SUFFIXES = (".h5", ".hdf5", ".tfm", ".txt", ".mat")
SAMPLES = 24
"""Places along each axis of a grid at which it is asked whether a field covers it."""
LPS = (-1, -1, 1)
LIKE_PLACES = 0.35
"""Of the slopes of vectors along the axes: places of two patients differ by as much, displacements are far below."""


def read_transform(path: Path) -> SimpleITK.Transform:
    """Return the transform of points (LPS mm) in a file of ITK, or in an image of LPS vectors (NIfTI, NRRD, MetaImage).

    Raises
    ------
    InputFileError
        if the file is of another kind, cannot be read, leads all points onto a plane, or holds several transforms that
        are no composite, of which ITK would read the first alone.
    """
    name = path.name.lower()
    if name.endswith(VOLUME_SUFFIXES):
        return SimpleITK.DisplacementFieldTransform(field_image(_read_vectors(path)))
    if not name.endswith(ITK_SUFFIXES):
        raise InputFileError(
            path,
            f"expected a transform: {', '.join(ITK_SUFFIXES)} of ITK, or a displacement field "
            f"({', '.join(VOLUME_SUFFIXES)})",
        )
    _require_one_transform(path)
    try:
        transform = SimpleITK.ReadTransform(str(path))
    except (RuntimeError, KeyError) as error:  # a KeyError for kinds that SimpleITK reads and does not know
        raise InputFileError(path, f"cannot be read as a transform of ITK{_what_else(path)}") from error
    if transform.GetDimension() != 3:  # noqa: PLR2004, x, y and z
        raise InputFileError(path, f"holds a transform of {transform.GetDimension()} dimensions, expected 3")
    if (
        transform.IsLinear()
        and np.linalg.matrix_rank(ras_matrix(transform)[:3, :3]) < transform.GetDimension()
    ):
        raise InputFileError(path, "is singular: it leads all points onto a plane or a line")
    return transform


def inverted(transform: SimpleITK.Transform, path: Path) -> SimpleITK.Transform:
    """Return the inverse of an affine transform, or refuse another with an `InputFileError` that names its file."""
    if not transform.IsLinear():
        raise InputFileError(
            path,
            "is not an affine map, so its inverse is not known; `register` writes that of a deformation as inverse.h5",
        )
    return transform.GetInverse()


def is_covered(transform: SimpleITK.Transform, points_mm: Points) -> NDArray[np.bool_]:
    """Return whether (N, 3) points, RAS+, lie where a transform says something.

    ITK leaves those outside a field, or the control points of B-splines, alone. Composites count as saying something
    everywhere: those of `register` hold the start beyond their field.
    """
    if transform.GetTransformEnum() == SimpleITK.sitkBSplineTransform:
        spline = SimpleITK.BSplineTransform(transform)
        directions = np.reshape(spline.GetTransformDomainDirection(), (3, 3))
        along_mm = (lps_from_ras(points_mm) - spline.GetTransformDomainOrigin()) @ directions
        lengths_mm = np.array(spline.GetTransformDomainPhysicalDimensions())
        return ((along_mm >= 0.0) & (along_mm <= lengths_mm)).all(axis=1)
    if transform.GetTransformEnum() != SimpleITK.sitkDisplacementField:
        return np.ones(len(points_mm), dtype=bool)
    image = SimpleITK.DisplacementFieldTransform(transform).GetDisplacementField()
    return VolumeHeader(image.GetSize(), affine_of_image(image)).contains(points_mm)


def sampled_places(grid: Grid) -> Points:
    """Return (N, 3) places, RAS+, spread over a grid."""
    steps = [np.linspace(0, size - 1, SAMPLES) for size in grid.shape]
    return grid.world_from_voxel(np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3))


def require_something(
    resampled: Volume, moving: Volume, *, transform: Path, names: tuple[Path, Path]
) -> None:
    """Refuse a result that shows nothing of a moving volume that shows something.

    Parameters
    ----------
    transform : file that was used.
    names : of the moving and the fixed scan.

    Raises
    ------
    InputFileError
        naming the transform.
    """
    first = resampled.array.flat[0]
    if (resampled.array == first).all() and (moving.array != moving.array.flat[0]).any():
        raise InputFileError(
            transform,
            f"maps no part of {names[1]} into {names[0]}; it leads the other way (then use inverse.h5), or is of other "
            "scans",
        )


def _read_vectors(path: Path) -> DisplacementField:
    """Return the field in an image, refusing what only looks like one of ITK."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1]
        raise InputFileError(path, f"cannot be read as a displacement field ({problem})") from error
    named = reader.GetMetaData("intent_name") if reader.HasMetaDataKey("intent_name") else ""
    if named.startswith("NREG_TRANS"):
        raise InputFileError(path, "is a transform of NiftyReg, whose vectors are RAS; give one of ITK")
    if named.startswith("Mapping"):
        raise InputFileError(
            path, "is a deformation of SPM, which holds places and no displacements; give one of ITK"
        )
    if reader.GetPixelID() not in (SimpleITK.sitkVectorFloat32, SimpleITK.sitkVectorFloat64):
        kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
        raise InputFileError(
            path,
            f"holds no vectors of three components in mm but {kind} along {reader.GetDimension()} axes; expected a "
            "displacement field of ITK",
        )
    if path.name.lower().endswith(NRRD_SUFFIXES):
        require_lps_vectors(path)
    field = read_field(path)
    vectors = field.displacements_mm
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        # ITK reads as 0 what is not finite in a NIfTI file.
        vectors = np.asanyarray(cast(SpatialImage, nibabel.load(path)).dataobj)
    bad = int((~np.isfinite(vectors)).any(axis=-1).sum())
    if bad:
        raise InputFileError(path, f"has {bad} vectors that are not finite; replace them")
    _require_displacements(field, path)
    return field


def _require_displacements(field: DisplacementField, path: Path) -> None:
    """Refuse vectors that are the places themselves, in mm (RAS or LPS) or in voxels, as other programs keep them.

    Such vectors grow by one along each axis of their places. As displacements they would double the body, or lay it
    onto a plane, which no registration does.
    """
    grid = VolumeHeader(field.displacements_mm.shape[:3], field.affine)
    voxels = np.rint(grid.voxel_from_world(sampled_places(grid))).astype(int)
    vectors = field.displacements_mm[tuple(voxels.T)].astype(np.float64)
    for places, signs in product((grid.world_from_voxel(voxels), voxels), ((1, 1, 1), LPS)):
        around = places - places.mean(axis=0)
        slopes, _, rank, _ = np.linalg.lstsq(around, (vectors - vectors.mean(axis=0)) * signs)
        if rank == len(signs) and (np.abs(slopes - np.eye(len(signs))) < LIKE_PLACES).all():
            raise InputFileError(
                path,
                "holds places and no displacements: its vectors grow as their places do; give a field of ITK",
            )


def _what_else(path: Path) -> str:
    """Return what a text is that is no transform of ITK, as far as it is known."""
    content = path.read_bytes()[:4096]
    if content.lstrip().startswith(b"(") and b"Transform" in content:
        return ": it is a parameter file of elastix, which transformix applies"
    if len(content.split()) == 16:  # noqa: PLR2004, of a 4x4 matrix
        return ": it is a 4x4 matrix in text; `register --initial` takes those"
    return ""


def _require_one_transform(path: Path) -> None:
    content = path.read_bytes() if path.suffix.lower() in {".tfm", ".txt"} else b""
    if content.count(b"\nTransform:") > 1 and b"CompositeTransform" not in content:
        raise InputFileError(
            path,
            "holds several transforms that are no composite; programs read them differently, so write one file each "
            "or a composite (.h5)",
        )


def resample_labels_by_itk(transform: SimpleITK.Transform, moving: Volume, fixed: VolumeHeader) -> Volume:
    """Return a label map on the grid of the fixed volume, the nearest label; 0 where it does not reach."""
    resampled = SimpleITK.Resample(
        itk_image(moving),
        itk_image(zeros_on(fixed)),
        transform,
        SimpleITK.sitkNearestNeighbor,
        0.0,
    )
    return Volume(SimpleITK.GetArrayFromImage(resampled).transpose(2, 1, 0), fixed.affine)
