"""Settings of the embedding network: widths, kernels and strides."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from anatomical_embedding.settings.base import Settings

Channels = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Stride = Annotated[int, Field(ge=1, le=2)]
KernelZyx = tuple[Kernel, Kernel, Kernel]
StrideZyx = tuple[Stride, Stride, Stride]
ShapeZyx = tuple[int, int, int]

AXES = ("z", "y", "x")


class SelfSimilaritySettings(Settings):
    """An input that CT and MR share, in place of the intensities: how much a voxel resembles its neighbours."""

    distances_vox: tuple[Annotated[int, Field(ge=1, le=8)], ...] = Field(min_length=1)
    """Distances of the six neighbours; every distance gives six channels."""
    patch_radius_vox: int = Field(ge=0, le=4)
    """Voxels are compared by the patches around them, of this radius."""
    noise_standard_deviation: float = Field(gt=0.0)
    """Differences below this, on the network's intensity scale, count as noise."""

    @property
    def num_channels(self) -> int:
        """Number of channels."""
        return 6 * len(self.distances_vox)

    @property
    def reach_vox(self) -> int:
        """How many voxels away the farthest voxel lies that a channel depends on."""
        return max(self.distances_vox) + self.patch_radius_vox


class NetworkSettings(Settings):
    """Shape of the embedding network; one set of values is the published network.

    All triples are in the order (z, y, x) of the network's tensors. A residual stage has two blocks, as in
    ResNet-18.
    """

    stem_channels: Channels
    """Channels of the first convolution; published: 64."""

    stem_kernel_zyx: KernelZyx
    """Kernel of the first convolution, odd; published: [3, 7, 7]."""

    stem_stride_zyx: StrideZyx
    """Stride of the first convolution; published: [1, 1, 1], that is full resolution."""

    stage_channels: tuple[Channels, Channels, Channels, Channels]
    """Channels of the four residual stages; published: [64, 128, 256, 512]."""

    stage_kernels_zyx: tuple[KernelZyx, KernelZyx, KernelZyx, KernelZyx]
    """Kernels of the four residual stages, odd; published: [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3]]."""

    stage_strides_zyx: tuple[StrideZyx, StrideZyx, StrideZyx, StrideZyx]
    """Strides of the four residual stages; published: [[1, 2, 2], [1, 2, 2], [1, 2, 2], [2, 2, 2]]."""

    pool_zyx: StrideZyx
    """Window of the maximum pooling after the first stage, [1, 1, 1] for none; published: [2, 1, 1]."""

    embedding_channels: Channels
    """Channels of the fine map, and of the semantic map where there is one; published: 128."""

    coarse_channels: Channels
    """Channels of the coarse map; published: 128."""

    has_semantic_head: bool
    """Whether the network has the semantic head; published: false for SAM, true for SAM++ and Cross-SAM."""

    self_similarity: SelfSimilaritySettings | None = None
    """Descriptors that the network sees instead of intensities; published: none. Short trainings across modalities
    take off with it and not without."""

    @property
    def input_channels(self) -> int:
        """Number of channels that the first convolution reads."""
        return 1 if self.self_similarity is None else self.self_similarity.num_channels

    @model_validator(mode="after")
    def _check_kernels_and_strides(self) -> Self:
        named_steps = [("stem", self.stem_kernel_zyx, self.stem_stride_zyx)] + [
            (f"stage {number}", kernel, stride)
            for number, (kernel, stride) in enumerate(
                zip(self.stage_kernels_zyx, self.stage_strides_zyx, strict=True), start=1
            )
        ]
        for name, kernel, stride in named_steps:
            _check_step(name, kernel, stride)
        if self.coarse_stride_zyx == self.fine_stride_zyx:
            raise ValueError(
                f"the coarse map has the stride {list(self.fine_stride_zyx)} of the fine map; give stage 2, "
                "3 or 4 a stride of 2 along some axis"
            )
        return self

    @property
    def level_strides_zyx(self) -> tuple[ShapeZyx, ShapeZyx, ShapeZyx, ShapeZyx]:
        """Strides in input voxels of the four levels of features (the outputs of the four stages)."""
        first = _product(self.stem_stride_zyx, self.stage_strides_zyx[0], self.pool_zyx)
        second = _product(first, self.stage_strides_zyx[1])
        third = _product(second, self.stage_strides_zyx[2])
        return first, second, third, _product(third, self.stage_strides_zyx[3])

    @property
    def fine_stride_zyx(self) -> ShapeZyx:
        """Stride of the fine and the semantic map in input voxels; published: (2, 2, 2)."""
        return self.level_strides_zyx[0]

    @property
    def coarse_stride_zyx(self) -> ShapeZyx:
        """Stride of the coarse map in input voxels; published: (4, 16, 16)."""
        return self.level_strides_zyx[3]

    def level_shapes(self, shape_zyx: ShapeZyx) -> tuple[ShapeZyx, ShapeZyx, ShapeZyx, ShapeZyx]:
        """Return the sizes of the four levels for an input of any size.

        Convolutions round a size up, the pooling rounds it down. The first size is that of the fine map, the
        last that of the coarse map.
        """
        shape = _divided_up(_divided_up(shape_zyx, self.stem_stride_zyx), self.stage_strides_zyx[0])
        first = _triple(size // window for size, window in zip(shape, self.pool_zyx, strict=True))
        second = _divided_up(first, self.stage_strides_zyx[1])
        third = _divided_up(second, self.stage_strides_zyx[2])
        return first, second, third, _divided_up(third, self.stage_strides_zyx[3])


def _check_step(name: str, kernel: KernelZyx, stride: StrideZyx) -> None:
    """Refuse even kernels, and strides that would skip voxels."""
    for axis, taps, step in zip(AXES, kernel, stride, strict=True):
        if taps % 2 == 0:
            raise ValueError(
                f"{name} has a kernel of {taps} along {axis}; kernels must be odd to have a centre"
            )
        if step > taps:
            raise ValueError(
                f"{name} has stride {step} but a kernel of {taps} along {axis}, so it would skip every other "
                "slice; use a kernel of at least 3 there, or pool_zyx"
            )


def _triple(values) -> ShapeZyx:
    z, y, x = values
    return z, y, x


def _product(*strides: tuple[int, int, int]) -> ShapeZyx:
    return _triple(math.prod(along_axis) for along_axis in zip(*strides, strict=True))


def _divided_up(shape: ShapeZyx, stride: StrideZyx) -> ShapeZyx:
    return _triple(-(-size // step) for size, step in zip(shape, stride, strict=True))
