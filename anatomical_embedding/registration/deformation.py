"""The deformable step from a known start: what both volumes show is registered by the program `deeds`."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import UserError
from anatomical_embedding.registration import deeds_program
from anatomical_embedding.registration.displacement_field import DisplacementField, read_field
from anatomical_embedding.registration.field_descent import control_grid, descend_field
from anatomical_embedding.registration.field_doubt import FieldDoubt
from anatomical_embedding.registration.robust_fit import is_rigid
from anatomical_embedding.registration.shared_view import seen_from, shared_box
from anatomical_embedding.settings.registration import DeedsSettings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.affine import spacing_from_affine
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.prepare import Box, crop_volume
from anatomical_embedding.volumes.resample import not_finer, resample_to_spacing
from anatomical_embedding.volumes.straight_grid import straightened
from anatomical_embedding.volumes.volume import Volume

FEWEST_CONTROL_POINTS, FEWEST_OF_LINEAR_STEP = 3, 6
"""Along each axis, that the levels of `deeds` and of its linear step take."""
FIXED, MOVING, LABELS = "fixed.nii", "moving.nii", "labels.nii"
"""Names of what `deeds` reads."""


class TooLittleSharedError(UserError):
    """Two volumes show too little of one place to be registered.

    Parameters
    ----------
    pair : what the registration is called.
    problem : what they show, and what was expected.
    """

    def __init__(self, pair: str, problem: str):
        super().__init__(f"{pair}: {problem}")
        self.problem = problem


@dataclass(frozen=True)
class Deformation:
    """What deeds found.

    Attributes
    ----------
    field : on the registered part of the fixed volume, at the spacing that was set for the search or for the descent
        after it, within the fixed world: the start comes after it. Its axes are at right angles; it covers a fixed
        volume whose axes are skewed.
    box : that part, in voxels of the fixed volume.
    doubt : how far the field may be off, on its grid; None without a descent that says it.
    remarks : what of the settings was left out, a sentence each.
    """

    field: DisplacementField
    box: Box
    doubt: FieldDoubt | None = None
    remarks: tuple[str, ...] = ()


def deform(
    program: Path,
    fixed: Volume,
    moving: Volume,
    *,
    matrix: NDArray[np.float64] | None,
    moving_labels: Volume | None,
    settings: DeedsSettings,
    output_stem: Path,
    threads: int,
    modalities: tuple[Modality, Modality],
    with_image: bool,
    scans: tuple[Volume, Volume] | None = None,
    body: Volume | None = None,
    is_quiet: bool = False,
) -> Deformation:
    """Return the deformation of two volumes, registered where both reach.

    Parameters
    ----------
    program : the built program.
    fixed, moving : prepared volumes, each in its own world.
    matrix : (4, 4) start, fixed to moving world; None leaves the start to `settings` and registers the whole volume.
        After one that scales or shears the linear step is left out: it brings nothing there.
    moving_labels : label map to carry along; None for none.
    settings : of the program.
    output_stem : what the names of the program's files begin with.
    threads : to use.
    modalities : of the fixed and the moving volume, on which some of the settings depend (`DeedsSettings.for_pair`).
    with_image : whether deeds carries the moving image along, as its own map says; no step after it is in that.
    scans : the fixed and the moving volume as they were before they were prepared, for the descent; None takes the
        prepared ones.
    body : mask of the fixed volume, round which alone the descent compares the images; None for everywhere.
    is_quiet : whether the log tells nothing of the search.

    Raises
    ------
    TooLittleSharedError
        if the volumes share no place, or a part that is too thin for control points.
    UserError
        if the program refuses them.
    """
    box = _registered_box(fixed, moving, matrix, pair=output_stem.parent.name)
    start = np.eye(4) if matrix is None else matrix
    settings = settings.for_pair(*modalities)
    if not is_rigid(start):
        settings = settings.model_copy(update={"linear": None})
    with working_folder(output_stem.parent / ".deeds") as folder:
        searched = _searched_part(fixed, box, settings)
        settings, remarks = _fitting(settings, searched, pair=output_stem.parent.name)
        _write_inputs(searched, moving, moving_labels, start, folder, settings=settings)
        deeds_program.run_deeds(
            program,
            folder / FIXED,
            folder / MOVING,
            output_stem=output_stem,
            settings=settings,
            moving_labels=None if moving_labels is None else folder / LABELS,
            with_image=with_image,
            threads=threads,
            is_quiet=is_quiet,
        )
        descent = settings.descent
        if descent is None:
            field = folder / "field.nii"
            deeds_program.write_deeds_field(
                program, field, stem=output_stem, grid=folder / FIXED, is_quiet=is_quiet
            )
            return Deformation(read_field(field), box, remarks=remarks)
        fixed_scan, moving_scan = scans or (fixed, moving)
        descended = descend_field(
            program,
            output_stem,
            fixed_scan,
            seen_from(moving_scan, start),
            controls=control_grid(searched, settings=descent),
            settings=descent,
            body=body,
            folder=folder,
            threads=threads,
        )
        return Deformation(descended.field, box, descended.doubt, remarks)


def _registered_box(fixed: Volume, moving: Volume, matrix: NDArray[np.float64] | None, *, pair: str) -> Box:
    """Return the part of the fixed volume that both show after a start, all of it where there is none."""
    if matrix is None:
        size_x, size_y, size_z = fixed.shape
        return slice(0, size_x), slice(0, size_y), slice(0, size_z)
    box = shared_box(fixed, seen_from(moving, matrix))
    if box is None:
        raise TooLittleSharedError(pair, "the volumes share no place after their start")
    return box


def _searched_part(fixed: Volume, box: Box, settings: DeedsSettings) -> Volume:
    """Return a part of the fixed volume on the grid of the search."""
    part = crop_volume(fixed, box=box)
    if settings.spacing_mm is not None:
        part = resample_to_spacing(part, spacing_mm=[settings.spacing_mm] * 3, is_label=False)
    # The field comes back on this grid, through ITK, which knows no shear.
    return straightened(part)


def _write_inputs(
    fixed: Volume,
    moving: Volume,
    moving_labels: Volume | None,
    start: NDArray[np.float64],
    folder: Path,
    *,
    settings: DeedsSettings,
) -> None:
    """Write what deeds reads: the searched part, and what is moving as a start places it in the fixed world."""
    write_volume(fixed, folder / FIXED)
    if settings.spacing_mm is not None:
        moving = not_finer(moving, settings.spacing_mm)
    write_volume(seen_from(moving, start), folder / MOVING)
    if moving_labels is not None:
        write_volume(seen_from(moving_labels, start), folder / LABELS)


def _fitting(settings: DeedsSettings, fixed: Volume, *, pair: str) -> tuple[DeedsSettings, tuple[str, ...]]:
    """Return settings without the levels that leave too few control points in a volume, and what to say of that."""
    size_vox, spacings_mm = min(fixed.shape), spacing_from_affine(fixed.affine)
    both_show = f"both scans show {_lengths(spacings_mm * fixed.shape)} mm of one place"
    levels = settings.levels_for(size_vox, fewest=FEWEST_CONTROL_POINTS)
    if levels is None:
        needed_mm = FEWEST_CONTROL_POINTS * min(settings.grid_spacing_vox) * spacings_mm
        raise TooLittleSharedError(
            pair, f"{both_show}, too little to be registered; expected {_lengths(needed_mm)} mm or more"
        )
    linear = settings.linear and settings.linear.levels_for(size_vox, fewest=FEWEST_OF_LINEAR_STEP)
    left_out = []
    if levels.grid_spacing_vox != settings.grid_spacing_vox:
        left_out.append("the coarsest levels")
    if linear != settings.linear:
        left_out.append("the linear step" if linear is None else "the coarsest levels of the linear step")
    remarks = (f"{both_show}; left out as too coarse for that: {', '.join(left_out)}",) if left_out else ()
    return levels.model_copy(update={"linear": linear}), remarks


def _lengths(lengths: NDArray[np.float64]) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths)


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder and remove it in the end; what a killed run left in it goes first.

    It lies beside the outputs of its pair, so that pairs which run at once share nothing.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
