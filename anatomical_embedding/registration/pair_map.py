"""The map between two scans, in the parts and on the grids in which registration programs want it.

A point x of the fixed world goes to A (x + u(x)) in the moving one, with the start A and a deformation u that fades out
beyond what was registered; back, a point y goes to z + v(z) with z = A⁻¹ y.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.installed_program import installed_program
from anatomical_embedding.registration.inverse_field import inverse_deformation
from anatomical_embedding.registration.itk_transform import (
    faded,
    forward_transform,
    inverse_transform,
    sampled_displacements,
)
from anatomical_embedding.volumes.affine import invert_affine, transform_points
from anatomical_embedding.volumes.volume import VolumeHeader

if TYPE_CHECKING:
    from anatomical_embedding.volumes.dicom_source import DicomSource


@dataclass(frozen=True)
class PairMap:
    """The map between two scans.

    Its parts are made when they are first asked for, and kept. Of two threads that ask at once both may make one (from
    Python 3.12 on), which takes time but gives the same numbers.

    Attributes
    ----------
    matrix : (4, 4) start A, fixed to moving world RAS+.
    field : deformation in the fixed world, before the start.
    fixed, moving : grids of the scans, with axes at right angles.
    fixed_fill, moving_fill : values that stand for nothing in the scans.
    sources : the fixed and the moving scan as DICOM objects refer to them; None where one of them is no DICOM series.
    scans : what tells the two scans again, from `registered_scans.described_scans`; None where that is not known.
    program : deeds, which makes the inverse; None for the one that came with the installation.
    """

    matrix: NDArray[np.float64]
    field: DisplacementField
    fixed: VolumeHeader
    moving: VolumeHeader
    fixed_fill: float
    moving_fill: float
    sources: "tuple[DicomSource, DicomSource] | None" = None
    scans: Mapping[str, Any] | None = None
    program: Path | None = None

    @cached_property
    def deformation(self) -> DisplacementField:
        """The deformation u, on a grid at whose border it has faded out."""
        return faded(self.field)

    @cached_property
    def inverse_deformation(self) -> DisplacementField:
        """Its inverse v, on the same grid."""
        return inverse_deformation(self.deformation, program=self.program or installed_program())

    @cached_property
    def forward(self) -> SimpleITK.CompositeTransform:
        """ITK transform of fixed to moving points, LPS mm."""
        return forward_transform(self.matrix, self.deformation)

    @cached_property
    def inverse(self) -> SimpleITK.CompositeTransform:
        """ITK transform of moving to fixed points, LPS mm."""
        return inverse_transform(self.matrix, self.inverse_deformation)

    def at_fixed_voxels(self) -> DisplacementField:
        """Return the whole map at the voxels of the fixed scan, and nowhere else exactly."""
        return sampled_displacements(self.forward, self.fixed)

    def at_moving_voxels(self) -> DisplacementField:
        """Return the whole map back at the voxels of the moving scan."""
        return sampled_displacements(self.inverse, self.moving)

    def whole_forward(self) -> DisplacementField:
        """Return the whole map of fixed points as one field that covers the fixed scan.

        Notes
        -----
        A linear map of what lies between vectors lies between their images, so nothing is lost on the grid of the
        deformation itself.
        """
        return covering(self.deformation, self.fixed).before(self.matrix)

    def whole_inverse(self) -> DisplacementField:
        """Return the whole map of moving points as one field that covers the moving scan.

        Its grid is that of the deformation seen from the moving world: with skewed axes after a start that scales or
        shears, which programs must be able to read.
        """
        seen = VolumeHeader(self.moving.shape, invert_affine(self.matrix) @ self.moving.affine)
        return covering(self.inverse_deformation, seen).after_inverse_of(self.matrix)


def covering(field: DisplacementField, grid: VolumeHeader) -> DisplacementField:
    """Return a field with zeros around it, so that it holds the outer corners of a grid in its world.

    Parameters
    ----------
    field : zero at its border.
    grid : of any geometry.
    """
    corners_vox = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in grid.shape])).reshape(3, -1).T
    corners = transform_points(invert_affine(field.affine), transform_points(grid.affine, corners_vox))
    last = np.array(field.displacements_mm.shape[:3]) - 1
    before = np.maximum(np.ceil(-corners.min(axis=0)), 0).astype(int)
    behind = np.maximum(np.ceil(corners.max(axis=0) - last), 0).astype(int)
    margin = [(int(low), int(high)) for low, high in zip(before, behind, strict=True)]
    affine = field.affine.copy()
    affine[:3, 3] -= field.affine[:3, :3] @ before
    return DisplacementField(np.pad(field.displacements_mm, [*margin, (0, 0)]), affine)
