"""Changes of intensity of one view, on the network's intensity scale."""

from collections.abc import Callable

import numpy as np
import torch

from anatomical_embedding.patches.histogram_shift import shift_histogram
from anatomical_embedding.settings.training import AugmentationSettings
from anatomical_embedding.settings.volumes import IntensitySettings

SMALLEST_BLUR_VOX = 0.1
"""Narrower kernels change nothing and are skipped."""


def augment_intensity(
    patch: torch.Tensor,
    body: Callable[[], torch.Tensor],
    *,
    settings: AugmentationSettings,
    intensity: IntensitySettings,
    generator: np.random.Generator,
) -> torch.Tensor:
    """Return the (Z, Y, X) float32 patch with histogram, contrast, brightness, blur and noise drawn at random.

    Parameters
    ----------
    patch : network intensities.
    body : gives the (Z, Y, X) bool patch that is true inside the body; only a shift of the histogram asks for it.
    settings : what is drawn.
    intensity : the network's input range.
    generator : source of all random numbers.
    """
    if settings.histogram_shift is not None:
        patch = shift_histogram(
            patch, body, settings=settings.histogram_shift, intensity=intensity, generator=generator
        )
    patch = patch * generator.uniform(*settings.contrast_range) + generator.uniform(
        *settings.brightness_range
    )
    blur_vox = generator.uniform(*settings.blur_standard_deviation_range_vox)
    if blur_vox > SMALLEST_BLUR_VOX:
        patch = _blurred(patch, blur_vox)
    noise = generator.uniform(*settings.noise_standard_deviation_range)
    if noise > 0.0:
        patch = patch + noise * torch.from_numpy(generator.standard_normal(patch.shape, dtype=np.float32))
    return patch


def _blurred(patch: torch.Tensor, deviation_vox: float) -> torch.Tensor:
    # MONAI takes 3 CPU s to load, which trainings without a blur need not wait for.
    from monai.transforms import GaussianSmooth  # noqa: PLC0415
    from monai.utils import convert_to_tensor  # noqa: PLC0415

    # It answers with its own kind of tensor, which would follow every operation of the network.
    return convert_to_tensor(GaussianSmooth(sigma=deviation_vox)(patch[None]), track_meta=False)[0]
