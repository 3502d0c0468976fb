"""The refinement of matches between two scans: which scans can be compared, and how."""

import numpy as np
from numpy.typing import ArrayLike

from anatomical_embedding.matching.voxel_refinement import RefinedMatches, refine_matches
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.raw_scan import RawScan

REFINED = "yes"
TWO_MODALITIES = "only scans of one modality are compared"


def refine_between(
    template: RawScan,
    target: RawScan,
    query_points_mm: ArrayLike,
    matches_mm: ArrayLike,
    *,
    settings: RefinementSettings,
) -> RefinedMatches:
    """Return matches moved to the voxel where two scans tell the place; see `refine_matches`.

    Parameters
    ----------
    template, target : scans of one modality; between others every match stands as it was.
    query_points_mm, matches_mm : (N, 3) mm RAS+, each in the world of its scan; NaN where there is no match.
    """
    if template.modality == target.modality:
        return refine_matches(template.volume, target.volume, query_points_mm, matches_mm, settings=settings)
    given_mm = np.array(matches_mm, dtype=np.float64).reshape(-1, 3)
    number = len(given_mm)
    unknown = np.full(number, np.nan)
    return RefinedMatches(
        given_mm, np.zeros(number, bool), (TWO_MODALITIES,) * number, np.zeros(number), unknown, unknown
    )


def refined_words(moved: RefinedMatches) -> tuple[str, ...]:
    """Return (N,) `yes`, or why a match was not moved."""
    return tuple(reason or REFINED for reason in moved.reason)
