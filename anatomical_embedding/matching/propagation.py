"""Organ and lesion masks carried to another scan by the points in and around them.

Points in and around the labels are matched to the target and back; those that come back are anchors. Every place of
the target takes the label of where the anchors around it say that it lies in the template: a robust local affine map,
so that a single wrong match moves nothing. Needs no semantic head and no training on the organ, and so works for
lesions as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from anatomical_embedding.errors import UserError
from anatomical_embedding.matching.carried_labels import (
    MOST_OUTSIDE_IN_A_LABEL_OF_THE_SCAN,
    CarriedLabel,
    held_against_fit,
    judge_label,
    share_in_words,
)
from anatomical_embedding.matching.grid_points import lattice_in_body
from anatomical_embedding.matching.nearest import cycle_errors_mm, match_nearest
from anatomical_embedding.matching.prepared_target import PreparedTarget
from anatomical_embedding.matching.refine_scans import REFINED, refined_words
from anatomical_embedding.matching.smooth_map import fit_shifts, places_by_anchors
from anatomical_embedding.matching.voxel_refinement import RefinedMatches
from anatomical_embedding.settings.matching import MatchingSettings
from anatomical_embedding.settings.usage import PropagationSettings
from anatomical_embedding.volumes.affine import Points
from anatomical_embedding.volumes.grid import Grid, corners_vox
from anatomical_embedding.volumes.segments import label_type
from anatomical_embedding.volumes.volume import Volume

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class CarriedLabels:
    """The label map of the target, and what became of each label.

    Attributes
    ----------
    volume : the labels.
    labels : what became of each.
    refined : `yes`, or why the anchors were not moved to the voxel by the scans; empty where that was not asked.
    """

    volume: Volume
    labels: tuple[CarriedLabel, ...]
    refined: str


@dataclass(frozen=True)
class _Anchors:
    """(N, 3) points of the template and their matches in mm, and whether each came back."""

    template_mm: Points
    target_mm: Points
    is_kept: NDArray[np.bool_]


def carry_by_anchors(
    template: PreparedTarget,
    target: PreparedTarget,
    labels: Volume,
    *,
    template_body: Volume | None,
    grid: Grid,
    matching: MatchingSettings,
    settings: PropagationSettings,
    refine: Callable[[Points, Points], RefinedMatches] | None = None,
    unlike: Callable[[Points], Sequence[str]] | None = None,
) -> CarriedLabels:
    """Return the labels of the template carried to the target.

    Parameters
    ----------
    template, target : both are searched.
    labels : whole numbers on any grid in the world of the template; 0 is no label.
    template_body : its body mask, to ask inside the body only; None to ask everywhere.
    grid : the labels are wanted on its voxels.
    matching, settings : how to search, and how to carry.
    refine : moves the matches of points to the voxel by the scans themselves; None leaves them in their cells.
    unlike : says of points what speaks for their matches that the confidence was not fitted to, empty where nothing
        (`Answers.unlike`); a label is for review where it does of most. None asks nothing.

    Raises
    ------
    UserError
        as `require_labels_in`, and if the embeddings come from different models.

    Notes
    -----
    The cost is that of two searches for each point, at most `max_num_anchors`, of moving at most `max_num_refined` of
    them to the voxel, and about 0.05 ms for each node of a lattice of the points' spacing in the target.
    """
    regions, outside_shares = require_labels_in(template.embedded, labels, name=template.embedded.volume_id)
    asked_mm, distances_mm = _points_around(template, labels, regions, template_body, settings)
    if not len(asked_mm):
        raise UserError(
            f"the labels show nothing in the body of {template.embedded.volume_id!r}; "
            "give the label map of this very scan"
        )
    anchors = _match_forth_and_back(template, target, asked_mm, matching=matching, settings=settings)
    refined = ""
    if refine is not None and anchors.is_kept.any():
        anchors, refined = _refined(anchors, refine, settings=settings)
    carried = np.zeros(grid.shape, dtype=label_type(max(regions)))
    if anchors.is_kept.sum() >= settings.min_anchors:
        _read_labels(carried, labels, anchors, grid=grid, settings=settings)
    rows = []
    for label, mask_mm in regions.items():
        is_near = distances_mm[label] <= settings.margin_mm
        row = judge_label(
            label,
            from_ml=len(mask_mm) * _voxel_ml(labels),
            to_ml=float(np.count_nonzero(carried == label) * _voxel_ml(grid)),
            outside_share=outside_shares[label],
            air_share=0.0
            if template_body is None
            else float(np.mean(template_body.nearest_values(mask_mm) == 0)),
            num_asked=int(is_near.sum()),
            num_anchors=int((is_near & anchors.is_kept).sum()),
            settings=settings,
        )
        if row.decision == "failed":
            carried[carried == label] = 0
        rows.append(row)
    if unlike is not None:
        rows = held_against_fit(rows, regions, unlike)
    return CarriedLabels(Volume(carried, grid.affine), tuple(rows), refined)


def require_labels_in(
    template: Grid, labels: Volume, *, name: str
) -> tuple[dict[int, Points], dict[int, float]]:
    """Return by label the (N, 3) world points of its voxels, and the share of them that lies outside the template.

    Parameters
    ----------
    template : grid of the scan, or of what is embedded of it.
    labels : in its world.
    name : of the scan, for messages.

    Raises
    ------
    UserError
        if the labels are all zero, or most of every one of them lies outside the template: then it is the map of
        another scan, or has lost its place in the world.
    """
    regions = _regions(labels)
    shares = {label: 1.0 - float(template.contains(points).mean()) for label, points in regions.items()}
    least = min(shares.values())
    if least > MOST_OUTSIDE_IN_A_LABEL_OF_THE_SCAN:
        at_least = "" if len(shares) == 1 or least == 1 else " or more"
        of_what = f"label {min(shares)}" if len(shares) == 1 else f"each of its {len(shares)} labels"
        raise UserError(
            f"the label map is not of the scan {name!r}: {share_in_words(least)}{at_least} of {of_what} lies "
            "outside it; give the map of this very scan, with its origin and orientation"
        )
    return regions, shares


def _voxel_ml(grid: Grid) -> float:
    return float(np.prod(grid.spacing_mm)) / MM3_PER_ML


def _regions(labels: Volume) -> dict[int, Points]:
    """Return the (N, 3) world points of the voxels of each label."""
    voxels = np.argwhere(labels.array != 0)
    if not len(voxels):
        raise UserError("the label map is empty: every voxel is 0")
    values = labels.array[tuple(voxels.T)].astype(np.int64)
    points_mm = labels.world_from_voxel(voxels)
    return {int(label): points_mm[values == label] for label in np.unique(values)}


def _points_around(
    template: PreparedTarget,
    labels: Volume,
    regions: dict[int, Points],
    body: Volume | None,
    settings: PropagationSettings,
) -> tuple[Points, dict[int, NDArray[np.float64]]]:
    """Return (N, 3) points in and around the labels, and by label their (N,) distance from it, 0 within."""
    embedded = template.embedded
    within = Volume(np.ones(embedded.shape, np.uint8), embedded.affine) if body is None else body
    spacing_mm = settings.anchor_spacing_mm
    surfaces = {label: _surface(labels, label) for label in regions}
    while True:
        lattice_mm = lattice_in_body(within, spacing_mm=(spacing_mm,) * 3)
        is_label = labels.nearest_values(lattice_mm)
        distances = {
            label: np.where(is_label == label, 0.0, cKDTree(surface).query(lattice_mm)[0])
            for label, surface in surfaces.items()
        }
        is_near = np.min(list(distances.values()), axis=0) <= settings.margin_mm
        if is_near.sum() <= settings.max_num_anchors:
            return lattice_mm[is_near], {label: values[is_near] for label, values in distances.items()}
        spacing_mm *= 1.02 * (is_near.sum() / settings.max_num_anchors) ** (1 / 3)


def _surface(labels: Volume, label: int) -> Points:
    """Return the (N, 3) world points of the outermost voxels of a label."""
    mask = labels.array == label
    return labels.world_from_voxel(np.argwhere(mask & ~binary_erosion(mask)))


def _match_forth_and_back(
    template: PreparedTarget,
    target: PreparedTarget,
    asked_mm: Points,
    *,
    matching: MatchingSettings,
    settings: PropagationSettings,
) -> _Anchors:
    there = match_nearest(template.embedded, target, asked_mm, settings=matching)
    distance_mm = cycle_errors_mm(template, target.embedded, asked_mm, there.points_mm, settings=matching)
    return _Anchors(asked_mm, there.points_mm, distance_mm <= settings.max_cycle_error_mm)  # NaN is not


def _refined(
    anchors: _Anchors, refine: Callable[[Points, Points], RefinedMatches], *, settings: PropagationSettings
) -> tuple[_Anchors, str]:
    """Return anchors of which those that came back are moved to the voxel, and `yes`, or why none was.

    Some of them are compared in the scans; the others go where those around them say.
    """
    kept, target_mm = np.flatnonzero(anchors.is_kept), anchors.target_mm.copy()
    number = min(len(kept), settings.max_num_refined)
    rows = kept[np.linspace(0, len(kept) - 1, number).astype(np.int64)]  # of a lattice, so over all labels
    moved = refine(anchors.template_mm[rows], target_mm[rows])
    if not moved.is_refined.any():
        return anchors, refined_words(moved)[0]
    others, sure = np.setdiff1d(kept, rows), rows[moved.is_refined]
    target_mm[rows] = moved.points_mm
    target_mm[others] = places_by_anchors(
        anchors.template_mm[others], anchors.template_mm[sure], target_mm[sure], settings
    )
    return replace(anchors, target_mm=target_mm), REFINED


def _read_labels(
    carried: NDArray, labels: Volume, anchors: _Anchors, *, grid: Grid, settings: PropagationSettings
) -> None:
    """Set the voxels of the target's grid to the labels of their places in the template.

    A voxel takes a label only if its place leads back to it, which it does not around a lone wrong anchor.
    """
    template_mm, target_mm = anchors.template_mm[anchors.is_kept], anchors.target_mm[anchors.is_kept]
    back, forth = (
        fit_shifts(source_mm, goal_mm, settings=settings)
        for source_mm, goal_mm in ((target_mm, template_mm), (template_mm, target_mm))
    )
    reached = grid.voxel_from_world(back.origin_mm + corners_vox(back.shifts_mm.shape[:3]) * back.step_mm)
    limits = np.array(grid.shape) - 1
    first = np.clip(np.floor(reached.min(axis=0)), 0, limits).astype(int)
    last = np.clip(np.ceil(reached.max(axis=0)), 0, limits).astype(int)
    x, y = np.meshgrid(*(np.arange(first[axis], last[axis] + 1) for axis in (0, 1)), indexing="ij")
    for z in range(first[2], last[2] + 1):
        voxels = np.stack([x, y, np.full_like(x, z)], axis=-1).reshape(-1, 3)
        points_mm = grid.world_from_voxel(voxels)
        places_mm = back.moved(points_mm)
        found = labels.nearest_values(places_mm).astype(np.int64)
        is_label = np.flatnonzero(found)
        returned_mm = forth.moved(places_mm[is_label])
        is_lost = np.linalg.norm(returned_mm - points_mm[is_label], axis=1) > settings.max_cycle_error_mm
        found[is_label[is_lost]] = 0
        carried[tuple(voxels.T)] = found
