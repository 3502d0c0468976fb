"""Convolutions in float32 that are computed in float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Let float32 convolutions on a GPU keep the 24 bits of their numbers while the block runs.

    Without it torch rounds the factors of convolutions to the 11 bits of TF32, though not those of matrix products,
    and what was asked for in fp32 would be little better than in bf16. Shorter formats are not touched.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
