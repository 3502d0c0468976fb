"""A network made ready for inference: convolutions do what follows them, and kernels are rounded with care."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anatomical_embedding.networks.number_formats import has_bfloat16
from anatomical_embedding.networks.resnet3d import BasicBlock, ConvolutionNorm

Network = TypeVar("Network", bound=nn.Module)

KERNEL_AXES = 3
"""Of a weight, behind those of the channels."""


def folded_copy(network: Network) -> Network:
    """Return a copy for inference whose convolutions contain the batch normalisation that followed them.

    In evaluation mode batch normalisation is a fixed scale and shift for each channel, so the copy computes
    the same function up to rounding, with one pass over memory less for each convolution.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, ConvolutionNorm) and isinstance(module.bn, nn.BatchNorm3d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return folded


def rounded_kernels(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight of a convolution in a shorter number format, with the sum of every kernel kept.

    What rounding adds to one voxel of a kernel is taken off the next. Features change little from voxel to voxel, so
    they meet the sum of a kernel's errors, which else would be a random walk.

    Parameters
    ----------
    weight : (out, in, z, y, x), or any other parameter, which is just rounded.
    dtype : wanted.

    Examples
    --------
    >>> kernel = torch.full((1, 1, 1, 1, 4), 1 + 2**-9)  # bfloat16 knows 1 and 1 + 2**-7
    >>> (rounded_kernels(kernel, torch.bfloat16).float() - 1).flatten().tolist()
    [0.0, 0.0, 0.0078125, 0.0]
    """
    if weight.ndim != 2 + KERNEL_AXES:
        return weight.to(dtype)
    wanted = weight.flatten(2)
    rounded = torch.empty_like(wanted, dtype=dtype)
    owed = torch.zeros_like(wanted[..., 0])
    for voxel in range(wanted.shape[2]):
        rounded[..., voxel] = (wanted[..., voxel] + owed).to(dtype)
        owed += wanted[..., voxel] - rounded[..., voxel].to(weight.dtype)
    return rounded.reshape(weight.shape)


def fuse_blocks(network: nn.Module) -> None:
    """Let the residual blocks of a folded network add and rectify within their convolutions, in place.

    On a processor alone, and only where torch has oneDNN, which refuses bfloat16 on processors without instructions for
    it; there torch has convolutions of its own. Sums are rounded once instead of twice, memory is passed
    over less often, and float32 convolutions of few channels are oneDNN's, where torch takes slower ones of its own.
    """
    if not torch.backends.mkldnn.is_available():
        return
    is_short = any(parameter.dtype == torch.bfloat16 for parameter in network.parameters())
    if is_short and not has_bfloat16():
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BasicBlock):
                setattr(parent, name, _FusedBlock(child))


class _FusedBlock(nn.Module):
    """A `BasicBlock` whose batch normalisation is folded, as two calls of oneDNN."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = block.conv1.conv, block.conv2.conv
        self.downsample = block.downsample

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out_channels, ...) features."""
        convolved = torch.ops.mkldnn._convolution_pointwise
        changed = convolved(features, *_arguments(self.conv1), "relu", [], "")
        shortcut = features if self.downsample is None else self.downsample(features)
        return convolved.binary(changed, shortcut, *_arguments(self.conv2), "add", 1.0, "relu", [], "")


def _arguments(convolution: nn.Conv3d) -> tuple:
    """Return weight, bias, padding, stride, dilation and groups, as oneDNN's calls take them."""
    return (
        *(convolution.weight, convolution.bias, list(convolution.padding)),
        *(list(convolution.stride), list(convolution.dilation), convolution.groups),
    )
