"""The refinement of matches between two scans: by what they are compared."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.matching.voxel_refinement import RefinedMatches, refine_matches
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.raw_scan import RawScan

REFINED = "yes"
CARRIED = "by the coarse registration alone: "
"""Of an answer that lies where that carries it: what follows is why the scans did not move it on."""


def refine_between(
    template: RawScan,
    target: RawScan,
    query_points_mm: ArrayLike,
    matches_mm: ArrayLike,
    *,
    settings: RefinementSettings,
    is_exact: bool = True,
    anchors: Anchors | None = None,
) -> RefinedMatches:
    """Return matches moved to the voxel where two scans tell the place; see `refine_matches`.

    Parameters
    ----------
    template, target : scans of any modality; intensities are compared where it is the same.
    query_points_mm, matches_mm : (N, 3) mm RAS+, each in the world of its scan; NaN where there is no match.
    is_exact : whether to go below the voxel where the modality allows; about a millimetre costs half as much.
    anchors : other matches of the two scans, by which a match is expected somewhere; see `refine_matches`.
    """
    return refine_matches(
        template.volume,
        target.volume,
        query_points_mm,
        matches_mm,
        is_same_contrast=is_exact and template.modality == target.modality,
        anchors=anchors,
        settings=settings,
    )


def refined_words(moved: RefinedMatches, *, is_carried: NDArray[np.bool_] | None = None) -> tuple[str, ...]:
    """Return (N,) `yes`, or why a match was not moved to the voxel.

    Parameters
    ----------
    is_carried : (N,) whether a registration carried the query to where the scans were searched, and where the answer
        stays if they do not move it.
    """
    carried = np.zeros(len(moved.reason), dtype=bool) if is_carried is None else is_carried
    return tuple(
        f"{CARRIED}{reason}" if reason and by_registration else reason or REFINED
        for reason, by_registration in zip(moved.reason, carried, strict=True)
    )
