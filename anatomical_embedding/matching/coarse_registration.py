"""Two scans registered coarsely, from the map of their anchors: where it carries a point, the scans are searched.

A match is the most similar cell, each for itself; a registration moves the whole body together, and stays in the right
organ where cells look alike. The registration is the search of `deeds` on a coarse grid: a third of a second of one
core for a pair of scans, whatever is asked of them.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.registration.deformation import TooLittleSharedError, deform
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.guided_start import why_not_believed
from anatomical_embedding.registration.robust_fit import fit_map
from anatomical_embedding.settings.registration import CoarseRegistrationSettings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.affine import Points, invert_affine, transform_points
from anatomical_embedding.volumes.volume import Volume

HALF_VOXEL = 0.5


@dataclass(frozen=True)
class CoarseRegistration:
    """Where two scans that were registered coarsely show the same.

    Attributes
    ----------
    matrix : (4, 4) start, from the world of the template to that of the target.
    field : deformation in the template's world, before the start, on the part that both scans show.
    """

    matrix: NDArray[np.float64]
    field: DisplacementField

    def carried(self, points_mm: Points) -> Points:
        """Return where (N, 3) points of the template lie in the target, mm RAS+; NaN outside what both show."""
        finite_mm = np.nan_to_num(points_mm)
        voxels = transform_points(invert_affine(self.field.affine), finite_mm)
        end = np.array(self.field.displacements_mm.shape[:3]) - HALF_VOXEL
        is_inside = (voxels >= -HALF_VOXEL) & (voxels <= end) & np.isfinite(points_mm)
        carried_mm = transform_points(self.matrix, self.field.moving_points(finite_mm))
        return np.where(np.all(is_inside, axis=1, keepdims=True), carried_mm, np.nan)


def register_coarsely(
    program: Path,
    template: Volume,
    target: Volume,
    anchors: Anchors,
    *,
    modalities: tuple[Modality, Modality],
    settings: CoarseRegistrationSettings,
    threads: int,
) -> CoarseRegistration | None:
    """Return two scans registered; None where their anchors agree on no start, or both show too little of one place.

    Parameters
    ----------
    program : deeds.
    template, target : prepared, or what is left of them on a grid no coarser than that of `settings`.
    anchors : points that are matched in both.
    modalities : of the template and of the target.
    settings : of the start and of deeds.
    threads : to use; the result does not depend on them.

    Raises
    ------
    RefusedScansError
        if the program refuses them: one slice that lies across the other scan, or a part without contrast.
    UserError, OSError, RuntimeError
        if it does not run, or has no memory, or no room for its files in the folder for temporary ones.
    """
    if len(anchors.template_mm) < settings.fit.min_inliers:
        return None
    fitted = fit_map(anchors.template_mm, anchors.target_mm, settings=settings.fit)
    if why_not_believed(fitted, anchors.template_mm, settings=settings.fit):
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = deform(
                program,
                template,
                target,
                matrix=fitted.matrix,
                moving_labels=None,
                settings=settings.deeds,
                output_stem=Path(folder) / "pair",
                threads=threads,
                modalities=modalities,
                with_image=False,
                is_quiet=True,
            )
        except TooLittleSharedError:
            return None
    return CoarseRegistration(fitted.matrix, found.field)
