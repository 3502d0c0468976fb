"""Whether a lesion is to be seen at a place: whether its tissue is still there.

Where a lesion is, the mean of its inner part is what it was at the visits that show it, and differs from what
surrounds it as it did; where it is gone, its place looks like its surroundings. The first fails where surroundings are
mixed (bone has an inside and an outside), the second where contrast agent changes the whole organ; both together tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from anatomical_embedding.settings.follow import LookSettings
from anatomical_embedding.volumes.volume import Volume

FloatArray = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)
MOST_CHANGE, CONTRASTS = 1.5, (-0.5, 1.2)
"""Beyond these a likeness tells no more."""
MOST_STEPS = 80
"""From the middle of a cube of samples to its sides: a mask as large as a body would take minutes and many GB."""


@dataclass(frozen=True)
class Patch:
    """Samples of a scan on a cube along the axes of the world.

    Attributes
    ----------
    centre_mm : (3,) its middle.
    step_mm : distance of the samples.
    values : (S, S, S) with S odd; NaN outside the scan.
    """

    centre_mm: FloatArray
    step_mm: float
    values: FloatArray

    @property
    def offsets_mm(self) -> FloatArray:
        """(S, S, S, 3) offsets of the samples from the middle."""
        return cube_offsets(len(self.values) // 2, self.step_mm)

    @property
    def distances_mm(self) -> FloatArray:
        """(S, S, S) distance of the samples from the middle."""
        return np.asarray(np.linalg.norm(self.offsets_mm, axis=-1))


@dataclass(frozen=True)
class Look:
    """How a lesion looks at a visit that shows it.

    Attributes
    ----------
    inner : mean of its inner part, in the units of the scan.
    difference : root mean square difference of the shell round it from that.
    contrast : how much brighter it is than the median of the shell; negative where it is darker.
    deviation : within its inner part.
    """

    inner: float
    difference: float
    contrast: float
    deviation: float

    def visibility(self, settings: LookSettings) -> float:
        """Return 1 for a lesion that can be seen, less for one that hardly differs from its surroundings.

        Examples
        --------
        >>> from anatomical_embedding.settings.follow import delivered_follow_settings
        >>> Look(40.0, 60.0, -35.0, 20.0).visibility(delivered_follow_settings().look)
        0.5
        """
        if not np.isfinite(self.contrast):
            return 1.0
        return float(min(abs(self.contrast) / max(self.deviation, TINY) / settings.visible_contrast, 1.0))


@dataclass(frozen=True)
class Likeness:
    """How a place looks beside a lesion at a visit that shows it; NaN where the scan does not hold it.

    Attributes
    ----------
    change : of the inner part, as a share of how much it differed from its surroundings: about 0 where the lesion is
        there, about 1 where the place looks like what surrounded it.
    contrast : with its surroundings, as a share of the former: about 1 where the lesion is there, about 0 where not.
    weight : how much it tells, by the visibility of the lesion where it was.
    """

    change: float
    contrast: float
    weight: float


def cube_offsets(half: int, step_mm: float) -> FloatArray:
    """Return (2 half + 1, ..., 3) offsets of the samples of a cube from its middle."""
    axis = step_mm * np.arange(-half, half + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def step_of_cube(half_size_mm: float, step_mm: float) -> float:
    """Return how far the samples of a cube are apart: farther than asked for, where it would have too many of them.

    Examples
    --------
    >>> step_of_cube(40.0, 1.2), step_of_cube(400.0, 1.2)
    (1.2, 5.0)
    """
    return max(step_mm, half_size_mm / MOST_STEPS)


def take_patch(scan: Volume, centre_mm: FloatArray, *, half_size_mm: float, step_mm: float) -> Patch:
    """Return the samples of a scan round a place, linear between voxels, `step_of_cube` apart."""
    step_mm = step_of_cube(half_size_mm, step_mm)
    half = int(np.ceil(half_size_mm / step_mm))
    points_mm = cube_offsets(half, step_mm) + centre_mm
    values = values_at(scan, points_mm)
    return Patch(np.asarray(centre_mm, dtype=np.float64), step_mm, values)


def values_at(scan: Volume, points_mm: FloatArray) -> FloatArray:
    """Return (...) the values of a scan at (..., 3) points, linear between voxels; NaN outside."""
    voxels = scan.voxel_from_world(points_mm)
    flat = voxels.reshape(-1, 3)
    # Only the box that is needed is made floating point, whatever the size of the scan.
    low = np.clip(np.floor(flat.min(axis=0)) - 1, 0, np.array(scan.shape) - 1).astype(int)
    high = np.clip(np.ceil(flat.max(axis=0)) + 2, low + 1, scan.shape).astype(int)
    box = scan.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float64)
    values = map_coordinates(box, np.moveaxis(voxels - low, -1, 0), order=1, mode="nearest")
    return np.where(scan.holds(voxels), values, np.nan)


def measure_look(scan: Volume, centre_mm: FloatArray, radius_mm: float, *, settings: LookSettings) -> Look:
    """Return how a ball and what surrounds it look in a scan; NaN where it lies outside."""
    patch = take_patch(scan, centre_mm, half_size_mm=radius_mm * settings.shell[1], step_mm=settings.step_mm)
    distance = patch.distances_mm
    core = patch.values[distance <= _inner_mm(radius_mm, settings)]
    inner = _mean(core)
    shell = patch.values[
        (distance > settings.shell[0] * radius_mm) & (distance <= settings.shell[1] * radius_mm)
    ]
    known = shell[np.isfinite(shell)]
    middle = float(np.median(known)) if len(known) else np.nan
    difference, deviation = (float(np.sqrt(_mean((part - inner) ** 2))) for part in (shell, core))
    return Look(inner, difference, inner - middle, deviation)


def likeness(now: Look, before: Look, *, visibility: float) -> Likeness:
    """Return how a place looks beside a lesion that was there; what is hardly visible tells less.

    Examples
    --------
    >>> likeness(Look(10.0, 90.0, -90.0, 20.0), Look(40.0, 60.0, -60.0, 20.0), visibility=1.0)
    Likeness(change=0.5, contrast=1.5, weight=1.0)
    """
    return Likeness(
        abs(now.inner - before.inner) / max(before.difference, TINY),
        now.contrast / (before.contrast if abs(before.contrast) > TINY else TINY),
        visibility,
    )


def presence(looks: Sequence[Likeness], *, settings: LookSettings) -> float:
    """Return the probability that a lesion is there by how its place looks beside it at other visits.

    NaN where none of them tells it.
    """
    odds = settings.gone_log_odds
    log_odds = [
        look.weight
        * (
            odds.constant
            + odds.change * min(look.change, MOST_CHANGE)
            + odds.contrast * min(max(look.contrast, CONTRASTS[0]), CONTRASTS[1])
        )
        for look in looks
        if np.isfinite([look.change, look.contrast]).all()
    ]
    return float(1.0 / (1.0 + np.exp(np.mean(log_odds)))) if log_odds else np.nan


def _inner_mm(radius_mm: float, settings: LookSettings) -> float:
    return max(settings.inner * radius_mm, settings.smallest_inner_mm)


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
