"""Random monotone curves of intensity, with inversion: views of one scan that look like other modalities.

Source: Cross-SAM (Bai et al., arXiv 2307.03535), the aggressive contrast augmentation of its first stage.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.settings.training import HistogramShiftSettings
from anatomical_embedding.settings.volumes import IntensitySettings


def shift_histogram(
    patch: torch.Tensor,
    body: Callable[[], torch.Tensor],
    *,
    settings: HistogramShiftSettings,
    intensity: IntensitySettings,
    generator: np.random.Generator,
) -> torch.Tensor:
    """Return the (Z, Y, X) patch with a new curve of intensities inside the body; a patch without body stays.

    Parameters
    ----------
    patch : network intensities.
    body : gives the (Z, Y, X) bool patch that is true inside the body; asked where the histogram is shifted.
    settings : probabilities and number of control points.
    intensity : the network's input range.
    generator : source of all random numbers.
    """
    if generator.random() >= settings.probability:
        return patch
    # NumPy picks and puts back what a mask shows ten times as fast as PyTorch.
    is_body, values = body().numpy(), patch.numpy()
    if not is_body.any():
        return patch
    inside = ((values[is_body] - intensity.output_offset) / intensity.output_span).clip(0.0, 1.0)
    if generator.random() < settings.invert_probability:
        inside = 1.0 - inside
    low, high = 0.0, 1.0
    if generator.random() < settings.stretch_probability:
        low, high = float(inside.min()), float(inside.max())
    smallest, largest = settings.num_control_points
    moved = draw_monotone_points(int(generator.integers(smallest, largest + 1)), generator=generator)
    curve = np.interp(inside, np.linspace(low, high, len(moved)), moved)
    shifted = values.copy()
    shifted[is_body] = curve * intensity.output_span + intensity.output_offset
    return torch.from_numpy(shifted)


def draw_monotone_points(num_points: int, *, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return (num_points,) rising numbers from 0 to 1.

    From left to right each point but the ends is drawn between its left neighbour, moved already, and its right one,
    not moved yet.
    """
    points = np.linspace(0.0, 1.0, num_points)
    for index in range(1, num_points - 1):
        points[index] = generator.uniform(points[index - 1], points[index + 1])
    return points
