"""Embedding whole volumes of any size in bounded memory, without seams.

The result is that of one pass of the network over the whole volume. Memory is saved in two exact ways: stem,
first stage and heads run some rows at a time (`row_streaming`), and a volume that is still too large is cut
into tiles whose halo covers the reach of the network (`tiles`). Time is saved by folding the batch
normalisation into the convolutions, by the memory layout with channels last and, where asked for, by a
shorter number format. The stem always runs in float32: intensities need more than the eight bits of bfloat16,
and without them two thirds of the error of the whole network would come from here. Kernels are rounded so that their
sums stay (`folding.rounded_kernels`).

Volumes are not padded: cell i of a map with stride s lies at voxel s*i + (s - 1)/2 of the volume for every
size, as `volumes.cell_centres` says. Where a size is no multiple of the coarse stride the last
cells reach over the end of the volume (or, for the pooled axis, one last voxel row has no cell of its own),
so a coarse map must be brought to the fine grid by the ratio of the strides and then cut, not by the ratio of
the sizes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomical_embedding.devices import choose_device
from anatomical_embedding.embedding.memory_model import (
    bytes_per_voxel,
    first_level_bytes_per_row,
    head_bytes_per_row,
)
from anatomical_embedding.embedding.needed_cells import Cells, blocks_of, everything, needed_cells
from anatomical_embedding.embedding.row_streaming import MapBlock, head_in_blocks, levels_in_rows
from anatomical_embedding.embedding.tiles import Tile, plan_tiles
from anatomical_embedding.errors import SettingsError, UserError
from anatomical_embedding.networks.embedding_network import (
    PYRAMID_LEVELS,
    EmbeddingNetwork,
    Embeddings,
)
from anatomical_embedding.networks.folding import folded_copy, fuse_blocks, rounded_kernels
from anatomical_embedding.networks.full_float32 import full_float32
from anatomical_embedding.networks.number_formats import FORMATS, computed_precision
from anatomical_embedding.networks.receptive_field import HEAD_KERNEL, reach_along
from anatomical_embedding.settings.embedding import EmbeddingSettings
from anatomical_embedding.settings.network import ShapeZyx

SHARE_FOR_ROWS = 0.125
"""Share of the memory limit for the rows in work, once in the first level and once in the heads; the rest is
for the features of a tile."""

MAX_BYTES_IN_ROWS = 64e6
"""Upper bound of the same: much more than the processor's cache makes it slower, not faster."""

BYTES_IN_BLOCK = 16e6
"""The same for a block of the heads on a processor."""

CELLS_ALONG_Y = 8
"""Cells of such a block along y: enough for its halo to cost little, few enough to follow the outline of a body."""

SMALLEST_LENGTH = 1e-12
"""A shorter vector is divided by this."""

BYTES_PER_MB = 1e6

STEM_PREFIX = "backbone.conv1."


class VolumeEmbedder:
    """A network made ready to embed many volumes.

    Parameters
    ----------
    network : any `EmbeddingNetwork`; it is copied and stays as it is.
    settings : precision, device and memory limit.

    Attributes
    ----------
    precision : computed in, which is fp32 for bf16 on a processor without instructions for it.

    Raises
    ------
    SettingsError
        if the device is not there, or fp16 is asked for on a CPU (which has no fast arithmetic for it).
    """

    def __init__(self, network: EmbeddingNetwork, *, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._device = choose_device(settings.device, key="embedding.device")
        if self._device.type == "cpu" and settings.precision == "fp16":
            raise SettingsError(
                "embedding.precision: fp16 has no fast arithmetic on a CPU (hundreds of times slower); "
                "use bf16 or fp32"
            )
        self.precision = computed_precision(settings.precision, device=self._device)
        self._dtype = FORMATS[self.precision]
        self._bytes_in_rows = min(SHARE_FOR_ROWS * settings.memory_limit_mb * BYTES_PER_MB, MAX_BYTES_IN_ROWS)
        self._network = folded_copy(network).to(self._device)
        for name, parameter in self._network.named_parameters():
            if not name.startswith(STEM_PREFIX):
                parameter.data = rounded_kernels(parameter.data, self._dtype)
        if self._device.type == "cpu":
            fuse_blocks(self._network)
        self._network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        reaches = [reach_along(network.settings, axis=axis) for axis in range(3)]
        self._reach_zyx = (
            max(reaches[0].fine, reaches[0].coarse),
            max(reaches[1].fine, reaches[1].coarse),
            max(reaches[2].fine, reaches[2].coarse),
        )

    @torch.no_grad()
    @full_float32()
    def embed(self, array: NDArray[np.floating], *, region: NDArray[np.bool_] | None = None) -> Embeddings:
        """Return the maps of one volume.

        Parameters
        ----------
        array : (Z, Y, X) float32 of network intensities, at least one fine stride long on each axis.
        region : (Z, Y, X), True where the fine and the semantic map are wanted, the body for example; None for
            everywhere. The vectors there are the same, and all cells that lie outside as a whole hold zeros. It takes
            up to a third off the time.

        Returns
        -------
        Embeddings
            (1, C, z, y, x) tensors on the CPU, of unit length over C, float32 for precision fp32 and float16
            otherwise (a storage format: cast before arithmetic on a CPU). In memory the channels of a cell
            lie beside each other, so `map[0].permute(1, 2, 3, 0)` is contiguous.

        Raises
        ------
        UserError
            if the volume is smaller than a cell, or the memory limit is too small for the network.
        ValueError
            if the region has another shape than the volume.
        """
        settings = self._network.settings
        shape = _checked_shape(array, settings.fine_stride_zyx)
        level_shapes = settings.level_shapes(shape)
        needed = everything(level_shapes[0])
        if region is not None:
            if region.shape != shape:
                raise ValueError(f"the region has the shape {region.shape}, the volume {shape}")
            needed = needed_cells(region, stride_zyx=settings.fine_stride_zyx, shape_zyx=level_shapes[0])
        fine = self._empty_map(settings.embedding_channels, level_shapes[0])
        coarse = self._empty_map(settings.coarse_channels, level_shapes[-1])
        has_semantic_map = settings.has_semantic_head and self._settings.with_semantic_map
        semantic = self._empty_map(settings.embedding_channels, level_shapes[0]) if has_semantic_map else None
        maps = Embeddings(fine, coarse, semantic)
        for tile in self._tiles(shape):
            self._embed_tile(array, tile, maps=maps, needed=needed)
        return maps

    def _tiles(self, shape: ShapeZyx) -> list[Tile]:
        """Return the tiles whose features fit in the memory limit."""
        settings = self._network.settings
        return plan_tiles(
            shape,
            stride_zyx=settings.coarse_stride_zyx,
            reach_zyx=self._reach_zyx,
            max_voxels=(self._settings.memory_limit_mb * BYTES_PER_MB - 2 * self._bytes_in_rows)
            / bytes_per_voxel(settings, bytes_per_value=self._dtype.itemsize),
        )

    def _embed_tile(
        self, array: NDArray[np.floating], tile: Tile, *, maps: Embeddings, needed: NDArray[np.bool_]
    ) -> None:
        """Embed one tile and write the cells it keeps into the maps."""
        network, settings = self._network, self._network.settings
        part = array[tuple(slice(span.read_start, span.read_stop) for span in tile)]
        volume = torch.tensor(np.ascontiguousarray(part, dtype=np.float32))[None, None].to(self._device)
        first_row = first_level_bytes_per_row(
            settings,
            plane_voxels=tile[1].read_length * tile[2].read_length,
            bytes_per_value=self._dtype.itemsize,
        )
        levels = levels_in_rows(
            network,
            network.backbone.describe(volume),
            dtype=self._dtype,
            thickness=_thickness(self._bytes_in_rows, first_row),
        )
        del volume
        coarse = network.read_out_head(levels[PYRAMID_LEVELS:])
        whole = MapBlock(_all_cells(coarse), coarse)
        kept, offset_zyx = _kept_cells(tile, maps.coarse, stride_zyx=settings.coarse_stride_zyx)
        _write(maps.coarse, whole, kept=kept, offset_zyx=offset_zyx, needed=everything(maps.coarse.shape[2:]))
        kept, offset_zyx = _kept_cells(tile, maps.fine, stride_zyx=settings.fine_stride_zyx)
        blocks = [
            _moved(block, offset_zyx, sign=-1)
            for block in blocks_of(needed, cells=kept, size_zy=self._block_size_zy(kept))
        ]
        for head, target in ((network.neck, maps.fine), (network.semantic_head, maps.semantic)):
            if head is not None and target is not None:
                for computed in head_in_blocks(head, levels, settings=settings, blocks=blocks):
                    _write(target, computed, kept=kept, offset_zyx=offset_zyx, needed=needed)

    def _block_size_zy(self, cells: Cells) -> tuple[int, int]:
        """Return the cells along z and y that the heads make at a time: few on a processor, for its cache."""
        _, along_y, along_x = cells
        num_y = len(along_y) if self._device.type == "cuda" else min(len(along_y), CELLS_ALONG_Y)
        per_row = head_bytes_per_row(
            self._network.settings,
            plane_cells=(num_y + HEAD_KERNEL - 1) * (len(along_x) + HEAD_KERNEL - 1),
            bytes_per_value=self._dtype.itemsize,
        )
        budget = (
            self._bytes_in_rows if self._device.type == "cuda" else min(self._bytes_in_rows, BYTES_IN_BLOCK)
        )
        return _thickness(budget, per_row), num_y

    def _empty_map(self, channels: int, shape: ShapeZyx) -> Tensor:
        dtype = torch.float32 if self._settings.precision == "fp32" else torch.float16
        # Pages of zeros that nothing is written to take no memory.
        return torch.zeros((1, *shape, channels), dtype=dtype).permute(0, 4, 1, 2, 3)


def _write(
    target: Tensor, computed: MapBlock, *, kept: Cells, offset_zyx: ShapeZyx, needed: NDArray[np.bool_]
) -> None:
    """Write what a tile keeps of a block, at unit length, into the map of the whole volume.

    Parameters
    ----------
    target : (1, C, z, y, x) map of the whole volume.
    computed : block of the tile's own map.
    kept : cells of the whole map that the tile keeps.
    offset_zyx : cell of the whole map that is the first of the tile's.
    needed : (z, y, x) cells of the whole map that get a vector.
    """
    block = _moved(computed.cells, offset_zyx, sign=1)
    z, y, x = (
        slice(max(cells.start, part.start), min(cells.stop, part.stop))
        for cells, part in zip(block, kept, strict=True)
    )
    local_y, local_x = (
        slice(part.start - cells.start, part.stop - cells.start)
        for part, cells in zip((y, x), block[1:], strict=True)
    )
    for row in range(z.start, z.stop):  # one at a time stays in the processor's cache
        vectors = computed.vectors[0, :, row - block[0].start, local_y, local_x].float()
        length = torch.linalg.vector_norm(vectors, dim=0).clamp_min_(SMALLEST_LENGTH)
        length[torch.from_numpy(~needed[row, y, x]).to(length.device)] = torch.inf
        target[0, :, row, y, x] = vectors.div_(length)


def _kept_cells(tile: Tile, target: Tensor, *, stride_zyx: ShapeZyx) -> tuple[Cells, ShapeZyx]:
    """Return the cells of the whole map that a tile keeps, and the one that is the first of the tile's own map."""
    z, y, x = (
        span.kept_cells(stride=stride, num_cells=num_cells)
        for span, stride, num_cells in zip(tile, stride_zyx, target.shape[2:], strict=True)
    )
    first_z, first_y, first_x = (
        span.first_read_cell(stride=stride) for span, stride in zip(tile, stride_zyx, strict=True)
    )
    cells = range(z.start, z.stop), range(y.start, y.stop), range(x.start, x.stop)
    return cells, (first_z, first_y, first_x)


def _moved(cells: Cells, offset_zyx: ShapeZyx, *, sign: int) -> Cells:
    z, y, x = (
        range(part.start + sign * offset, part.stop + sign * offset)
        for part, offset in zip(cells, offset_zyx, strict=True)
    )
    return z, y, x


def _all_cells(features: Tensor) -> Cells:
    z, y, x = (range(size) for size in features.shape[2:])
    return z, y, x


def _thickness(budget_bytes: float, bytes_per_row: float) -> int:
    return max(1, int(budget_bytes // bytes_per_row))


def _checked_shape(array: NDArray[np.floating], fine_stride_zyx: ShapeZyx) -> ShapeZyx:
    """Return the shape of a volume that the network can embed."""
    if array.ndim != 3:  # noqa: PLR2004, a volume has three axes
        raise UserError(f"cannot embed an array of {array.ndim} axes; expected the three axes (Z, Y, X)")
    if any(size < stride for size, stride in zip(array.shape, fine_stride_zyx, strict=True)):
        raise UserError(
            f"a volume of {array.shape} voxels (z, y, x) is smaller than one cell of {fine_stride_zyx}; "
            "pad it, or leave it out"
        )
    z, y, x = array.shape
    return z, y, x
