"""Whether two images agree at a start better than around it: evidence that owes nothing to the embeddings.

A network that learned little, or that meets a patient lying the other way up, can map a whole body smoothly onto wrong
places, and a map explains many of these matches. The images then do not agree better than after a shift.

Sources: Roche et al. (1998) for the correlation ratio, which holds for a CT and an MR as well; here its square root,
averaged over both directions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.settings.registration import ImageEvidenceSettings
from anatomical_embedding.volumes.affine import Points, transform_points
from anatomical_embedding.volumes.volume import Volume

LEAST_SAMPLES_PER_BIN = 4
"""Where the images share fewer places, they tell nothing."""


@dataclass(frozen=True)
class ImageEvidence:
    """How far two images agree at a start, and where else they agree best.

    Attributes
    ----------
    agreement : at the start or a little beside it, 0 to 1.
    elsewhere : the highest agreement of the places that were tried instead.
    where : what was tried there, such as `shifted by 25 mm`.
    """

    agreement: float
    elsewhere: float
    where: str

    @property
    def gain(self) -> float:
        """By how much the images agree better at the start than elsewhere."""
        return self.agreement - self.elsewhere


def weigh_images(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_body: Volume,
    moving_body: Volume,
    matrix: NDArray[np.float64],
    settings: ImageEvidenceSettings,
) -> ImageEvidence:
    """Return how far two images agree at a start, and after shifts and turns about the long axis of the body.

    Bodies differ, so that a right start is off by a centimetre or two: what counts is the agreement uphill of it.

    Parameters
    ----------
    fixed, moving : prepared images.
    fixed_body, moving_body : body masks on their grids.
    matrix : (4, 4) start, fixed to moving, world mm RAS+.
    settings : how densely, and what else is tried.

    Notes
    -----
    A tenth of a second for a trunk in voxels of 4 mm.
    """
    points_mm = _lattice_mm(fixed_body, spacing_mm=settings.spacing_mm)
    values = _sampled(_smoothed(fixed, fixed_body, settings), fixed, points_mm)
    seen = _smoothed(moving, moving_body, settings)

    def agreement(places_mm: Points) -> float:
        """Return how far the images agree where the fixed points come to lie at (N, 3) places of the moving image."""
        others = _sampled(seen, moving, places_mm)
        both = np.isfinite(others)
        if both.sum() < LEAST_SAMPLES_PER_BIN * settings.num_bins:
            return 0.0
        return agreement_of(values[both], others[both], num_bins=settings.num_bins)

    mapped_mm, here = _uphill(agreement, transform_points(matrix, points_mm), shift_mm=settings.shift_mm)
    tried = {
        f"shifted by {settings.shift_mm:g} mm": [
            mapped_mm + shift for shift in _shifts_mm(settings.shift_mm, axes=(0, 1, 2))
        ],
        f"turned by {settings.turn_degrees:g} degrees about the long axis": [
            _turned(mapped_mm, moving, sign * settings.turn_degrees) for sign in (-1.0, 1.0)
        ],
        "turned by 180 degrees about the long axis": [
            turned + shift
            for turned in [_turned(mapped_mm, moving, 180.0)]
            for shift in [np.zeros(3), *_shifts_mm(settings.shift_mm, axes=(1,))]
        ],
    }
    best = {what: max(agreement(places) for places in all_places) for what, all_places in tried.items()}
    where = max(best, key=lambda what: best[what])
    return ImageEvidence(here, best[where], where)


def _uphill(
    agreement: Callable[[Points], float], places_mm: Points, *, shift_mm: float
) -> tuple[Points, float]:
    """Return (N, 3) places after the small shift along each axis with which the images agree best, and how far."""
    best = agreement(places_mm)
    for step_mm in (shift_mm / 2.0, shift_mm / 4.0):
        for axis in range(3):
            beside = [places_mm + shift for shift in _shifts_mm(step_mm, axes=(axis,))]
            agreements = [agreement(places) for places in beside]
            if max(agreements) > best:
                best = max(agreements)
                places_mm = beside[agreements.index(best)]
    return places_mm, best


def agreement_of(first: NDArray[np.float64], second: NDArray[np.float64], *, num_bins: int) -> float:
    """Return the root mean square of both correlation ratios of (N,) values, 0 to 1.

    Examples
    --------
    >>> agreement_of(np.array([0.0, 0, 1, 1]), np.array([5.0, 5, 2, 2]), num_bins=2)
    1.0
    >>> agreement_of(np.array([0.0, 0, 1, 1]), np.array([5.0, 2, 5, 2]), num_bins=2)
    0.0
    """
    ratios = [_correlation_ratio(first, second, num_bins), _correlation_ratio(second, first, num_bins)]
    return float(np.sqrt(np.mean(ratios)))


def _correlation_ratio(given: NDArray, explained: NDArray, num_bins: int) -> float:
    """Return the share of the variance of `explained` that bins of `given` with equally many values explain."""
    inner_edges = np.quantile(given, np.linspace(0.0, 1.0, num_bins + 1)[1:-1])
    bins = np.searchsorted(inner_edges, given)
    count = np.bincount(bins, minlength=num_bins)
    mean = np.bincount(bins, weights=explained, minlength=num_bins) / np.maximum(count, 1)
    total = ((explained - explained.mean()) ** 2).sum()
    return float((count * (mean - explained.mean()) ** 2).sum() / total) if total > 0 else 0.0


def _lattice_mm(body: Volume, *, spacing_mm: float) -> Points:
    """Return (N, 3) world points of the voxels of a body that lie about so far apart."""
    steps = np.maximum(np.rint(spacing_mm / body.spacing_mm), 1).astype(int)
    thinned = body.array[:: steps[0], :: steps[1], :: steps[2]]
    return body.world_from_voxel(np.argwhere(thinned > 0) * steps)


def _smoothed(image: Volume, body: Volume, settings: ImageEvidenceSettings) -> NDArray[np.float32]:
    """Return the image without extremes and details: a start is good to a centimetre, and so are its images."""
    # Loaded where it is needed: a pair whose start is given looks at no image.
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    low, high = np.percentile(image.array[body.array > 0], settings.percentiles)
    clipped = np.clip(image.array, low, high).astype(np.float32)
    return gaussian_filter(clipped, settings.smooth_mm / image.spacing_mm)


def _sampled(array: NDArray[np.float32], grid: Volume, points_mm: Points) -> NDArray[np.float64]:
    """Return the (N,) values at (N, 3) world points, NaN outside the field of view."""
    from scipy.ndimage import map_coordinates  # noqa: PLC0415

    inside = grid.spans(points_mm)
    values = np.full(len(points_mm), np.nan)
    values[inside] = map_coordinates(
        array, grid.voxel_from_world(points_mm[inside]).T, order=1, output=np.float64
    )
    return values


def _shifts_mm(length_mm: float, *, axes: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return shifts both ways along some axes of the world."""
    return [sign * length_mm * np.eye(3)[axis] for axis in axes for sign in (-1.0, 1.0)]


def _turned(points_mm: Points, grid: Volume, degrees: float) -> Points:
    """Return (N, 3) points turned about the long axis through the middle of those in the field of view."""
    inside = grid.spans(points_mm)
    seen = points_mm[inside] if inside.any() else points_mm
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2.0
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return (points_mm - middle) @ turn.T + middle
