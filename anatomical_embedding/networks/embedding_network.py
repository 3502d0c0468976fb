"""The embedding network: backbone, fine head, coarse head and, where wanted, semantic head."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.errors import UserError
from anatomical_embedding.networks.feature_pyramid import FeaturePyramid
from anatomical_embedding.networks.resnet3d import ResNet3d
from anatomical_embedding.settings.network import NetworkSettings

PYRAMID_LEVELS = 3


class Embeddings(NamedTuple):
    """Maps of embedding vectors, (B, C, z, y, x) each.

    Index i of a map with stride s has its centre at input voxel s*i + (s - 1)/2, whatever the input's size.
    """

    fine: Tensor
    coarse: Tensor
    semantic: Tensor | None


class EmbeddingNetwork(nn.Module):
    """Dense anatomical embeddings of volumes.

    Weights are drawn from torch's global random generator: Kaiming for the backbone, Xavier for the heads.
    Nothing is ever downloaded.

    Parameters
    ----------
    settings : shape of the network.

    Notes
    -----
    Modules are named as in the published checkpoints: `neck` is the fine head, `read_out_head` the coarse
    one. `backbone(volume)` and the heads may be called one by one, for example to leave a head out in
    training.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        pyramid_channels = settings.stage_channels[:PYRAMID_LEVELS]
        self.backbone = ResNet3d(settings)
        self.neck = FeaturePyramid(pyramid_channels, out_channels=settings.embedding_channels)
        self.read_out_head = FeaturePyramid(
            settings.stage_channels[PYRAMID_LEVELS:], out_channels=settings.coarse_channels
        )
        self.semantic_head: FeaturePyramid | None = None
        if settings.has_semantic_head:
            self.semantic_head = FeaturePyramid(pyramid_channels, out_channels=settings.embedding_channels)
        self.apply(_initialise)
        for head in (self.neck, self.read_out_head, self.semantic_head):
            if head is not None:
                head.apply(_initialise_head)

    def forward(self, volume: Tensor, *, with_semantic_map: bool = True) -> Embeddings:
        """Return the maps of a (B, 1, Z, Y, X) volume of network intensities.

        Parameters
        ----------
        volume : (B, 1, Z, Y, X), any size from the fine stride on; it is neither padded nor cropped.
        with_semantic_map : False leaves the semantic head out, also where the network has one.

        Returns
        -------
        Embeddings
            float32 of unit length over the channels: fine (B, embedding_channels, ...), coarse (B,
            coarse_channels, ...), semantic as fine, or None without that head; sizes as
            `NetworkSettings.level_shapes` tells.
        """
        levels = self.backbone(volume)
        fine = unit_length(self.neck(levels[:PYRAMID_LEVELS]))
        coarse = unit_length(self.read_out_head(levels[PYRAMID_LEVELS:]))
        semantic = None
        if with_semantic_map and self.semantic_head is not None:
            semantic = unit_length(self.semantic_head(levels[:PYRAMID_LEVELS]))
        return Embeddings(fine, coarse, semantic)

    def fine_at_cells_and_coarse(self, volume: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return what `forward` returns of the fine and the coarse head, the fine map not as a whole.

        Parameters
        ----------
        volume : as in `forward`.

        Returns
        -------
        fine_at : gives the (N, embedding_channels) float32 unit vectors of (N,) cells, which count through the maps
            of the batch, each in (z, y, x) order.
        coarse : (B, coarse_channels, ...) float32 map of unit vectors.
        """
        levels = self.backbone(volume)
        merged = self.neck.merged_levels(levels[:PYRAMID_LEVELS])
        coarse = unit_length(self.read_out_head(levels[PYRAMID_LEVELS:]))
        return lambda cells: unit_length(self.neck.at_cells(merged, cells)), coarse

    def semantic_map(self, volume: Tensor) -> Tensor:
        """Return the semantic map of a volume as `forward` does, without the other heads.

        Raises
        ------
        UserError
            if the network has no semantic head.
        """
        if self.semantic_head is None:
            raise UserError("the network has no semantic head; set has_semantic_head: true and train it")
        return unit_length(self.semantic_head(self.backbone(volume)[:PYRAMID_LEVELS]))


def unit_length(vectors: Tensor) -> Tensor:
    """Return vectors of length one over axis 1 (the channels) in float32, also under mixed precision."""
    return F.normalize(vectors.to(torch.float32), dim=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _initialise_head(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
