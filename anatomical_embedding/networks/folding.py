"""Batch normalisation folded into the convolutions before it."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anatomical_embedding.networks.resnet3d import ConvolutionNorm

Network = TypeVar("Network", bound=nn.Module)


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
