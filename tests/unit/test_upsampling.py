"""Tests of anatomical_embedding.embedding.upsampling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from anatomical_embedding.embedding.upsampling import (
    axis_interpolation,
    grid_interpolation,
    norms_of_upsampled,
)
from tests.reference.direct_matching import upsample_by_cell_centres


def test_axis_by_hand_where_the_coarse_grid_was_rounded_up():
    # 9 voxels: fine centres 0.5, 2.5, 4.5, 6.5, 8.5; coarse (stride 4) centres 1.5, 5.5, 9.5.
    axis = axis_interpolation(5, 3, stride_fine=2, stride_coarse=4)
    np.testing.assert_array_equal(axis.lower, [0, 0, 0, 1, 1])
    np.testing.assert_allclose(axis.fraction, [0.0, 0.25, 0.75, 0.25, 0.75])


def test_one_coarse_cell_counts_everywhere():
    axis = axis_interpolation(3, 1, stride_fine=2, stride_coarse=16)
    np.testing.assert_array_equal(axis.upper, 0)
    np.testing.assert_array_equal(axis.fraction, 0.0)


@pytest.mark.parametrize(("num_coarse", "ratio"), [(3, 2), (2, 8), (5, 1), (1, 4)])
def test_same_as_torch_where_sizes_divide(num_coarse, ratio):
    values = torch.randn(1, 1, num_coarse, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(values, size=num_coarse * ratio, mode="linear", align_corners=False)[0, 0]
    axis = axis_interpolation(num_coarse * ratio, num_coarse, stride_fine=2, stride_coarse=2 * ratio)
    coarse = values[0, 0].numpy()
    upsampled = (1 - axis.fraction) * coarse[axis.lower] + axis.fraction * coarse[axis.upper]
    np.testing.assert_allclose(upsampled, expected.numpy(), atol=1e-12)


@pytest.mark.slow
@given(
    size=st.tuples(*[st.integers(1, 40)] * 3),
    stride_coarse=st.tuples(*[st.sampled_from([2, 4, 8, 16])] * 3),
    seed=st.integers(0, 5),
)
def test_norms_are_those_of_upsampled_channels(size, stride_coarse, seed):
    stride_fine = (2, 2, 2)
    fine_shape = tuple(-(-number // 2) for number in size)
    coarse_shape = tuple(-(-number // stride) for number, stride in zip(size, stride_coarse, strict=True))
    coarse = np.random.default_rng(seed).normal(size=(*coarse_shape, 6))
    axes = grid_interpolation(fine_shape, coarse_shape, stride_fine=stride_fine, stride_coarse=stride_coarse)
    upsampled = upsample_by_cell_centres(
        coarse, fine_shape, stride_fine=stride_fine, stride_coarse=stride_coarse
    )
    expected = np.linalg.norm(upsampled, axis=-1)
    np.testing.assert_allclose(norms_of_upsampled(coarse, axes=axes), expected, rtol=1e-5, atol=1e-6)
