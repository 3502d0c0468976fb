"""What each registration program is given of a map between two scans: one writer each, by the program's name.

docs/transforms.md has the commands that use the files, and how exactly each program takes them. Every file maps points
of the scan that is resampled onto to the one that is resampled, as all of these programs want it; DICOM's spatial
registration alone is defined the other way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import UserError
from anatomical_embedding.files import written_atomically
from anatomical_embedding.progress import log
from anatomical_embedding.registration.displacement_field import DisplacementField, write_field
from anatomical_embedding.registration.elastix_files import write_elastix_files
from anatomical_embedding.registration.itk_transform import (
    affine_transform,
    refined,
    write_transform,
)
from anatomical_embedding.registration.pair_map import PairMap
from anatomical_embedding.registration.ras_fields import write_ras_displacements, write_ras_places
from anatomical_embedding.registration.registered_scans import note_of

FINE_MM = 1.0
"""Voxels of a deformation between which cubic splines are within 0.05 mm of it; half the size takes eightfold space."""
SAID_BYTES = 50_000_000
"""Of vectors take some seconds to be packed and written."""


@dataclass(frozen=True)
class ProgramFiles:
    """What a program is given.

    Attributes
    ----------
    files : names below the folder of the results, forward first.
    write : writes them there.
    """

    files: tuple[str, ...]
    write: Callable[[PairMap, Path], None]


def write_itk(pair: PairMap, folder: Path) -> None:
    """Write composites, which ITK, SimpleITK, ANTs and 3D Slicer read."""
    write_transform(pair.forward, folder / "forward.h5", note=note_of("fixed", pair.scans))
    write_transform(pair.inverse, folder / "inverse.h5", note=note_of("moving", pair.scans))


def write_ants(pair: PairMap, folder: Path) -> None:
    """Write the three files that antsRegistration leaves and scripts round ANTs expect."""
    write_transform(affine_transform(pair.matrix), folder / "ants" / "0GenericAffine.mat")
    write_field(pair.deformation, folder / "ants" / "1Warp.nii.gz")
    write_field(pair.inverse_deformation, folder / "ants" / "1InverseWarp.nii.gz")


def write_elastix(pair: PairMap, folder: Path) -> None:
    """Write parameter files, whose images lie on the grid of the scan that is resampled onto."""
    ways = (
        ("forward", pair.forward, pair.fixed, pair.moving_fill),
        ("inverse", pair.inverse, pair.moving, pair.fixed_fill),
    )
    for name, transform, grid, fill in ways:
        write_elastix_files(transform, grid, folder / "elastix" / name, fill_value=fill)


def write_greedy(pair: PairMap, folder: Path) -> None:
    """Write the parts, which greedy puts together itself; composites it takes as x = 0 without an error."""
    write_matrix(pair.matrix, folder / "greedy" / "start.mat")
    write_field(pair.deformation, folder / "greedy" / "warp.nii.gz")
    write_field(pair.inverse_deformation, folder / "greedy" / "inverse_warp.nii.gz")


def write_niftyreg(pair: PairMap, folder: Path) -> None:
    """Write the whole map each way, because reg_resample takes one file."""
    write_ras_displacements(pair.whole_forward(), folder / "niftyreg" / "forward.nii.gz")
    write_ras_displacements(pair.whole_inverse(), folder / "niftyreg" / "inverse.nii.gz")


def write_mrtrix(pair: PairMap, folder: Path) -> None:
    """Write the whole map each way, because mrtransform would apply a start before the warp alone.

    mrtransform takes the vectors as they are for an image on the grid of the warp, but lays cubic splines through them
    to bring a warp to another grid (`-template`); tcktransform takes what lies between vectors linear, which is exact
    on the grid of the deformation.
    """
    _write_large(write_ras_places, pair.at_fixed_voxels(), folder / "mrtrix" / "forward.nii.gz")
    _write_large(write_ras_places, pair.at_moving_voxels(), folder / "mrtrix" / "inverse.nii.gz")
    write_ras_places(pair.whole_forward(), folder / "mrtrix" / "forward_points.nii.gz")
    write_ras_places(pair.whole_inverse(), folder / "mrtrix" / "inverse_points.nii.gz")


def write_nitransforms(pair: PairMap, folder: Path) -> None:
    """Write the whole map at the voxels of images, and for points the start and a finer deformation.

    nitransforms lays cubic splines through the vectors, except where all places asked for are voxels of the field.
    Between the kinks of a deformation that is linear from one control point to the next they swing past it, the less
    the finer it is sampled.
    """
    folder = folder / "nitransforms"
    _write_large(write_field, pair.at_fixed_voxels(), folder / "forward.nii.gz")
    _write_large(write_field, pair.at_moving_voxels(), folder / "inverse.nii.gz")
    write_transform(affine_transform(pair.matrix), folder / "start.tfm")
    _write_large(write_field, refined(pair.deformation, spacing_mm=FINE_MM), folder / "warp_points.nii.gz")
    finer_inverse = refined(pair.inverse_deformation, spacing_mm=FINE_MM)
    _write_large(write_field, finer_inverse, folder / "inverse_warp_points.nii.gz")


def write_registration_objects(pair: PairMap, folder: Path) -> None:
    """Write the start and the whole map as objects of DICOM, in the study and the world of the fixed scan.

    Raises
    ------
    UserError
        if a scan is no DICOM series.
    """
    # pydicom takes longer to load than all other writers.
    from anatomical_embedding.registration.dicom_registration import (  # noqa: PLC0415
        deformable_registration,
        spatial_registration,
        write_dicom,
    )

    if pair.sources is None:
        raise UserError("a registration as DICOM objects needs two DICOM series; leave out `dicom`")
    start = spatial_registration(pair.matrix, *pair.sources)
    whole = deformable_registration(pair.matrix, pair.deformation, *pair.sources)
    write_dicom(start, folder / "dicom" / "spatial_registration.dcm")
    write_dicom(whole, folder / "dicom" / "deformable_registration.dcm")


def _write_large(
    write: Callable[[DisplacementField, Path], None], field: DisplacementField, path: Path
) -> None:
    """Write a field, after saying how large it is where that takes a while: hundreds of MB from a scan of the body."""
    num_bytes = field.displacements_mm.nbytes
    if num_bytes >= SAID_BYTES:
        log(f"writing {path}: {num_bytes / 1e6:.0f} MB before they are packed")
    write(field, path)


def write_matrix(matrix: NDArray[np.float64], path: Path) -> None:
    """Write a (4, 4) map between worlds, RAS+ mm, as text, a row a line."""
    with written_atomically(path) as temporary:
        np.savetxt(temporary, matrix, fmt="%.12g")


ITK_FILES = ProgramFiles(("forward.h5", "inverse.h5"), write_itk)
PROGRAMS = {
    "itk": ITK_FILES,
    "ants": ProgramFiles(
        ("ants/1Warp.nii.gz", "ants/0GenericAffine.mat", "ants/1InverseWarp.nii.gz"), write_ants
    ),
    "elastix": ProgramFiles(
        ("elastix/forward/TransformParameters.1.txt", "elastix/inverse/TransformParameters.1.txt"),
        write_elastix,
    ),
    "greedy": ProgramFiles(
        ("greedy/warp.nii.gz", "greedy/start.mat", "greedy/inverse_warp.nii.gz"), write_greedy
    ),
    "niftyreg": ProgramFiles(("niftyreg/forward.nii.gz", "niftyreg/inverse.nii.gz"), write_niftyreg),
    "slicer": ITK_FILES,
    "mrtrix": ProgramFiles(
        (
            *("mrtrix/forward.nii.gz", "mrtrix/inverse.nii.gz"),
            *("mrtrix/forward_points.nii.gz", "mrtrix/inverse_points.nii.gz"),
        ),
        write_mrtrix,
    ),
    "nitransforms": ProgramFiles(
        (
            *("nitransforms/forward.nii.gz", "nitransforms/inverse.nii.gz"),
            *("nitransforms/start.tfm", "nitransforms/warp_points.nii.gz"),
            "nitransforms/inverse_warp_points.nii.gz",
        ),
        write_nitransforms,
    ),
    "dicom": ProgramFiles(
        ("dicom/deformable_registration.dcm", "dicom/spatial_registration.dcm"), write_registration_objects
    ),
}
"""The programs by the names that `register --transforms` takes; composites are always written."""
