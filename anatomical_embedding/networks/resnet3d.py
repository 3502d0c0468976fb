"""A three-dimensional ResNet-18 that keeps its first level at high resolution.

Source: the backbone of SAM (Yan et al., 2022, "SAM: Self-supervised learning of pixel-wise anatomical
embeddings in radiological images") and SAM++ (Bai et al., 2023).
Modules are named as in the published checkpoints, so that weights map one to one.
"""

from math import prod

import torch
from torch import Tensor, nn

from anatomical_embedding.networks.few_planes import convolve
from anatomical_embedding.networks.self_similarity import SelfSimilarity
from anatomical_embedding.settings.network import KernelZyx, NetworkSettings, StrideZyx

BLOCKS_PER_STAGE = 2

Levels = tuple[Tensor, Tensor, Tensor, Tensor]
"""Features of the four stages, finest first, each (B, C, z, y, x)."""


class ConvolutionNorm(nn.Module):
    """Convolution without bias, then batch normalisation; "same" padding with zeros."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_zyx: KernelZyx, stride_zyx: StrideZyx
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            in_channels,
            out_channels,
            kernel_zyx,
            stride=stride_zyx,
            padding=(kernel_zyx[0] // 2, kernel_zyx[1] // 2, kernel_zyx[2] // 2),
            bias=False,
        )
        self.bn: nn.Module = nn.BatchNorm3d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, ...) features, each size divided by the stride and rounded up."""
        return self.bn(convolve(self.conv, features))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut around them; the first convolution has the stride."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_zyx: KernelZyx, stride_zyx: StrideZyx
    ) -> None:
        super().__init__()
        self.conv1 = ConvolutionNorm(in_channels, out_channels, kernel_zyx=kernel_zyx, stride_zyx=stride_zyx)
        self.conv2 = ConvolutionNorm(out_channels, out_channels, kernel_zyx=kernel_zyx, stride_zyx=(1, 1, 1))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: ConvolutionNorm | None = None
        if in_channels != out_channels or tuple(stride_zyx) != (1, 1, 1):
            self.downsample = ConvolutionNorm(
                in_channels, out_channels, kernel_zyx=(1, 1, 1), stride_zyx=stride_zyx
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, ...) features."""
        changed = self.conv2(self.relu(self.conv1(features)))
        changed += features if self.downsample is None else self.downsample(features)
        return self.relu(changed)


class ResNet3d(nn.Module):
    """Stem, four residual stages, and a maximum pooling after the first.

    The work falls into three parts so that a long volume can pass through the costly first two piece by
    piece: `stem`, `first_stage` and `deeper_stages`. `describe` gives what the stem reads: the volume itself, or
    its self-similarity.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.describe: nn.Module = nn.Identity()
        if settings.self_similarity is not None:
            self.describe = SelfSimilarity(settings.self_similarity)
        self.conv1 = ConvolutionNorm(
            settings.input_channels,
            settings.stem_channels,
            kernel_zyx=settings.stem_kernel_zyx,
            stride_zyx=settings.stem_stride_zyx,
        )
        self.relu = nn.ReLU(inplace=True)
        # A pooling of single voxels would copy its input there and back.
        self.pool = nn.Identity() if prod(settings.pool_zyx) == 1 else nn.MaxPool3d(settings.pool_zyx)
        widths = (settings.stem_channels, *settings.stage_channels)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(
                widths[stage],
                widths[stage + 1],
                kernel_zyx=settings.stage_kernels_zyx[stage],
                stride_zyx=settings.stage_strides_zyx[stage],
            )
            for stage in range(4)
        )

    def stem(self, described: Tensor) -> Tensor:
        """Return (B, stem_channels, ...) features of a (B, input_channels, Z, Y, X) volume (see `describe`)."""
        return self.relu(self.conv1(described))

    def first_stage(self, features: Tensor) -> Tensor:
        """Return the first level of features: first residual stage and pooling."""
        return self.pool(self.layer1(features))

    def deeper_stages(self, first: Tensor) -> Levels:
        """Return all four levels of features, given the first."""
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)

    def forward(self, volume: Tensor) -> Levels:
        """Return the four levels of features of a (B, 1, Z, Y, X) volume."""
        # Layers keep the layout of what they are given; with channels innermost their convolutions copy nothing.
        described = self.describe(volume).contiguous(memory_format=torch.channels_last_3d)
        return self.deeper_stages(self.first_stage(self.stem(described)))


def _stage(
    in_channels: int, out_channels: int, *, kernel_zyx: KernelZyx, stride_zyx: StrideZyx
) -> nn.Sequential:
    """Return the blocks of one residual stage; the first has the stride."""
    blocks = [BasicBlock(in_channels, out_channels, kernel_zyx=kernel_zyx, stride_zyx=stride_zyx)]
    for _ in range(BLOCKS_PER_STAGE - 1):
        blocks.append(BasicBlock(out_channels, out_channels, kernel_zyx=kernel_zyx, stride_zyx=(1, 1, 1)))
    return nn.Sequential(*blocks)
