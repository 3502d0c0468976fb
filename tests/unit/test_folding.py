"""Networks made ready for inference: blocks as two calls of oneDNN, kernels rounded so that their sums stay."""

import pytest
import torch

from anatomical_embedding.networks.folding import folded_copy, fuse_blocks, rounded_kernels
from anatomical_embedding.networks.resnet3d import BasicBlock

CHANNELS_LAST = torch.channels_last_3d


def blocks() -> torch.nn.Sequential:
    """Return two blocks with statistics of their own: one that strides and widens, one with a plain shortcut."""
    torch.manual_seed(5)
    kernel = (3, 3, 3)
    sequence = torch.nn.Sequential(
        BasicBlock(8, 16, kernel_zyx=kernel, stride_zyx=(2, 2, 1)),
        BasicBlock(16, 16, kernel_zyx=kernel, stride_zyx=(1, 1, 1)),
    )
    for module in sequence.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return folded_copy(sequence).to(memory_format=CHANNELS_LAST)


def features() -> torch.Tensor:
    torch.manual_seed(6)
    return torch.rand(1, 8, 10, 9, 7).contiguous(memory_format=CHANNELS_LAST)


@torch.no_grad()
def test_fused_blocks_are_the_blocks():
    plain, fused = blocks(), blocks()
    fuse_blocks(fused)
    assert not any(isinstance(module, BasicBlock) for module in fused.modules())
    expected = plain(features())
    assert expected.shape == (1, 16, 5, 5, 7)
    torch.testing.assert_close(fused(features()), expected, rtol=1e-5, atol=1e-5)
    assert fused(features()).is_contiguous(memory_format=CHANNELS_LAST)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="no instructions for bfloat16")
@torch.no_grad()
def test_fused_blocks_round_less():
    """In bfloat16 against float32, with the same rounded weights."""
    plain, fused = blocks().bfloat16(), blocks().bfloat16()
    exact = blocks().bfloat16().float()
    fuse_blocks(fused)
    given = features().bfloat16()
    wanted = exact(given.float())
    errors = [float((blocks(given).float() - wanted).square().mean()) for blocks in (plain, fused)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_sum_of_a_kernel_survives_rounding(scale):
    """A value is off by 2^-8 of it at most, as what was owed is added to it by 2^-7; the sum of all by half of that."""
    torch.manual_seed(7)
    weight = scale * torch.randn(16, 8, 3, 3, 3)
    rounded = rounded_kernels(weight, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    off = rounded.float() - weight
    largest = weight.abs().amax(dim=(2, 3, 4))
    assert (off.sum(dim=(2, 3, 4)).abs() <= 2**-8 * largest).all()
    assert (off.abs().amax(dim=(2, 3, 4)) <= 2**-7 * largest).all()
    plain = weight.bfloat16().float() - weight
    assert off.sum(dim=(2, 3, 4)).square().mean() < 0.1 * plain.sum(dim=(2, 3, 4)).square().mean()


def test_other_parameters_are_just_rounded():
    bias = torch.tensor([1 + 2**-9, -3.0])
    assert rounded_kernels(bias, torch.bfloat16).tolist() == [1.0, -3.0]
    assert rounded_kernels(bias, torch.float32) is bias


@pytest.mark.parametrize(("dtype", "is_fused"), [(torch.bfloat16, False), (torch.float32, True)])
def test_blocks_stay_where_the_processor_has_no_instructions_for_their_numbers(monkeypatch, dtype, is_fused):
    """As x86 before AVX-512, where oneDNN raises an error."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    network = folded_copy(blocks()).to(dtype)
    fuse_blocks(network)
    assert any(isinstance(module, BasicBlock) for module in network.modules()) != is_fused
