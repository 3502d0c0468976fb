"""A displacement field below a voxel: Gauss-Newton steps on both images after the search, which moves by whole voxels.

At every control point the images around it say by how much the field should still move there: within a Gaussian window
the fixed image is compared with the moving one, seen through the field and brought to its local mean and contrast. The
weighted squares of the difference become smallest by one Gauss-Newton step, with the gradient of the mean of both
images, so that neither is preferred; voxels that differ much more than noise lose their weight. A term of stiffness
keeps the field where it is where the images show nothing. What is finer than the windows is noise of the search or of
the images and leaves the field with every step, save where it is so rough that tissue slides there. A step that would
fold the field is halved.

The field lives on its control points alone; the images are compared on a grid whose voxels fill the cells round them.
The steps are those of `deeds descend`; here the images are brought to their grids.

Source: Lucas and Kanade, An iterative image registration technique (1981); the mean gradient as in Vercauteren et al.,
Diffeomorphic demons (NeuroImage 2009).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from anatomical_embedding.registration import deeds_program
from anatomical_embedding.registration.displacement_field import DisplacementField, read_field
from anatomical_embedding.registration.field_doubt import FieldDoubt, doubt_mm, share_of_body
from anatomical_embedding.settings.field_descent import FieldDescentSettings
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.resample import not_finer, resample_onto
from anatomical_embedding.volumes.volume import Volume, VolumeHeader

LEAST_CONTROL_POINTS = 2
"""Along an axis: slopes are differences."""
BODY_MARGIN_MM = 12.0
"""About the body, where its skin and the other image's may lie."""


class DescendedField(NamedTuple):
    """A field below a voxel.

    Attributes
    ----------
    field : at the control points.
    doubt : how far it may be off there; None where the settings do not ask.
    """

    field: DisplacementField
    doubt: FieldDoubt | None


def descend_field(
    program: Path,
    stem: Path,
    fixed: Volume,
    moving: Volume,
    *,
    controls: VolumeHeader,
    settings: FieldDescentSettings,
    body: Volume | None,
    folder: Path,
    threads: int,
) -> DescendedField:
    """Return a field that fits two images of one contrast better.

    Parameters
    ----------
    program : deeds.
    stem : of its registration of the two images in the fixed world; what it found does not fold.
    fixed, moving : in one world, any grids.
    controls : the control points of the field, such as those of `control_grid`.
    settings : grid, windows and steps.
    body : mask in the fixed world, on a grid of its own; farther than `BODY_MARGIN_MM` from it the images are not
        compared. None compares them everywhere.
    folder : for the program's files.
    threads : to use.

    Raises
    ------
    UserError
        with the program's sentence, if it refuses the input.
    """
    names = [folder / f"descent_{name}.nii" for name in ("fixed", "moving", "region", "field")]
    fixed_path, moving_path, region, found = names
    write_volume(on_fine_grid(controls, fixed, settings=settings), fixed_path)
    write_volume(not_finer(moving, settings.spacing_mm), moving_path)
    if body is not None:
        write_volume(Volume(near_body(controls, body).astype(np.uint8), controls.affine), region)
    evidence = None if settings.doubt is None else folder / "descent"
    deeds_program.run_descent(
        program,
        fixed_path,
        moving_path,
        stem=stem,
        output=found,
        region=None if body is None else region,
        evidence=evidence,
        settings=settings,
        threads=threads,
    )
    field = read_field(found)
    if settings.doubt is None or evidence is None:
        return DescendedField(field, None)
    hold, step, agreement = (
        read_volume(folder / f"{evidence.name}_{name}.nii", require_finite=False, require_contrast=False)
        for name in ("hold", "step", "agreement")
    )
    radius_mm = doubt_mm(hold.array, step.array, field, settings=settings.doubt)
    return DescendedField(field, FieldDoubt(Volume(radius_mm, controls.affine), agreement))


def on_fine_grid(controls: VolumeHeader, fixed: Volume, *, settings: FieldDescentSettings) -> Volume:
    """Return the fixed image, averaged where it is finer, at the voxels that fill the cells round control points."""
    stride = settings.control_step_vox
    shape_x, shape_y, shape_z = (size * stride for size in controls.shape)
    return resample_onto(
        not_finer(fixed, settings.spacing_mm),
        shape=(shape_x, shape_y, shape_z),
        affine=affine_of_cells(controls.affine, stride_vox=np.full(3, 1 / stride)),
        is_label=False,
        fill_value=float(fixed.array.min()),
    )


def near_body(grid: VolumeHeader, body: Volume) -> NDArray[np.bool_]:
    """Return which control points lie within `BODY_MARGIN_MM`, along each axis, of those in a body.

    Parameters
    ----------
    grid : the control points.
    body : mask in the same world, on a grid of its own.
    """
    reach = np.ceil(BODY_MARGIN_MM / spacing_from_affine(grid.affine)).astype(int)
    return np.asarray(maximum_filter(share_of_body(grid, body) > 0, size=(2 * reach + 1).tolist()))


def control_grid(fixed: Volume, *, settings: FieldDescentSettings) -> VolumeHeader:
    """Return the control points in the box of the fixed image; its axes are at right angles."""
    spacing_mm = settings.spacing_mm * settings.control_step_vox
    sizes = np.maximum(np.rint(np.array(fixed.shape) * fixed.spacing_mm / spacing_mm), LEAST_CONTROL_POINTS)
    size_x, size_y, size_z = sizes.astype(int).tolist()
    affine = affine_of_cells(fixed.affine, stride_vox=spacing_mm / fixed.spacing_mm)
    return VolumeHeader((size_x, size_y, size_z), affine)
