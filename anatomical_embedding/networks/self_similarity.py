"""How much a place resembles its neighbours: an input that CT and MR share.

Source: Heinrich et al., "MIND: Modality independent neighbourhood descriptor for multi-modal deformable
registration" (Medical Image Analysis 2012), with the six-neighbourhood at one or several distances. Intensities
enter by squared differences alone, so an inverted or stretched contrast leaves the descriptor nearly as it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.settings.network import SelfSimilaritySettings


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
        volume = volume.float()
        return torch.cat(
            [self._descriptors(volume, distance) for distance in self.settings.distances_vox], dim=1
        )

    def _descriptors(self, volume: Tensor, distance: int) -> Tensor:
        radius = self.settings.patch_radius_vox
        padded = F.pad(volume, (distance + radius,) * 6, mode="replicate")
        differences = []
        for axis in (2, 3, 4):
            forward = _patch_distances(padded, axis=axis, distance=distance, radius=radius)
            size = volume.shape[axis]
            differences += [forward.narrow(axis, distance, size), forward.narrow(axis, 0, size)]
        patches = torch.cat(differences, dim=1)
        variance = patches.mean(dim=1, keepdim=True) + self.settings.noise_standard_deviation**2
        return torch.exp(-patches / variance)


def _patch_distances(padded: Tensor, *, axis: int, distance: int, radius: int) -> Tensor:
    """Return the patch distance of each voxel to the next one along an axis.

    The two other axes have the size of the volume again; along the axis itself the first `distance` rows belong to
    the voxels before the volume.
    """
    length = padded.shape[axis] - distance
    squared = (padded.narrow(axis, distance, length) - padded.narrow(axis, 0, length)).square()
    for other in (2, 3, 4):
        if other != axis:
            squared = squared.narrow(other, distance, squared.shape[other] - 2 * distance)
        squared = _running_mean(squared, axis=other, radius=radius)
    return squared


def _running_mean(values: Tensor, *, axis: int, radius: int) -> Tensor:
    """Return the means over 2 * radius + 1 rows; the axis becomes shorter by 2 * radius."""
    length = values.shape[axis] - 2 * radius
    total = values.narrow(axis, 0, length).clone()
    for row in range(1, 2 * radius + 1):
        total += values.narrow(axis, row, length)
    return total.div_(2 * radius + 1)
