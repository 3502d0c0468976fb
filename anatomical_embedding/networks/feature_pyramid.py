"""A feature pyramid with one output, at the finest of its levels.

Each level is brought to a common width by a 1x1x1 convolution; the coarser ones are repeated (nearest
neighbour) to the size of the next finer one and added; one 3x3x3 convolution finishes the finest. There is no
nonlinearity. Source: Lin et al. (2017), "Feature pyramid networks for object detection", as SAM uses it. Modules
are named as in the published checkpoints.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.networks.convolution_at_cells import convolution_at_cells
from anatomical_embedding.networks.few_planes import convolve


class Convolution(nn.Module):
    """A convolution with bias and "same" padding."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, z, y, x) features of the same size."""
        return convolve(self.conv, features)


class FeaturePyramid(nn.Module):
    """Levels of features, finest first, to one map of the size of the finest."""

    def __init__(self, level_channels: Sequence[int], *, out_channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(
            Convolution(channels, out_channels, kernel=1) for channels in level_channels
        )
        self.fpn_convs = nn.ModuleList([Convolution(out_channels, out_channels, kernel=3)])

    def merged_coarser_levels(self, coarser_levels: Sequence[Tensor]) -> Tensor | None:
        """Return the sum of all levels but the finest at the size of the second, None where there is none.

        Parameters
        ----------
        coarser_levels : all levels but the finest, finer ones first.
        """
        merged: Tensor | None = None
        laterals = list(self.lateral_convs)[1:]
        for lateral, features in zip(reversed(laterals), reversed(coarser_levels), strict=True):
            merged = _plus_repeated(lateral(features), merged)
        return merged

    def merged_finest_level(self, finest: Tensor, merged: Tensor | None) -> Tensor:
        """Return the sum of all levels at the size of the finest, given that of the coarser ones."""
        return _plus_repeated(self.lateral_convs[0](finest), merged)

    @property
    def last_convolution(self) -> nn.Conv3d:
        """The convolution that turns the sum of all levels into the map."""
        return cast(Convolution, self.fpn_convs[0]).conv

    def merged_levels(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the sum of all levels at the size of the finest, which the last convolution reads."""
        return self.merged_finest_level(levels[0], self.merged_coarser_levels(levels[1:]))

    def at_cells(self, merged: Tensor, cells: Tensor) -> Tensor:
        """Return (N, out_channels) vectors of the map at some cells, not normalised, without making the map.

        Parameters
        ----------
        merged : what `merged_levels` gives.
        cells : (N,) positions that count through the maps of the batch, each in (z, y, x) order.
        """
        last = self.last_convolution
        return convolution_at_cells(merged, last.weight, cast(Tensor, last.bias), cells)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the (B, out_channels, z, y, x) map, not normalised."""
        return convolve(self.last_convolution, self.merged_levels(levels))


def _plus_repeated(features: Tensor, coarser: Tensor | None) -> Tensor:
    """Add coarser features, repeated to the size of the finer ones (nearest neighbour)."""
    if coarser is None:
        return features
    return features + F.interpolate(coarser, size=features.shape[2:], mode="nearest")
