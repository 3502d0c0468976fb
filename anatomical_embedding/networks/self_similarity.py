"""How much a place resembles its neighbours: an input that CT and MR share.

Source: Heinrich et al., "MIND: Modality independent neighbourhood descriptor for multi-modal deformable
registration" (Medical Image Analysis 2012), with the six-neighbourhood at one or several distances. Intensities
enter by squared differences alone, so an inverted or stretched contrast leaves the descriptor nearly as it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.settings.network import SelfSimilaritySettings

NEIGHBOURS = 6


class SelfSimilarity(nn.Module):
    """Turns intensities into descriptors; it has no weights.

    Parameters
    ----------
    settings : neighbours, patch and noise.
    """

    def __init__(self, settings: SelfSimilaritySettings) -> None:
        super().__init__()
        self.settings = settings

    @torch.no_grad()
    def forward(self, volume: Tensor) -> Tensor:
        """Return the (B, channels, Z, Y, X) descriptors of a (B, 1, Z, Y, X) volume of network intensities.

        Each distance gives six channels, exp(-D / V): D is the mean squared difference of the patches at a voxel and
        at one of its neighbours, V the mean of the six D plus the noise. Beyond the border the volume goes on with
        its outermost voxels.
        """
        # Padding is slow where the strides say "channels innermost", which means nothing of a single channel.
        volume = volume.float().squeeze(1).unsqueeze(1)
        descriptors = volume.new_empty(
            len(volume), NEIGHBOURS * len(self.settings.distances_vox), *volume.shape[2:]
        )
        for number, distance in enumerate(self.settings.distances_vox):
            channels = descriptors.narrow(1, number * NEIGHBOURS, NEIGHBOURS)
            self._write_exponents(volume, distance, channels)
        return descriptors.exp_()

    def _write_exponents(self, volume: Tensor, distance: int, channels: Tensor) -> None:
        """Write the -D / V of the six neighbours at a distance into as many channels.

        Sums over the patch stand for its means: the number of voxels cancels, but for the noise.
        """
        radius = self.settings.patch_radius_vox
        padded = F.pad(volume, (distance + radius,) * 6, mode="replicate")
        sums = []
        for axis in (2, 3, 4):
            forward = _patch_sums(padded, axis=axis, distance=distance, radius=radius)
            size = volume.shape[axis]
            sums += [forward.narrow(axis, distance, size), forward.narrow(axis, 0, size)]
        total = sums[0] + sums[1]
        for summand in sums[2:]:
            total += summand
        num_voxels = (2 * radius + 1) ** 3
        noise = num_voxels * self.settings.noise_standard_deviation**2
        scale = total.div_(-NEIGHBOURS).sub_(noise).reciprocal_()
        for channel, summand in enumerate(sums):
            torch.mul(summand, scale, out=channels.narrow(1, channel, 1))


def _patch_sums(padded: Tensor, *, axis: int, distance: int, radius: int) -> Tensor:
    """Return the sums over the patch of the squared difference of each voxel to the next one along an axis.

    The two other axes have the size of the volume again; along the axis itself the first `distance` rows belong to
    the voxels before the volume.
    """
    length = padded.shape[axis] - distance
    squared = (padded.narrow(axis, distance, length) - padded.narrow(axis, 0, length)).square_()
    for other in (2, 3, 4):
        if other != axis:
            squared = squared.narrow(other, distance, squared.shape[other] - 2 * distance)
        squared = _running_sum(squared, axis=other, radius=radius)
    return squared


def _running_sum(values: Tensor, *, axis: int, radius: int) -> Tensor:
    """Return the sums over 2 * radius + 1 rows; the axis becomes shorter by 2 * radius."""
    if radius == 0:
        return values
    length = values.shape[axis] - 2 * radius
    total = values.narrow(axis, 0, length) + values.narrow(axis, 1, length)
    for row in range(2, 2 * radius + 1):
        total += values.narrow(axis, row, length)
    return total
