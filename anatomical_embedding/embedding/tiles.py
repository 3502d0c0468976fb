"""Cutting a volume into overlapping tiles that fit in memory and give exact results.

Along every axis a tile keeps a part of the volume and reads a halo around it that covers the reach of the
network. Parts begin at multiples of the coarse stride, so that the strided convolutions of a tile fall on the
same voxels as those of the whole volume.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from anatomical_embedding.errors import UserError
from anatomical_embedding.settings.network import ShapeZyx


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in input voxels: what it reads and which part of that it keeps.

    Attributes
    ----------
    read_start, read_stop : voxels that the network sees.
    start, stop : voxels whose cells are kept.
    is_last : whether the span keeps all cells up to the end of the axis.
    """

    read_start: int
    read_stop: int
    start: int
    stop: int
    is_last: bool

    def kept_cells(self, *, stride: int, num_cells: int) -> slice:
        """Return the kept cells of a map with `num_cells` along this axis, as indices of the whole map."""
        return slice(self.start // stride, num_cells if self.is_last else self.stop // stride)

    def first_read_cell(self, *, stride: int) -> int:
        """Return the index in the whole map of the first cell that the tile computes."""
        return self.read_start // stride

    @property
    def read_length(self) -> int:
        """Number of voxels read."""
        return self.read_stop - self.read_start


Tile = tuple[Span, Span, Span]
"""Spans along z, y and x."""


def split_axis(size: int, *, core: int, halo: int) -> list[Span]:
    """Return the spans that together keep an axis of `size` voxels.

    Parameters
    ----------
    size : voxels along the axis.
    core : voxels that a span keeps, a multiple of the coarse stride.
    halo : voxels read on either side, a multiple of the coarse stride.
    """
    return [
        Span(
            read_start=max(0, start - halo),
            read_stop=min(size, start + core + halo),
            start=start,
            stop=min(size, start + core),
            is_last=start + core >= size,
        )
        for start in range(0, size, core)
    ]


def plan_tiles(
    shape_zyx: ShapeZyx, *, stride_zyx: ShapeZyx, reach_zyx: ShapeZyx, max_voxels: float
) -> list[Tile]:
    """Return the tiles of at most `max_voxels` read voxels that cost the least in total.

    Parameters
    ----------
    shape_zyx : voxels of the volume.
    stride_zyx : coarse stride of the network.
    reach_zyx : reach of the network in voxels.
    max_voxels : largest number of voxels that a tile may read.

    Raises
    ------
    UserError
        if even the smallest tile reads more.
    """
    choices_by_axis = [
        _choices(size, stride=stride, reach=reach)
        for size, stride, reach in zip(shape_zyx, stride_zyx, reach_zyx, strict=True)
    ]
    fitting = [
        choice for choice in itertools.product(*choices_by_axis) if _largest_tile(choice) <= max_voxels
    ]
    if not fitting:
        smallest = min(_largest_tile(choice) for choice in itertools.product(*choices_by_axis))
        raise UserError(
            f"memory_limit_mb is too small for this network: the smallest exact tile of a volume of "
            f"{shape_zyx} voxels reads {smallest} voxels, the limit allows {max_voxels:.0f}; "
            f"raise it about {smallest / max(max_voxels, 1.0):.1f} times"
        )
    spans_z, spans_y, spans_x = min(fitting, key=_total_voxels)
    return list(itertools.product(spans_z, spans_y, spans_x))


def _choices(size: int, *, stride: int, reach: int) -> list[list[Span]]:
    """Return the ways to cut an axis into 1, 2, 3, ... spans of nearly equal length."""
    halo = -(-reach // stride) * stride
    num_blocks = -(-size // stride)
    cores = sorted({-(-num_blocks // parts) * stride for parts in range(1, num_blocks + 1)}, reverse=True)
    return [split_axis(size, core=core, halo=halo) for core in cores]


def _largest_tile(spans_by_axis: Sequence[list[Span]]) -> int:
    largest = 1
    for spans in spans_by_axis:
        largest *= max(span.read_length for span in spans)
    return largest


def _total_voxels(spans_by_axis: Sequence[list[Span]]) -> int:
    total = 1
    for spans in spans_by_axis:
        total *= sum(span.read_length for span in spans)
    return total
