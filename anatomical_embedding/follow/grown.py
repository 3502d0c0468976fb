"""How much a lesion has grown that hardly differs from its surroundings, so that no edge of it is to be found.

Its given mask, grown or shrunken and moved a little, is put into its surroundings (`surroundings`): all its voxels
together tell its size where none of them does.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.follow.look import Look
from anatomical_embedding.follow.seen import Source
from anatomical_embedding.follow.surroundings import Way, compare
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
STEP, REACH = 0.2, 2.4
"""Distance of the samples, and how far they reach, in radii of the lesion."""
SCALES = tuple(1.08**power for power in range(-7, 8))
"""Sizes that are tried, in the former one."""
SHIFTS = np.vstack([np.zeros(3), *(share * np.eye(3) for share in (0.15, -0.15, 0.3, -0.3))])
"""Of its middle, in its radii."""


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
    if source.mask is None:
        return None
    seen = compare(before, now, way, [lesion], unit_mm=source.radius_mm, step=STEP, reach=REACH)
    if seen is None:
        return None
    tried = list(product(SCALES, SHIFTS))
    offsets = np.stack([(seen.points - shift) / scale for scale, shift in tried])
    voxels = source.mask.voxel_from_world(way.from_mm + source.radius_mm * offsets)
    array = source.mask.array.astype(np.float32)
    shapes = map_coordinates(array, np.moveaxis(voxels, -1, 0), order=1) >= 0.5  # noqa: PLR2004
    fit = seen.fit(shapes.astype(np.float32))
    best = int(fit.gain.argmax())
    if fit.gain[best] <= 0.0 or fit.share[best] < smallest_share:
        return None
    scale, shift = tried[best]
    return scale, way.carry(source.radius_mm * shift)
