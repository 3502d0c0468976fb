"""From stored voxels to the network's input: axis order and intensity range."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.volumes import IntensitySettings, Modality
from anatomical_embedding.volumes.volume import Volume


class IntensityWindow(NamedTuple):
    """The stored intensities that the network tells apart.

    Attributes
    ----------
    low, high : both ends, in stored units.
    """

    low: float
    high: float


def network_array(volume: Volume) -> NDArray:
    """Return the (Z, Y, X) view of an LPS-ordered volume, the axis order of the network's input."""
    return volume.array.transpose(2, 1, 0)


def normalise_intensity(
    array: NDArray, *, modality: Modality, settings: IntensitySettings
) -> NDArray[np.float32]:
    """Return a whole volume in the network's input range, as float32.

    For a part of a volume take the window of the whole (`intensity_window`) and `apply_window`.

    Raises
    ------
    UserError
        if the volume's window is empty.
    """
    window = intensity_window(array, modality=modality, settings=settings)
    return apply_window(array, window=window, settings=settings)


def intensity_window(array: NDArray, *, modality: Modality, settings: IntensitySettings) -> IntensityWindow:
    """Return the intensities of a whole volume that are mapped to the ends of the network's input range.

    Parameters
    ----------
    array : (X, Y, Z) whole volume, any axis order; CT in HU. Only MR looks at it.
    modality : CT has a fixed window, MR one of percentiles of the volume.
    settings : windows.

    Raises
    ------
    UserError
        if both ends of an MR's window are equal.

    Notes
    -----
    The published code cuts the percentiles to whole numbers, which spoils volumes of a small range; these do
    not.
    """
    if modality == "ct":
        return IntensityWindow(settings.ct_low_hu, settings.ct_high_hu)
    percentiles = (settings.mr_low_percentile, settings.mr_high_percentile)
    low, high = (float(value) for value in np.percentile(array, percentiles))
    if settings.mr_smallest_high is not None:
        high = max(high, settings.mr_smallest_high)
    if high <= low:
        raise UserError(
            f"an MR volume has no contrast: its percentiles {percentiles[0]} and {percentiles[1]} are both "
            f"{low:g}; check the volume or widen the percentiles"
        )
    return IntensityWindow(low, high)


def apply_window(
    array: NDArray, *, window: IntensityWindow, settings: IntensitySettings
) -> NDArray[np.float32]:
    """Return intensities mapped from a window to the network's input range and clipped to it, as float32."""
    mapped = np.clip(array, window.low, window.high, dtype=np.float32)
    mapped -= np.float32(window.low)
    mapped *= np.float32(settings.output_span / (window.high - window.low))
    mapped += np.float32(settings.output_offset)
    return mapped
