"""How much a lesion has grown that hardly differs from its surroundings, so that no edge of it is to be found.

Its given mask, grown or shrunken and moved a little, and blurred as the scan blurs, is put into its surroundings
(`surroundings`): all its voxels together tell its size where none of them does. Lesions mostly keep their size, so
another one has to explain more of the scan than what the lesion leaves unexplained does by chance: every size and shift
counts by its likelihood and by how far it is from none (Bayes, a normal prior of the logarithm of the size). What is
left unexplained is no white noise: it counts as often as stretches of it as large as the lesion's radius are alike.
What the scan that shows the lesion tells of its own size, which is known, is taken off.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import softmax

from anatomical_embedding.follow.look import TINY, Look
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.surroundings import STRENGTHS, Comparison, Shapes, Way, compare, samples
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
STEP, REACH = 0.2, 2.4
"""Distance of the samples, and how far they reach, in radii of the lesion."""
SCALES = tuple(1.08**power for power in range(-7, 8))
"""Sizes that are tried, in the former one."""
SHIFTS = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.15, -0.15, 0.3, -0.3))])
"""Of its middle, in its radii."""
USUAL_GROWTH, USUAL_SHIFT = 0.1, 0.15
"""Deviations of the logarithm of the size and of each shift, before the scan is asked."""
LEAST_EVIDENCE = 1.0
"""The scan tells a size if it says at least this much of it, in what is known of it before (inverse variances)."""
BLUR = 0.5
"""Deviation of the Gaussian by which a scan and its linear interpolation blur together, in its voxels."""
BLOCK, WIDEST = 1.0, 1.9
"""Size of the stretches of what is left unexplained, and how far from the middle it counts, in radii."""


@dataclass(frozen=True)
class _Growth:
    """What a scan tells of a lesion: logarithm of its size in the former one, its variance, (3,) shift, and noise."""

    growth: float
    variance: float
    shift: FloatArray
    noise: float


def grown_mask(
    before: Volume, now: Volume, way: Way, lesion: tuple[Source, Look], *, smallest_share: float
) -> tuple[float, FloatArray] | None:
    """Return by which factor a lesion has grown, and (3,) its middle; None where the scan does not tell.

    Parameters
    ----------
    before, lesion : the scan that shows the lesion, the lesion with its mask, and how it looks there.
    now, way : the other scan, and from the lesion to its place there.
    smallest_share : of its contrast that it has to have with what surrounded it.
    """
    source, _ = lesion
    seen = _growth_seen(before, now, way, lesion, smallest_share=smallest_share)
    if seen is None or USUAL_GROWTH**2 < (1.0 + LEAST_EVIDENCE) * seen.variance:
        return None
    # Asked of the scan where the lesion has its size, the same question shows by how much the answer errs.
    itself = Way(way.from_mm, way.from_mm, np.eye(3))
    known = _growth_seen(before, before, itself, lesion, smallest_share=smallest_share, noise=seen.noise)
    if known is None:
        return None
    return float(np.exp(seen.growth - known.growth)), way.carry(source.radius_mm * seen.shift)


def _growth_seen(
    before: Volume,
    now: Volume,
    way: Way,
    lesion: tuple[Source, Look],
    *,
    smallest_share: float,
    noise: float = 0.0,
) -> _Growth | None:
    """Return what a scan tells of the size of a lesion, with at least some noise; None where it does not show it."""
    source, _ = lesion
    if source.mask is None:
        return None
    seen = compare(before, now, way, [lesion], unit_mm=source.radius_mm, step=STEP, reach=REACH)
    if seen is None:
        return None
    tried = list(product(SCALES, SHIFTS))
    shapes = np.stack([_shape(source, source.mask, now, way, change) for change in tried])
    fit = seen.fit(shapes)
    best = int(fit.gain.argmax())
    if fit.gain[best] <= 0.0 or fit.share[best] < smallest_share:
        return None
    strength = np.clip(fit.share[best], *STRENGTHS)
    noise = max(noise, _shared_variance(seen, seen.seen - strength * shapes[best] * seen.expected))
    growths, shifts = np.log([scale for scale, _ in tried]), np.array([shift for _, shift in tried])
    usual = (growths / USUAL_GROWTH) ** 2 + (shifts**2).sum(axis=1) / USUAL_SHIFT**2
    chances = softmax(0.5 * (fit.gain / max(noise, TINY) - usual))
    growth = float(chances @ growths)
    return _Growth(growth, float(chances @ (growths - growth) ** 2), chances @ shifts, noise)


def _shape(
    source: Source, mask: Volume, now: Volume, way: Way, change: tuple[float, FloatArray]
) -> NDArray[np.float32]:
    """Return (N,) how much of the samples a mask covers that has grown and moved, as a scan shows it."""
    scale, shift = change
    cube, is_near = samples(STEP, REACH)
    voxels = mask.voxel_from_world(way.from_mm + source.radius_mm * (cube - shift) / scale)
    share = map_coordinates(mask.array.astype(np.float32), np.moveaxis(voxels, -1, 0), order=1)
    across_mm = np.linalg.norm(now.affine[:3, :3], axis=1)  # of a voxel along the axes of the world
    deviations = BLUR * across_mm / (STEP * source.radius_mm)
    inside = (share >= 0.5).astype(np.float32)  # noqa: PLR2004
    return np.asarray(gaussian_filter(inside, deviations)[is_near])


def _shared_variance(seen: Comparison, unexplained: Shapes) -> float:
    """Return the variance of (N,) samples as far as those of one stretch share it; of white noise its variance."""
    is_near = np.linalg.norm(seen.points, axis=1) < WIDEST
    values = unexplained[is_near].astype(np.float64)
    blocks = np.floor(seen.points[is_near] / BLOCK + 0.5).astype(int)
    _, owner = np.unique(blocks, axis=0, return_inverse=True)
    return float(max(np.mean(values**2), (np.bincount(owner.ravel(), values) ** 2).sum() / len(values)))
