"""Tiles keep every cell once, read enough around it, and fit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatomical_embedding.embedding.tiles import plan_tiles, split_axis
from anatomical_embedding.errors import UserError

STRIDES = st.sampled_from([2, 4, 8, 16])


@given(
    size=st.integers(1, 300),
    stride=STRIDES,
    core_blocks=st.integers(1, 20),
    halo_blocks=st.integers(0, 5),
    divisor=st.sampled_from([1, 2]),
)
def test_spans_keep_every_cell_once_and_read_their_halo(size, stride, core_blocks, halo_blocks, divisor):
    halo = halo_blocks * stride
    spans = split_axis(size, core=core_blocks * stride, halo=halo)
    cell = stride // divisor
    num_cells = -(-size // cell)
    kept = [list(range(num_cells))[span.kept_cells(stride=cell, num_cells=num_cells)] for span in spans]
    assert [index for indices in kept for index in indices] == list(range(num_cells))
    for span in spans:
        assert span.read_start % stride == 0
        assert span.read_start == max(0, span.start - halo)
        assert span.read_stop == min(size, span.stop + halo) or span.is_last
        assert span.first_read_cell(stride=cell) * cell == span.read_start


def test_spans_by_hand():
    first, second, third = split_axis(40, core=16, halo=4)
    assert (first.read_start, first.start, first.stop, first.read_stop) == (0, 0, 16, 20)
    assert (second.read_start, second.start, second.stop, second.read_stop) == (12, 16, 32, 36)
    assert (third.read_start, third.start, third.stop, third.read_stop) == (28, 32, 40, 40)
    assert third.kept_cells(stride=2, num_cells=20) == slice(16, 20)


@given(
    shape=st.tuples(st.integers(4, 200), st.integers(4, 200), st.integers(4, 200)),
    limit_share=st.floats(0.05, 1.5),
)
def test_planned_tiles_fit_or_the_limit_is_refused(shape, limit_share):
    limit = limit_share * math.prod(shape)
    try:
        tiles = plan_tiles(shape, stride_zyx=(4, 8, 8), reach_zyx=(9, 17, 17), max_voxels=limit)
    except UserError:
        smallest = math.prod(
            min(size, stride + 2 * halo)
            for size, stride, halo in zip(shape, (4, 8, 8), (12, 24, 24), strict=True)
        )
        assert limit < smallest
        return
    assert all(math.prod(span.read_length for span in tile) <= limit for tile in tiles)
    kept = sum(math.prod(span.stop - span.start for span in tile) for tile in tiles)
    assert kept == math.prod(shape)


def test_a_volume_that_fits_is_one_tile_and_a_longer_one_is_cut_where_halos_cost_least():
    def plan(voxels):
        return plan_tiles(
            (256, 192, 192), stride_zyx=(4, 16, 16), reach_zyx=(27, 124, 124), max_voxels=voxels
        )

    assert len(plan(256 * 192 * 192)) == 1
    halves = plan(156 * 192 * 192)
    assert [(tile[0].start, tile[0].stop) for tile in halves] == [(0, 128), (128, 256)]


def test_too_small_a_limit_says_what_is_needed():
    with pytest.raises(UserError, match=r"memory_limit_mb is too small .* raise it about 4\.0 times"):
        plan_tiles((4, 8, 8), stride_zyx=(4, 8, 8), reach_zyx=(0, 0, 0), max_voxels=64)
