"""The passes of the descent, from a wide ball to a narrow one, and how far the end of each is believed.

What a pass leaves unexplained tells whether it found the place: a lesion that grew draws the wide one along, and the
narrow one may be lost among noise, the aliasing of thick slices, or fat.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from anatomical_embedding.matching.local_descent import descend
from anatomical_embedding.matching.surroundings import Surroundings
from anatomical_embedding.settings.refinement import DescentSettings

MOST_LOST = 10.0
"""Times by which a pass may leave more unexplained than the wider one before it, which averages noise: on known warps
with noise of 20 and 60 HU one that left more was seldom nearer, and mostly the place that was found has been lost."""
FAR_SHARE, MOST_ALLOWED = 0.5, 2.0
"""After this share of its reach a pass may leave unexplained what `min_correlation` allows, after a longer or shorter
way less or more in inverse proportion, but no more than so many times as much: a lesion that grew draws the wide first
pass millimetres along and is not explained by that, and where little is to be seen noise is a large share of it."""


def descended(
    template: Surroundings,
    target: Surroundings,
    shift_mm: NDArray[np.float64],
    *,
    left_out_mm: NDArray[np.float64],
    settings: DescentSettings,
) -> NDArray[np.float64]:
    """Return (N, 3) shifts of places after the passes that are believed.

    Parameters
    ----------
    template, target : what is seen around N points, and around N places.
    shift_mm : (N, 3) of the places to begin at, from the middle of what is seen.
    left_out_mm : (N,) radius of the ball in the middle that changed, and does not count in the first pass. The smaller
        balls of the others lie in it, and what they leave unexplained tells whether they are to be believed.
    settings : the passes, and what they have to explain.
    """
    matrices, correlation = torch.eye(3).repeat(len(shift_mm), 1, 1), np.zeros(len(shift_mm))
    for index, samples in enumerate(settings.passes):
        step = descend(
            template,
            target,
            shift_mm,
            matrices=matrices,
            left_out_mm=left_out_mm,
            settings=settings,
            samples=samples,
        )
        moved_mm = np.linalg.norm(step.shift_mm, axis=1)
        ways = moved_mm / (FAR_SHARE * samples.reach_mm)
        allowed = (1.0 - settings.min_correlation) / np.maximum(ways, 1.0 / MOST_ALLOWED)
        share = ((moved_mm <= samples.reach_mm) & (1.0 - step.correlation <= allowed)).astype(np.float64)
        if index:  # the ball before was wider, and less at the mercy of noise
            share *= 1.0 - step.correlation <= MOST_LOST * (1.0 - correlation)
            share *= np.interp(step.gain, (settings.chance_gain, settings.sure_gain), (0.0, 1.0))
        shift_mm = shift_mm + share[:, np.newaxis] * step.shift_mm
        matrices, correlation = step.matrices, step.correlation
        left_out_mm = np.zeros_like(left_out_mm)
    return shift_mm
