"""The refinement of matches between two scans: by what they are compared."""

from numpy.typing import ArrayLike

from anatomical_embedding.matching.match_evidence import Anchors
from anatomical_embedding.matching.voxel_refinement import RefinedMatches, refine_matches
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.raw_scan import RawScan

REFINED = "yes"


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


def refined_words(moved: RefinedMatches) -> tuple[str, ...]:
    """Return (N,) `yes`, or why a match was not moved."""
    return tuple(reason or REFINED for reason in moved.reason)
