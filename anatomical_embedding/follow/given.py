"""Lesions that a user gives at a later visit: which of those followed so far they are, and which are new.

A lesion that is followed is the nearest given one, if its place lies in or near that. Several followed lesions in one
given mask have merged; one followed lesion whose extent holds several given ones has split; what nobody explains is
new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from anatomical_embedding.follow.lesion_input import GivenLesions
from anatomical_embedding.volumes.affine import Points

SURE_DEVIATIONS = 2.0
"""A lesion is surely outside the scan where it would have to be off by more of these to reach in."""


@dataclass(frozen=True)
class Assigned:
    """What the lesions given at a visit are.

    Attributes
    ----------
    parts : number of a followed lesion -> numbers, in the file of the visit, of what it is now; none where it is not
        among them.
    new : numbers in the file that no followed lesion explains.
    """

    parts: Mapping[int, tuple[int, ...]]
    new: tuple[int, ...]

    def sharers(self, lesion: int) -> tuple[int, ...]:
        """Return the followed lesions that a lesion shares its mask with, itself left out."""
        mine = set(self.parts.get(lesion, ()))
        return tuple(other for other, parts in self.parts.items() if other != lesion and mine & set(parts))


def voxels_mm(given: GivenLesions) -> dict[int, Points]:
    """Return by number in its file the (N, 3) world points of what each given lesion covers; one for a point."""
    if given.masks is None:
        return {lesion.number: lesion.point_mm[np.newaxis] for lesion in given.lesions}
    voxels = np.argwhere(given.masks.array > 0)
    numbers = given.masks.array[tuple(voxels.T)]
    points = given.masks.world_from_voxel(voxels)
    return {lesion.number: points[numbers == lesion.number] for lesion in given.lesions}


def assign_given(
    covered_mm: Mapping[int, Points],
    followed: Sequence[int],
    places_mm: Points,
    radii_mm: Sequence[float],
    *,
    depths_mm: Sequence[float],
    depth_error_mm: float,
    near_mm: float,
) -> Assigned:
    """Return which given lesions the followed ones are.

    Parameters
    ----------
    covered_mm : number in the file -> (N, 3) points that it covers.
    followed, places_mm, radii_mm : numbers of the followed lesions, (L, 3) where they are expected at the visit, NaN
        where that is outside it, and how large they were.
    depths_mm : how deep inside the scan the body farther in puts their middles; negative outside, NaN where unknown.
    depth_error_mm : deviation of these.
    near_mm : a given lesion is a followed one if this near to its place, or within its radius.

    Notes
    -----
    A lesion that lies wholly outside the scan, by two deviations, is none of those given there. One that reaches in
    may be: its user gives the part that the scan shows.
    """
    trees = {number: cKDTree(points) for number, points in covered_mm.items()}
    middles = {number: points.mean(axis=0) for number, points in covered_mm.items()}
    parts: dict[int, tuple[int, ...]] = {}
    for lesion, place, radius, depth in zip(followed, places_mm, radii_mm, depths_mm, strict=True):
        is_outside = depth + radius < -SURE_DEVIATIONS * depth_error_mm  # never where the depth is NaN
        if not np.isfinite(place).all() or not trees or is_outside:
            continue
        apart = {number: float(tree.query(place)[0]) for number, tree in trees.items()}
        nearest = min(apart, key=apart.__getitem__)
        reach_mm = max(near_mm, radius)
        if apart[nearest] > reach_mm:
            continue
        # The parts of a split lesion lie on both sides of where it was, each with its middle within its former extent.
        beside = [
            number
            for number, middle in middles.items()
            if apart[number] <= reach_mm and np.linalg.norm(middle - place) <= reach_mm + radius / 2.0
        ]
        parts[lesion] = tuple(sorted({nearest, *beside}))
    parts = _each_to_the_nearest(parts, followed, places_mm, trees)
    explained = {number for numbers in parts.values() for number in numbers}
    return Assigned(parts, tuple(number for number in covered_mm if number not in explained))


def _each_to_the_nearest(
    parts: dict[int, tuple[int, ...]],
    followed: Sequence[int],
    places_mm: Points,
    trees: Mapping[int, cKDTree],
) -> dict[int, tuple[int, ...]]:
    """Return the parts without those that are nearest to another lesion: two that stay apart did not split."""
    places = dict(zip(followed, places_mm, strict=True))
    nearest = {
        lesion: min(numbers, key=lambda number: float(trees[number].query(places[lesion])[0]))
        for lesion, numbers in parts.items()
    }
    return {
        lesion: tuple(
            number
            for number in numbers
            if number == nearest[lesion]
            or all(other == lesion or nearest[other] != number for other in parts)
        )
        for lesion, numbers in parts.items()
    }
