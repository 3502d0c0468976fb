"""Gradients of convolutions over few planes in bfloat16 on a processor, against those in float32."""

import pytest
import torch
from torch import nn

from anatomical_embedding.networks.few_planes import convolve
from anatomical_embedding.networks.number_formats import has_bfloat16
from anatomical_embedding.networks.resnet3d import ConvolutionNorm

needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="this processor has no bfloat16")
NUM_RUNS = 15
"""Of memory that was never written, some is as it should be by chance."""


def leave_nan_in_free_memory():
    for size in (500, 1_000, 5_000, 20_000, 100_000):
        for dtype in (torch.float32, torch.bfloat16):
            torch.full((size,), float("nan"), dtype=dtype)


def gradient_of(layer, features, *, in_bfloat16):
    layer.zero_grad()
    leave_nan_in_free_memory()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bfloat16):
        result = convolve(layer, features)
    leave_nan_in_free_memory()
    result.float().square().mean().backward()
    return result.detach().float(), layer.weight.grad.clone()


@needs_bfloat16
@pytest.mark.parametrize(("planes", "kernel"), [(2, 3), (3, 5), (4, 5)])
def test_gradients_of_few_planes_are_those_in_float32(planes, kernel):
    torch.manual_seed(0)
    layer = nn.Conv3d(8, 8, kernel, padding=kernel // 2).to(memory_format=torch.channels_last_3d)
    features = torch.randn(2, 8, planes, 4, 4).to(memory_format=torch.channels_last_3d)
    result, gradient = gradient_of(layer, features, in_bfloat16=False)
    for _ in range(NUM_RUNS):
        rounded, coarser = gradient_of(layer, features, in_bfloat16=True)
        assert torch.allclose(rounded, result, atol=0.02)
        assert torch.allclose(coarser, gradient, atol=0.02 * gradient.abs().max().item())


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_computed_stays_the_same(planes, stride):
    torch.manual_seed(0)
    norm = ConvolutionNorm(4, 4, kernel_zyx=(3, 3, 3), stride_zyx=(stride, 1, 1)).eval()
    features = torch.randn(1, 4, planes, 5, 6)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16()):
        assert torch.equal(norm(features), norm.bn(norm.conv(features)))
