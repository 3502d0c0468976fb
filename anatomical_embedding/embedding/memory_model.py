"""How much memory the network needs for a volume, in numbers of activations.

The figures are upper estimates that a test compares with the memory really used.
"""

import math

from anatomical_embedding.settings.network import NetworkSettings

TENSORS_ALIVE_IN_A_BLOCK = 5
"""Input, two results and the shortcut of a residual block, and one copy in the convolution's own layout."""

FLOAT32_BYTES = 4
"""The volume and the stem's result are float32 in every precision."""

NORMALISED_BYTES = 8
"""A vector's component as float32 before and after its division by the length."""


def bytes_per_voxel(settings: NetworkSettings, *, bytes_per_value: int) -> float:
    """Return the bytes that the levels of features and the deeper stages need for one input voxel.

    The input of a stage counts twice: a strided convolution may copy it into a layout of its own.
    """
    levels = [
        channels / math.prod(stride)
        for channels, stride in zip(settings.stage_channels, settings.level_strides_zyx, strict=True)
    ]
    in_stages = [
        sum(levels[:stage]) + levels[stage - 1] + TENSORS_ALIVE_IN_A_BLOCK * levels[stage]
        for stage in (1, 2, 3)
    ]
    merged = settings.embedding_channels / math.prod(settings.level_strides_zyx[1])
    in_heads = sum(levels) + TENSORS_ALIVE_IN_A_BLOCK * merged
    return FLOAT32_BYTES * settings.input_channels + bytes_per_value * max(*in_stages, in_heads)


def first_level_bytes_per_row(settings: NetworkSettings, *, plane_voxels: int, bytes_per_value: int) -> float:
    """Return the bytes that stem and first stage need for one row of the first level."""
    voxels = plane_voxels * settings.fine_stride_zyx[0]
    stem = settings.stem_channels * voxels / math.prod(settings.stem_stride_zyx)
    stage = (
        settings.stage_channels[0]
        * voxels
        / math.prod(settings.fine_stride_zyx)
        * math.prod(settings.pool_zyx)
    )
    return (FLOAT32_BYTES + bytes_per_value) * stem + bytes_per_value * TENSORS_ALIVE_IN_A_BLOCK * stage


def head_bytes_per_row(settings: NetworkSettings, *, plane_cells: int, bytes_per_value: int) -> float:
    """Return the bytes that the fine or the semantic head needs for one row of a block of its map."""
    return (
        settings.embedding_channels
        * plane_cells
        * (TENSORS_ALIVE_IN_A_BLOCK * bytes_per_value + NORMALISED_BYTES)
    )
