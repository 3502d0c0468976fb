"""Which tracked lesions count, under every published definition.

Three definitions share the names CPM@10mm and CPM@Radius, and their figures must not be compared with each other. Each
is a protocol here: a function that says which pairs count. All work on the native index grid of the target; distances
are index differences times spacing. A failed pair (NaN) is never counted.

Sources: Cai et al., "Deep Lesion Tracker", CVPR 2021 (`dlt`); Yan et al., "SAM", TMI 2022 and Bai et al., "UAE",
2023 (`uae`, `uae_released`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.datasets.lesion_annotations import LesionPairs

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DISTANCE_MM = 10.0
"""The distance of CPM@10mm."""

SMALLEST_RADIUS_MM = 1e-3
"""The published division by the radius is guarded by this."""


@dataclass(frozen=True)
class Hits:
    """Which pairs count under a protocol.

    Attributes
    ----------
    within_10mm : (N,) counted by CPM@10mm.
    within_radius : (N,) counted by CPM@Radius.
    """

    within_10mm: BoolArray
    within_radius: BoolArray


def signed_errors_mm(pairs: LesionPairs, points_vox: FloatArray) -> FloatArray:
    """Return (N, 3) predicted minus true centre along the axes of the annotation, in mm; NaN for failed pairs."""
    return (points_vox - pairs.target_center_vox) * pairs.target_spacing_mm


def center_distances_mm(pairs: LesionPairs, points_vox: FloatArray) -> FloatArray:
    """Return (N,) distance of predicted and true centre in mm; NaN for failed pairs."""
    return np.linalg.norm(signed_errors_mm(pairs, points_vox), axis=1)


def dlt_hits(pairs: LesionPairs, points_vox: FloatArray) -> Hits:
    """Return the pairs within `min(radius, 10 mm)`, and those nearer than the radius."""
    distance = center_distances_mm(pairs, points_vox)
    return Hits(
        within_10mm=distance <= np.minimum(pairs.radius_mm, DISTANCE_MM),
        within_radius=distance / np.maximum(pairs.radius_mm, SMALLEST_RADIUS_MM) < 1.0,
    )


def uae_hits(pairs: LesionPairs, points_vox: FloatArray) -> Hits:
    """Return the pairs within 10 mm, and those inside the box: `low <= p < high` on every axis."""
    is_inside = (pairs.box_low_vox <= points_vox) & (points_vox < pairs.box_high_vox)
    return Hits(center_distances_mm(pairs, points_vox) <= DISTANCE_MM, np.all(is_inside, axis=1))


def uae_released_hits(pairs: LesionPairs, points_vox: FloatArray) -> Hits:
    """Return the pairs within 10 mm, and those inside the box after the released script's reversal of slices.

    In a target of N slices the script moves points to `N-1-z`, but box edges to `N-z`. Its test
    `N - high <= N-1-z < N - low` is `low - 1 < z <= high - 1`: one slice off, and closed at the other end. N
    cancels, so that the number of slices need not be known.
    """
    is_inside = (pairs.box_low_vox <= points_vox) & (points_vox < pairs.box_high_vox)
    z, low, high = points_vox[:, 2], pairs.box_low_vox[:, 2], pairs.box_high_vox[:, 2]
    is_inside[:, 2] = (low - 1.0 < z) & (z <= high - 1.0)
    return Hits(center_distances_mm(pairs, points_vox) <= DISTANCE_MM, np.all(is_inside, axis=1))


@dataclass(frozen=True)
class Protocol:
    """A published definition of CPM@10mm and CPM@Radius.

    Attributes
    ----------
    hits_of : says which pairs count.
    within_10mm, within_radius : what the two shares count, in words.
    """

    hits_of: Callable[[LesionPairs, FloatArray], Hits]
    within_10mm: str
    within_radius: str


PROTOCOLS: Mapping[str, Protocol] = {
    "dlt": Protocol(dlt_hits, "distance <= min(radius, 10 mm)", "distance < radius"),
    "uae": Protocol(uae_hits, "distance <= 10 mm", "inside the box"),
    "uae_released": Protocol(uae_released_hits, "distance <= 10 mm", "inside the box, slices reversed"),
}
"""Published definitions by the names that the scores use."""
