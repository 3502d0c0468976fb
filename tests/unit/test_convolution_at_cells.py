"""A convolution at some cells is the convolution of all of them, looked up there."""

import pytest
import torch
from torch.nn import functional as F

from anatomical_embedding.networks.convolution_at_cells import convolution_at_cells
from tests.reference.small_networks import (
    isotropic_settings,
    network_with_statistics,
    random_volume,
    small_published_settings,
)


def looked_up(maps, cells):
    """Return the (N, C) vectors of cells that count through (B, C, z, y, x) maps."""
    return maps.permute(0, 2, 3, 4, 1).flatten(0, 3)[cells]


def example(kernel, *, dtype=torch.float64):
    generator = torch.Generator().manual_seed(kernel)
    shapes = [(3, 5, 4, 6, 7), (8, 5, kernel, kernel, kernel), (8,)]
    tensors = [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]
    cells = torch.randint(3 * 4 * 6 * 7, (90,), generator=generator)
    cells[:4] = torch.tensor([0, 0, 3 * 4 * 6 * 7 - 1, 6])  # corners, and one cell twice
    return tensors, cells


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_values_and_gradients_equal_those_of_the_whole_map(kernel, layout):
    (features, weight, bias), cells = example(kernel)
    laid_out = features.contiguous(memory_format=layout)
    whole = looked_up(F.conv3d(laid_out, weight, bias, padding=kernel // 2), cells)
    some = convolution_at_cells(laid_out, weight, bias, cells)
    torch.testing.assert_close(some, whole)
    wanted = torch.randn(whole.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.autograd.grad(whole, (features, weight, bias), wanted)
    found = torch.autograd.grad(some, (features, weight, bias), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_short_features_have_gradients_of_their_own_and_of_full_weights():
    (features, weight, bias), cells = example(3, dtype=torch.float32)
    short = features.detach().bfloat16().requires_grad_()
    some = convolution_at_cells(short, weight, bias, cells)
    assert some.dtype == torch.bfloat16
    whole = looked_up(F.conv3d(short.float(), weight.bfloat16().float(), bias, padding=1), cells)
    torch.testing.assert_close(some.float(), whole, atol=0.1, rtol=0.01)
    to_short, to_weight, to_bias = torch.autograd.grad(some.float().sum(), (short, weight, bias))
    assert (to_short.dtype, to_weight.dtype, to_bias.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert to_bias.tolist() == [len(cells)] * 8


@pytest.mark.parametrize("settings", [small_published_settings(), isotropic_settings()])
def test_fine_vectors_at_cells_are_those_of_the_fine_map(settings):
    network = network_with_statistics(settings)
    volumes = random_volume(2, 8, 32, 32)[:, None]
    with torch.no_grad():
        maps = network(volumes)
        fine_at, coarse = network.fine_at_cells_and_coarse(volumes)
        cells = torch.arange(0, maps.fine[:, 0].numel(), 7)
        torch.testing.assert_close(fine_at(cells), looked_up(maps.fine, cells))
    torch.testing.assert_close(coarse, maps.coarse)
