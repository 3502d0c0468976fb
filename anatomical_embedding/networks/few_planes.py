"""Convolutions of volumes with few planes, whose gradients torch gets wrong in bfloat16 on a processor.

Where the kernel reaches over both ends of a volume at once (two planes under a kernel of three), part of the gradient
of its weights is memory that was never written (findings/torch_bf16_gradients_of_two_planes.sh): mostly tiny, sometimes
NaN. A small patch comes to that at the deepest stage of a network.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolve(layer: nn.Conv3d, features: Tensor) -> Tensor:
    """Return what a convolution with "same" padding makes of (B, C, Z, Y, X) features, with true gradients.

    Where they would be wrong, planes of zeros are added, which are what the padding holds, and taken off again.
    """
    depth, kernel = features.shape[2], layer.kernel_size[0]
    if not (_computes_in_bfloat16(features) and layer.stride[0] == 1 and kernel // 2 < depth < kernel):
        return layer(features)
    return layer(F.pad(features, (0, 0, 0, 0, 0, kernel - depth)))[:, :, :depth]


def _computes_in_bfloat16(features: Tensor) -> bool:
    return (
        features.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
