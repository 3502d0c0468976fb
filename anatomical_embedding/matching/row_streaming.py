"""Running the network over a volume some rows at a time, exactly.

Rows are slices along z. The stem and the first stage work at or near full resolution, and the heads are as
large as the embedding itself: computed in one piece their intermediate results dwarf everything else. Here
each piece of their output is computed from just the input rows that it depends on, so the result is that of
one piece, and memory is bounded by the number of rows. The deeper stages are small and run at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.networks.embedding_network import PYRAMID_LEVELS, EmbeddingNetwork
from anatomical_embedding.networks.feature_pyramid import FeaturePyramid
from anatomical_embedding.networks.receptive_field import HEAD_KERNEL, reach_along
from anatomical_embedding.networks.resnet3d import Levels
from anatomical_embedding.settings.network import NetworkSettings


class MapRows(NamedTuple):
    """Some rows of a map.

    Attributes
    ----------
    rows : indices of the rows along z.
    vectors : (1, C, len(rows), y, x), not normalised.
    """

    rows: range
    vectors: Tensor


def pieces(rows: range, *, thickness: int) -> Iterator[range]:
    """Cut a range of rows into pieces of at most `thickness` rows."""
    for start in range(rows.start, rows.stop, thickness):
        yield range(start, min(start + thickness, rows.stop))


def rows_read(rows: range, *, stride: int, reach: int, num_rows: int, alignment: int) -> range:
    """Return the input rows that a step needs for some rows of its output.

    Parameters
    ----------
    rows : of the output.
    stride : of the step.
    reach : of the step, in input rows.
    num_rows : of the input.
    alignment : the first row returned is a multiple of this.
    """
    first = max(0, rows.start * stride - reach) // alignment * alignment
    return range(first, min(num_rows, rows.stop * stride + reach))


def levels_in_rows(
    network: EmbeddingNetwork, described: Tensor, *, dtype: torch.dtype, thickness: int
) -> Levels:
    """Return the levels of features of a volume, the first made `thickness` rows at a time.

    Parameters
    ----------
    network : in evaluation mode, the stem in float32 and the rest in `dtype`.
    described : (1, input_channels, Z, Y, X) float32, what the stem reads.
    dtype : of the levels.
    thickness : rows of the first level at a time.
    """
    settings = network.settings
    z, y, x = described.shape[2:]
    shape = settings.level_shapes((z, y, x))[0]
    first = torch.empty(
        (1, settings.stage_channels[0], *shape),
        dtype=dtype,
        device=described.device,
        memory_format=torch.channels_last_3d,
    )
    for rows in pieces(range(shape[0]), thickness=thickness):
        first[:, :, rows.start : rows.stop] = _first_level_rows(network, described, dtype=dtype, rows=rows)
    return network.backbone.deeper_stages(first)


def _first_level_rows(
    network: EmbeddingNetwork, described: Tensor, *, dtype: torch.dtype, rows: range
) -> Tensor:
    """Return some rows of the first level of features."""
    settings, backbone = network.settings, network.backbone
    reach = reach_along(settings, axis=0)
    stem_stride = settings.stem_stride_zyx[0]
    stage_stride = settings.fine_stride_zyx[0] // stem_stride
    stem_rows = rows_read(
        rows,
        stride=stage_stride,
        reach=(reach.first_level - reach.stem) // stem_stride,
        num_rows=-(-described.shape[2] // stem_stride),
        alignment=stage_stride,
    )
    convolved = convolved_rows(backbone.conv1.conv, described, first_row=0, rows=stem_rows)
    stem = backbone.relu(backbone.conv1.bn(convolved)).to(dtype)
    level = backbone.first_stage(stem)
    return level.narrow(2, rows.start - stem_rows.start // stage_stride, len(rows))


def convolved_rows(convolution: nn.Conv3d, features: Tensor, *, first_row: int, rows: range) -> Tensor:
    """Return some rows of a convolution's result.

    The rows beside the needed ones serve as padding, so that none is computed in vain; beyond the ends of the
    volume the padding is zero, as in one piece.

    Parameters
    ----------
    convolution : with "same" padding.
    features : (1, C, z, y, x), all that the wanted rows depend on within the volume.
    first_row : index in the volume of the first row of `features`.
    rows : wanted rows of the result.
    """
    margin, stride = convolution.kernel_size[0] // 2, convolution.stride[0]
    start = rows.start * stride - margin - first_row
    stop = (rows.stop - 1) * stride + margin + 1 - first_row
    available = features[:, :, max(0, start) : stop]
    before = max(0, -start)
    after = stop - start - before - available.shape[2]
    if before or after:
        available = F.pad(available, (0, 0, 0, 0, before, after))
    return F.conv3d(
        available,
        convolution.weight,
        convolution.bias,
        stride=convolution.stride,
        padding=(0, convolution.kernel_size[1] // 2, convolution.kernel_size[2] // 2),
    )


def head_in_rows(
    head: FeaturePyramid, levels: Levels, *, settings: NetworkSettings, rows: range, thickness: int
) -> Iterator[MapRows]:
    """Give the wanted rows of a head on the first levels (fine or semantic), `thickness` rows at a time."""
    merged = head.merged_coarser_levels(levels[1:PYRAMID_LEVELS])
    if merged is None:
        raise ValueError("a head on a single level has nothing to stream")
    ratio = settings.level_strides_zyx[1][0] // settings.level_strides_zyx[0][0]
    for piece in pieces(rows, thickness=thickness):
        read = rows_read(
            piece, stride=1, reach=HEAD_KERNEL // 2, num_rows=levels[0].shape[2], alignment=ratio
        )
        coarser = merged[:, :, read.start // ratio : -(-read.stop // ratio)]
        summed = head.merged_finest_level(_rows_of(levels[0], read), coarser)
        vectors = convolved_rows(head.last_convolution, summed, first_row=read.start, rows=piece)
        yield MapRows(piece, vectors)


def _rows_of(features: Tensor, rows: range) -> Tensor:
    return features[:, :, rows.start : rows.stop]
