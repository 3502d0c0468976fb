"""Running the network over a volume piece by piece, exactly.

The stem and the first stage work at or near full resolution, and the heads are as large as the embedding itself:
computed at once their intermediate results dwarf everything else. Here each piece of their output is computed
from just the input that it depends on, so the result is that of one pass, and memory is bounded by the size of a
piece. The first stage goes by rows (slices along z); the heads go by blocks, so that the cells that nobody needs
are left out. The deeper stages are small and run at once: their cells see so far that those outside the body
decide on the ones inside.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anatomical_embedding.embedding.needed_cells import Cells, pieces
from anatomical_embedding.networks.embedding_network import PYRAMID_LEVELS, EmbeddingNetwork
from anatomical_embedding.networks.feature_pyramid import FeaturePyramid
from anatomical_embedding.networks.receptive_field import HEAD_KERNEL, reach_along
from anatomical_embedding.networks.resnet3d import Levels
from anatomical_embedding.settings.network import NetworkSettings, ShapeZyx


class MapBlock(NamedTuple):
    """A block of a map.

    Attributes
    ----------
    cells : its cells along z, y and x.
    vectors : (1, C, z, y, x), not normalised.
    """

    cells: Cells
    vectors: Tensor


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
    for rows in pieces(range(shape[0]), thickness):
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
    convolved = _convolved_rows(backbone.conv1.conv, described, stem_rows)
    stem = backbone.relu(backbone.conv1.bn(convolved)).to(dtype)
    level = backbone.first_stage(stem)
    return level.narrow(2, rows.start - stem_rows.start // stage_stride, len(rows))


def _convolved_rows(convolution: nn.Conv3d, features: Tensor, rows: range) -> Tensor:
    """Return some rows of a convolution's result.

    The rows beside the needed ones serve as padding, so that none is computed in vain; beyond the ends of the
    volume the padding is zero, as in one piece.

    Parameters
    ----------
    convolution : with "same" padding.
    features : (1, C, z, y, x) of the whole volume.
    rows : wanted rows of the result.
    """
    margin, stride = convolution.kernel_size[0] // 2, convolution.stride[0]
    start = rows.start * stride - margin
    stop = (rows.stop - 1) * stride + margin + 1
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


def head_in_blocks(
    head: FeaturePyramid, levels: Levels, *, settings: NetworkSettings, blocks: Iterable[Cells]
) -> Iterator[MapBlock]:
    """Give the wanted blocks of a head on the first levels (fine or semantic), one after the other.

    Parameters
    ----------
    head : of the network.
    levels : of features, at least those that the head reads.
    settings : of the network.
    blocks : wanted cells along z, y and x; small ones stay in the processor's cache.
    """
    merged = head.merged_coarser_levels(levels[1:PYRAMID_LEVELS])
    if merged is None:
        raise ValueError("a head on a single level has nothing to stream")
    first, second, *_ = settings.level_strides_zyx
    ratio_z, ratio_y, ratio_x = (coarse // fine for fine, coarse in zip(first, second, strict=True))
    ratio = (ratio_z, ratio_y, ratio_x)
    for block in blocks:
        summed = _summed_levels(head, levels[0], merged, ratio=ratio, block=block)
        yield MapBlock(block, _convolved(summed, head.last_convolution))


def _convolved(features: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Return the result of a convolution without padding, whatever the size of the block.

    On a processor torch 2.13 takes kernels of its own, a tenth as fast as those of oneDNN, for a float32 input whose
    numbers of channels, slices and rows multiply to 20480 or less, as those of a block of 32 channels do.
    """
    weight, bias = convolution.weight, convolution.bias
    if (
        features.device.type != "cpu"
        or features.dtype != torch.float32
        or not torch.backends.mkldnn.is_available()
    ):
        return F.conv3d(features, weight, bias)
    return torch.mkldnn_convolution(
        features, weight, bias, padding=(0, 0, 0), stride=(1, 1, 1), dilation=(1, 1, 1), groups=1
    )


def _summed_levels(
    head: FeaturePyramid, finest: Tensor, merged: Tensor, *, ratio: ShapeZyx, block: Cells
) -> Tensor:
    """Return the sum of all levels for a block and the cells beside it, zero beyond the volume.

    Parameters
    ----------
    head : of the network.
    finest : (1, C, z, y, x) first level.
    merged : sum of the coarser levels, whose cells are `ratio` times as large.
    ratio : along z, y and x.
    block : wanted cells.
    """
    margin = HEAD_KERNEL // 2
    wanted = [range(cells.start - margin, cells.stop + margin) for cells in block]
    inside = [
        range(max(0, cells.start), min(size, cells.stop))
        for cells, size in zip(wanted, finest.shape[2:], strict=True)
    ]
    here = head.merged_finest_level(_part(finest, inside), None)
    _add_repeated(here, merged, ratio=ratio, cells=inside)
    before = [part.start - whole.start for part, whole in zip(inside, wanted, strict=True)]
    after = [whole.stop - part.stop for part, whole in zip(inside, wanted, strict=True)]
    if not any(before) and not any(after):
        return here
    return F.pad(here, (before[2], after[2], before[1], after[1], before[0], after[0]))


def _add_repeated(target: Tensor, coarser: Tensor, *, ratio: ShapeZyx, cells: Sequence[range]) -> None:
    """Add coarser features to the given cells of the next finer level, each to all cells that lie in it.

    This is the addition of features repeated to the size of the finer level (nearest neighbour), without the
    repeated features ever being in memory.
    """
    for phase in itertools.product(*(range(step) for step in ratio)):
        # Of the cells with this remainder: the first within the target, and the coarser cell that contains it.
        first = [
            -(-(part.start - offset) // step) * step + offset
            for part, offset, step in zip(cells, phase, ratio, strict=True)
        ]
        place = tuple(
            slice(start - part.start, None, step)
            for start, part, step in zip(first, cells, ratio, strict=True)
        )
        view = target[(slice(None), slice(None), *place)]
        source = [
            range(start // step, start // step + size)
            for start, step, size in zip(first, ratio, view.shape[2:], strict=True)
        ]
        view += _part(coarser, source)


def _part(features: Tensor, cells: Sequence[range]) -> Tensor:
    return features[(slice(None), slice(None), *(slice(part.start, part.stop) for part in cells))]
