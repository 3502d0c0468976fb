"""Where the tissue of a lesion lies round its place at another visit.

A place follows the body, and a lesion may grow to one side of it: its tissue is told by how far the scan looks like the
lesion and not like what surrounded it.
"""

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.follow.look import TINY, Look, cube_offsets, step_of_cube, values_at
from anatomical_embedding.settings.follow import TissueSettings
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
NUM_STEPS = 4
"""Until a place has moved to the middle of the tissue round it."""


def middle_of_tissue(
    scan: Volume, place_mm: FloatArray, look: Look, radius_mm: float, *, settings: TissueSettings
) -> FloatArray:
    """Return (3,) the middle of the lesion's tissue round a place; the place itself where there is too little.

    Parameters
    ----------
    scan : of the visit.
    place_mm : (3,) where the body puts the lesion.
    look, radius_mm : of the lesion at a visit that shows it.

    Notes
    -----
    Mean shift over a ball of the lesion's radius, weighted by the share of lesion.
    """
    around = look.inner - look.contrast
    contrast = look.contrast if abs(look.contrast) > TINY else TINY
    step_mm = step_of_cube(radius_mm, settings.step_mm)
    offsets = cube_offsets(int(radius_mm / step_mm), step_mm).reshape(-1, 3)
    ball = offsets[np.linalg.norm(offsets, axis=1) <= radius_mm]
    middle = np.asarray(place_mm, dtype=np.float64)
    for _ in range(NUM_STEPS):
        share = np.clip(np.nan_to_num((values_at(scan, middle + ball) - around) / contrast), 0.0, 1.0)
        share[share < settings.smallest_share] = 0.0
        if share.sum() < settings.smallest_part * len(ball):
            return np.asarray(place_mm, dtype=np.float64)
        middle = middle + share @ ball / share.sum()
        moved = middle - place_mm
        distance = float(np.linalg.norm(moved))
        if distance > settings.farthest * radius_mm:
            middle = place_mm + moved * settings.farthest * radius_mm / distance
    return middle
