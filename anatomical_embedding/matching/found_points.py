"""Points of a template found in a target: matched, moved to the voxel by the scans, and what then speaks for each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.confidence import SCAN_FEATURES
from anatomical_embedding.matching.expected_places import distances_mm
from anatomical_embedding.matching.match_evidence import Anchors, Evidence, measure_evidence
from anatomical_embedding.matching.methods import CYCLE_COLUMN, match_by
from anatomical_embedding.matching.nearest import Matches
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.settings.confidence import EvidenceSettings
from anatomical_embedding.settings.matching import MatchingMethod
from anatomical_embedding.settings.refinement import RefinementSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.raw_scan import RawScan
from anatomical_embedding.volumes.volume import Volume

if TYPE_CHECKING:
    from anatomical_embedding.matching.coarse_registration import CoarseRegistration


@dataclass(frozen=True)
class Scans:
    """The scans behind two embeddings, and how they move a match.

    Attributes
    ----------
    template, target : the scans.
    settings : how they are searched.
    register : registers them coarsely, or tells by None that they cannot be; None to search round the matches alone.
    """

    template: RawScan
    target: RawScan
    settings: RefinementSettings
    register: "Callable[[], CoarseRegistration | None] | None" = None

    def carried(self, points_mm: Points) -> Points:
        """Return where the registration carries (N, 3) points of the template; NaN where it does not."""
        registration = None if self.register is None else self.register()
        return np.full(points_mm.shape, np.nan) if registration is None else registration.carried(points_mm)


@dataclass(frozen=True)
class Weighing:
    """What is needed to measure what speaks for a place (`measure_evidence`).

    Attributes
    ----------
    template_body : body mask of the template; None where it is not known.
    find_anchors : the points of both scans by which places are judged.
    settings : what is measured.
    """

    template_body: Volume | None
    find_anchors: Callable[[], Anchors]
    settings: EvidenceSettings


@dataclass(frozen=True)
class FoundPoints:
    """What was found for N points, in their order.

    Attributes
    ----------
    matches : where they were found, similarity and reasons of failure.
    columns : name -> (N,) what else the way of matching tells (`match_by`), of the match before it was moved.
    refined : (N,) `yes`, or why a match was not moved to the voxel by the scans, and whether the registration moved it;
        None where there are no scans.
    shift_mm : (N,) how far from its match it lies then; 0 where it was not moved.
    evidence : what speaks for the places found; None where that was not asked.
    """

    matches: Matches
    columns: dict[str, NDArray]
    refined: tuple[str, ...] | None
    shift_mm: NDArray[np.float64]
    evidence: Evidence | None


def find_points(
    method: MatchingMethod,
    template: PreparedTarget,
    target: PreparedTarget,
    points_mm: Points,
    *,
    with_way_back: bool,
    scans: Scans | None,
    weighing: Weighing | None,
) -> FoundPoints:
    """Return where points of the template lie in the target.

    Parameters
    ----------
    method : the way of matching.
    template, target : prepared for the same settings.
    points_mm : (N, 3) mm RAS+ in the template's world.
    with_way_back : `cycle_error_mm` is wanted among the columns, as it is with evidence.
    scans : None to leave matches within their cells.
    weighing : None where nothing is to be measured around the places; with it the scans also look where its anchors
        expect a point.

    Raises
    ------
    UserError
        if the two embeddings come from different models.
    """
    found = match_by(method, template, target, points_mm, with_way_back=with_way_back or weighing is not None)
    matches, refined, shift_mm = found.matches, None, np.zeros(len(points_mm))
    # What is no place of the template, such as the 1e299 that VTK writes for none, is too large to reckon with.
    points_mm = np.where(np.isfinite(matches.points_mm), points_mm, np.nan)
    anchors = None if weighing is None else weighing.find_anchors()
    by_scans: Evidence = dict.fromkeys(SCAN_FEATURES, np.full(len(points_mm), np.nan))
    if scans is not None:
        searched = _searched(scans, points_mm, matches.points_mm, anchors)
        matches = replace(matches, points_mm=searched.points_mm)
        refined, shift_mm = searched.refined, searched.shift_mm
        if weighing is not None:
            by_scans = _seen(scans, points_mm, searched, settings=weighing.settings)
    evidence = None
    if weighing is not None and anchors is not None:
        evidence = by_scans | measure_evidence(
            template,
            target,
            points_mm,
            matches,
            template_body=weighing.template_body,
            cycle_error_mm=found.columns[CYCLE_COLUMN],
            anchors=anchors,
            settings=weighing.settings,
        )
    return FoundPoints(matches, found.columns, refined, shift_mm, evidence)


class _Searched(NamedTuple):
    """Where the scans were searched for N points, and what they tell of the places found."""

    points_mm: Points
    refined: tuple[str, ...]
    shift_mm: NDArray[np.float64]
    is_refined: NDArray[np.bool_]
    correlation: NDArray[np.float64]
    is_carried: NDArray[np.bool_]
    carried_off_mm: NDArray[np.float64]


def _searched(scans: Scans, points_mm: Points, matched_mm: Points, anchors: Anchors | None) -> _Searched:
    """Search the scans where the registration carries each point, else round its match."""
    # Stores, which nothing is refined for, answer before this is loaded.
    from anatomical_embedding.matching.refine_scans import refine_between, refined_words  # noqa: PLC0415

    carried_mm = scans.carried(points_mm)
    carried_off_mm = distances_mm(carried_mm, matched_mm)
    is_carried = np.isfinite(carried_off_mm)
    moved = refine_between(
        scans.template,
        scans.target,
        points_mm,
        np.where(is_carried[:, np.newaxis], carried_mm, matched_mm),
        anchors=anchors,
        settings=scans.settings,
    )
    # Where both scans show the same is known as a box, and some places near its ends are carried out of the target.
    is_answer = moved.is_refined | (is_carried & scans.target.grid.contains(carried_mm))
    points_mm = np.where(is_answer[:, np.newaxis], moved.points_mm, matched_mm)
    return _Searched(
        points_mm,
        refined_words(moved, is_carried=is_carried & is_answer),
        np.nan_to_num(distances_mm(points_mm, matched_mm)),
        moved.is_refined,
        moved.correlation,
        is_carried,
        carried_off_mm,
    )


def _seen(scans: Scans, points_mm: Points, searched: _Searched, *, settings: EvidenceSettings) -> Evidence:
    """Return what the scans tell of the places found (`SCAN_FEATURES`)."""
    from anatomical_embedding.matching.lookalikes import lookalike_distances_mm  # noqa: PLC0415, as above

    volumes = scans.template.volume, scans.target.volume
    lookalike_mm = lookalike_distances_mm(
        volumes[0], points_mm, volumes[1], searched.points_mm, settings=settings.lookalikes
    )
    columns = (
        searched.is_refined.astype(np.float64),
        searched.correlation,
        lookalike_mm,
        np.full(len(points_mm), coarseness_mm(*volumes)),
        searched.is_carried.astype(np.float64),
        searched.carried_off_mm,
    )
    return dict(zip(SCAN_FEATURES, columns, strict=True))


def coarseness_mm(template: Volume, target: Volume) -> float:
    """Return how coarse two scans are together: the longest sides of their voxels, added as errors add.

    Examples
    --------
    >>> thin, thick = (Volume(np.zeros((2, 2, 2)), np.diag([1.0, 1.0, slice_mm, 1.0])) for slice_mm in (3.0, 4.0))
    >>> coarseness_mm(thin, thick)
    5.0
    """
    return float(np.hypot(template.spacing_mm.max(), target.spacing_mm.max()))
