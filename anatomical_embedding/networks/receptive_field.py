"""How far the cells of the network's maps see: the basis of exact tiles.

For every map a cell i of stride s depends on no input voxel outside `s*i - reach .. s*i + s - 1 + reach`. So
a tile cut with that margin gives the same values as the whole volume.
"""

from typing import NamedTuple

from anatomical_embedding.settings.network import NetworkSettings

CONVOLUTIONS_PER_STAGE = 4
HEAD_KERNEL = 3


class Reach(NamedTuple):
    """Reach along one axis, in input voxels."""

    stem: int
    first_level: int
    fine: int
    coarse: int


def reach_along(settings: NetworkSettings, *, axis: int) -> Reach:
    """Return how far stem, first level, fine and coarse map see along an axis.

    Parameters
    ----------
    settings : of the network.
    axis : 0 for z, 1 for y, 2 for x.

    Notes
    -----
    Convolutions of kernel k on features of stride s add s*(k // 2). The nearest-neighbour repetition in the
    fine head reads the coarser cell that contains the finer one, which begins up to the difference of their
    strides earlier.
    """
    strides = [level[axis] for level in settings.level_strides_zyx]
    described = 0 if settings.self_similarity is None else settings.self_similarity.reach_vox
    reach = stem = described + settings.stem_kernel_zyx[axis] // 2
    stride = settings.stem_stride_zyx[axis]
    reaches = []
    for stage in range(4):
        margin = settings.stage_kernels_zyx[stage][axis] // 2
        stage_stride = stride * settings.stage_strides_zyx[stage][axis]
        reach += margin * (stride + (CONVOLUTIONS_PER_STAGE - 1) * stage_stride)
        reaches.append(reach)
        stride = strides[stage]
    head_margin = HEAD_KERNEL // 2
    seen_by_pyramid = max(
        level_reach + level_stride - strides[0]
        for level_reach, level_stride in zip(reaches[:3], strides[:3], strict=True)
    )
    return Reach(
        stem=stem,
        first_level=reaches[0],
        fine=seen_by_pyramid + head_margin * strides[0],
        coarse=reaches[3] + head_margin * strides[3],
    )
