"""Organs of a registered pair: those of the moving scan on the fixed one, by the start alone and by the whole map."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.evaluation.registration.organ_overlap import OrganOverlap, measure_organs
from anatomical_embedding.registration.displacement_field import (
    DisplacementField,
    Sampling,
    resample_all_through,
)
from anatomical_embedding.registration.shared_view import seen_from
from anatomical_embedding.registration.starting_position import on_fixed_grid
from anatomical_embedding.volumes.volume import Volume, VolumeHeader


def measure_carried_organs(
    moving_labels: Volume,
    fixed_labels: Volume,
    *,
    matrix: NDArray[np.float64],
    start: Literal["world", "centres"],
    whole: DisplacementField,
    organs: Sequence[str],
) -> tuple[OrganOverlap, ...]:
    """Return the overlap of every organ before and after the registration, where both maps reach the moving scan.

    Parameters
    ----------
    moving_labels : organs of the moving scan, on its own voxels.
    fixed_labels : those of the fixed scan; their voxels are the grid of the comparison.
    matrix : (4, 4) fixed to moving, world mm RAS+, that the registration began with.
    start : what lay on one another after that: equal world coordinates, or the centres of the volumes.
    whole : displacements of the whole map.
    organs : names of the labels 1, 2, ...
    """
    everywhere = Volume(np.ones(moving_labels.shape, dtype=np.uint8), moving_labels.affine)
    before, reached = (
        on_fixed_grid(seen_from(volume, matrix), fixed_labels, start=start, is_label=True, fill_value=0)
        for volume in (moving_labels, everywhere)
    )
    grid = VolumeHeader(fixed_labels.shape, fixed_labels.affine)
    (after,) = resample_all_through(whole, [Sampling(moving_labels, True, 0)], grid=grid)
    is_shared = (reached.array > 0) & after.is_reached
    return measure_organs(before, after.volume, fixed_labels, is_shared=is_shared, organs=organs)
