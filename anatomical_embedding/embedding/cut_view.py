"""A smaller field of view: an embedding, and its scan, without what lies above or below some height.

With it answers can be asked for places that a target does not show, although its scan does and they are known. The
vectors that are left still know what lay beyond the cut, as far as the network sees.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anatomical_embedding.embedding.store import EmbeddedVolume, HeadMap
from anatomical_embedding.embedding.upsampling import grid_interpolation, norms_of_upsampled
from anatomical_embedding.errors import UserError
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.cell_centres import affine_of_cells
from anatomical_embedding.volumes.prepare import crop_volume
from anatomical_embedding.volumes.volume import Volume


def cut_view(embedded: EmbeddedVolume, *, low_mm: float, high_mm: float) -> EmbeddedVolume:
    """Return an embedding of the slabs whose middle lies between two heights.

    Parameters
    ----------
    embedded : whose third axis runs along the body, as that of every prepared volume.
    low_mm, high_mm : along the third axis of the world, RAS+; infinite to leave that end.

    Raises
    ------
    UserError
        if no slab of coarse cells lies there.

    Notes
    -----
    It is cut between coarse cells, so that the grids of all heads stay what they would be for the smaller volume.
    """
    stride = embedded.coarse.stride_vox[2]
    middle = (np.array(embedded.shape) - 1) / 2.0
    starts = np.arange(embedded.coarse.shape_zyx[0]) * stride
    centres = np.column_stack([np.tile(middle[:2], (len(starts), 1)), starts + (stride - 1) / 2.0])
    heights_mm = embedded.world_from_voxel(centres)[:, 2]
    kept = np.flatnonzero((heights_mm >= low_mm) & (heights_mm <= high_mm))
    if not len(kept):
        raise UserError(f"{embedded.volume_id}: nothing of it lies between {low_mm:g} and {high_mm:g} mm")
    first, last = int(starts[kept[0]]), min(int(starts[kept[-1]]) + stride, embedded.shape[2])
    affine = embedded.affine.copy()
    affine[:3, 3] = transform_points(embedded.affine, [0.0, 0.0, float(first)])
    fine = _cut(embedded.fine, first, last, affine)
    coarse = _cut(embedded.coarse, first, last, affine)
    axes = grid_interpolation(
        fine.shape_zyx,
        coarse.shape_zyx,
        stride_fine=fine.stride_zyx,
        stride_coarse=coarse.stride_zyx,
    )
    return replace(
        embedded,
        fine=fine,
        coarse=coarse,
        semantic=None if embedded.semantic is None else _cut(embedded.semantic, first, last, affine),
        coarse_norm=norms_of_upsampled(coarse.values, axes=axes),
        shape=(*embedded.shape[:2], last - first),
        affine=affine,
    )


def cut_volume(volume: Volume, *, low_mm: float, high_mm: float) -> Volume:
    """Return the slices of a scan whose middle lies between two heights, the nearest one where none does.

    Parameters
    ----------
    volume : on any grid; it is cut across the axis that runs most along the body.
    low_mm, high_mm : along the third axis of the world, RAS+; infinite to leave that end.
    """
    axis = int(np.abs(volume.affine[2, :3]).argmax())
    centres = np.tile((np.array(volume.shape) - 1) / 2.0, (volume.shape[axis], 1))
    centres[:, axis] = np.arange(len(centres))
    heights_mm = volume.world_from_voxel(centres)[:, 2]
    outside_mm = np.maximum(low_mm - heights_mm, heights_mm - high_mm)
    kept = np.flatnonzero(outside_mm <= max(0.0, outside_mm.min()))
    seen = slice(int(kept[0]), int(kept[-1]) + 1)
    x, y, z = (seen if each == axis else slice(0, size) for each, size in enumerate(volume.shape))
    return crop_volume(volume, box=(x, y, z))


def _cut(head: HeadMap, first: int, last: int, affine: NDArray[np.float64]) -> HeadMap:
    """Return the cells of a head over the voxels from `first` up to `last` along the third axis."""
    stride = head.stride_vox[2]
    kept = slice(first // stride, -(-last // stride))
    return HeadMap(
        head.values[kept],
        None if head.scale is None else head.scale[kept],
        head.stride_vox,
        affine_of_cells(affine, stride_vox=head.stride_vox),
    )
